#!/usr/bin/env bats
# What goes wrong below a mount, or to it: each is told to whoever asks, nothing that was closed is lost, and it goes on
# when it can. A full disk is in cli.bats, kill -9 in peers.bats.

load mounts

error_of() { "$sf" status "$A" --json | jq -r .error; }
has_error() { [ -n "$(error_of)" ]; }
has_no_error() { [ -z "$(error_of)" ]; }

@test "a disk that fails: EIO to who writes, reads go on, and so do writes when it works again" {
	require_fuse
	echo 0 >"$DIR/errno"
	env "${FAULTS[@]}" FAIL_WRITES="$DIR/errno" "$sf" mount "$A" --store "$DIR/store-A"
	mkdir "$A/t"
	echo before >"$A/t/before"
	"$sf" commit "$A" -m before
	echo pending >"$A/t/pending"
	echo 5 >"$DIR/errno"
	python3 - "$A/t" <<'PY'
import errno, os, sys
def fails(f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == errno.EIO, e
    else:
        raise AssertionError(f)
fd = os.open(sys.argv[1] + "/before", os.O_RDWR)
os.write(fd, b"behind")
fails(os.fsync, fd)
fails(os.close, os.dup(fd))
assert os.pread(fd, 100, 0) == b"behind\n"
try:
    os.close(fd)
except OSError:
    pass
assert open(sys.argv[1] + "/pending").read() == "pending\n"
assert sorted(os.listdir(sys.argv[1])) == ["before", "pending"]
PY
	until_true 10 has_error
	error_of | grep "Input/output error"
	[ "$(cat "$A/.commits/HEAD/t/before")" = before ]
	run "$sf" commit "$A" -m now
	[ "$status" = 1 ]
	[[ $output == *"Input/output error"* ]]
	echo 0 >"$DIR/errno"
	until_true 20 settled "$A"
	until_true 5 has_no_error
	[ "$(cat "$A/.commits/latest/t/pending")" = pending ]
	[ "$(cat "$A/.commits/latest/t/before")" = behind ]
	echo after >"$A/t/after"
	"$sf" commit "$A" -m after
	"$sf" umount "$A"
	"$sf" verify "$DIR/store-A"
}

@test "a journal that the disk has damaged: what can be read is there, status names what may be missing" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	for row in first second third; do printf "%s row" $row >"$A/t/$row"; done
	local pid kept="$DIR/store-A/journal.damaged-1"
	pid=$(pid_of "$A")
	kill -KILL "$pid"
	until_true 15 ends "$pid"
	sed -i 's/second row/sec*nd row/' "$DIR/store-A/journal"
	mount_a 2>"$DIR/said"
	[ "$(cat "$A/t/first")" = "first row" ]
	[ "$(cat "$A/t/third")" = "third row" ]
	grep "^DAMAGED .*t/second may be lost.*$kept" "$A/.swarm/status"
	"$sf" status "$A" --json | jq -r .damage | grep "t/second may be lost"
	grep "error: .*t/second may be lost.*$kept" "$DIR/said"
	grep -q "sec\*nd row" "$kept"
	"$sf" commit "$A" -m "what is there"
	rm "$kept"
	[ -z "$("$sf" status "$A" --json | jq -r .damage)" ]
	"$sf" umount "$A"
	"$sf" verify "$DIR/store-A"
}

@test "fsync of a directory reaches the disk, and says so when it cannot" {
	require_fuse
	echo 0 >"$DIR/errno"
	env FAIL_SYNCS="$DIR/errno" LD_PRELOAD="${SWARMFS_FAULTS:?names the library}" \
		ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
		"$sf" mount "$A" --store "$DIR/store-A" --settle 60000
	mkdir "$A/t"
	"$sf" commit "$A" -m table
	python3 - "$A" "$DIR/errno" <<'PY'
import errno, os, sys
root, control = sys.argv[1:]
def disk_answers(number):
    open(control + ".new", "w").write(str(number))
    os.rename(control + ".new", control)
def sync(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)
    return 0
changes = [("t", lambda: open("t/r", "w").write("closed")), ("t", lambda: os.rename("t/r", "t/q")),
           ("t", lambda: os.unlink("t/q")), (".", lambda: os.mkdir("u")), (".", lambda: os.rmdir("u"))]
os.chdir(root)
for i, (where, change) in enumerate(changes):
    disk_answers(errno.EIO)
    change()
    assert sync(where) == errno.EIO and sync(".") == errno.EIO, i
    disk_answers(0)
    assert sync(where) == 0, i
os.chdir("/")
PY
	"$sf" umount "$A"
	"$sf" verify "$DIR/store-A"
}

@test "unmounted while the kernel hands over a request: an end like any other" {
	require_fuse
	env "${FAULTS[@]}" END_ABORTED=1 "$sf" mount -f "$A" --store "$DIR/store-A" 2>"$DIR/said" 3>&- &
	local pid=$!
	until_true 15 is_mounted "$A"
	umount "$A" || fusermount3 -u "$A"
	wait "$pid"
	grep "connection abort" "$DIR/said" # or the test shows nothing
}

@test "the store is removed under the mount: it says so, is unmounted, and hurts nobody" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo there >"$A/t/r"
	"$sf" commit "$A" -m there
	local pid
	pid=$(pid_of "$A")
	rm -r "$DIR/store-A"
	# What is open stays readable; what is written has no place to survive in, but is shown while the mount is.
	[ "$(cat "$A/t/r")" = there ]
	echo more >"$A/t/more" || true
	cat "$A/t/more" || true
	ls "$A/t"
	run "$sf" status "$A"
	[ "$status" = 1 ]
	[[ $output == *"$DIR/store-A"* ]]
	# It has no place to ask how full it is, but is a mount.
	run "$sf" mount "$A" --store "$DIR/store-B"
	[ "$status" = 1 ]
	[[ $output == *"mounted on $A already; unmount it with 'swarmfs umount $A'" ]]
	"$sf" umount "$A"
	not_mounted "$A"
	until_true 15 ends "$pid"
}

# The kernel's number of the connection that a mount is.
connection_of() {
	local device
	device=$(stat -c %d "$1")
	echo $((device & 0xff | device >> 12 & 0xfff00))
}

@test "aborted through the kernel's control: the process ends, what was closed is there at the next mount" {
	require_fuse
	local control=/sys/fs/fuse/connections pid
	if [ ! -e "$control" ] || ! mountpoint -q "$control"; then
		[ "$(id -u)" = 0 ] && mount -t fusectl none "$control" 2>/dev/null || skip "no fusectl"
	fi
	mount_a
	mkdir "$A/t"
	echo closed >"$A/t/r"
	control=$control/$(connection_of "$A")
	[ -w "$control/abort" ] || skip "no right to abort"
	pid=$(pid_of "$A")
	exec 7>"$A/t/open"
	echo x >&7
	echo 1 >"$control/abort"
	run cat "$A/t/r"
	[ "$status" -ne 0 ]
	exec 7>&- || true
	until_true 15 ends "$pid"
	mount_a
	[ "$(cat "$A/t/r")" = closed ]
	"$sf" verify "$A"
}

@test "a process that is stopped: programs wait, and go on with it" {
	require_fuse
	mount_a --settle 50
	mkdir "$A/t"
	for i in 1 2 3; do echo "$i" >"$A/t/$i"; done
	"$sf" commit "$A" -m rows
	seq 200000 | awk '{ printf "{\"id\":%d}\n", $1 }' >"$DIR/large"
	local pid reader writer
	pid=$(pid_of "$A")
	kill -STOP "$pid"
	until_true 5 grep -q '^State:.T' "/proc/$pid/status"
	cat "$A/.commits/HEAD/t/1" "$A/t/2" >"$DIR/read" 3>&- &
	reader=$!
	bash -c "echo new >'$A/t/new'" 3>&- &
	writer=$!
	kill -0 "$reader"
	kill -0 "$writer"
	[ ! -s "$DIR/read" ]
	# Commands wait a little, and say what is the matter.
	local command i=0 asked=()
	for command in "status $A" "status $DIR/store-A --json" "commit $A" "import $A --table t $DIR/large" \
		"mount $A --store $DIR/store-B" "mount $B --store $DIR/store-A"; do
		i=$((i + 1))
		# shellcheck disable=SC2086
		{ timeout 60 "$sf" $command >"$DIR/answer-$i" 2>&1 || echo "exit $?" >>"$DIR/answer-$i"; } 3>&- &
		asked+=($!)
	done
	wait "${asked[@]}"
	for i in $(seq ${#asked[@]}); do
		run cat "$DIR/answer-$i"
		[ "${#lines[@]}" = 2 ]
		[ "${lines[1]}" = "exit 1" ]
		[[ ${lines[0]} == *"process $pid, which serves the store, is stopped"*"kill -CONT $pid"* ]]
	done
	kill -CONT "$pid"
	wait "$reader"
	wait "$writer"
	[ "$(tr '\n' ' ' <"$DIR/read")" = "1 2 " ]
	[ "$(cat "$A/t/new")" = new ]
	until_true 10 settled "$A"
	"$sf" verify "$A"
}

@test "what was read before is read again without the process: it is in the kernel" {
	require_fuse
	mount_a
	mkdir "$A/t"
	head -c 3000000 /dev/urandom | tee "$DIR/large" >"$A/t/large"
	echo small >"$A/t/small"
	"$sf" commit "$A" -m rows
	local pid
	pid=$(pid_of "$A")
	python3 - "$A" "$pid" "$DIR/large" 3>&- <<'PY'
import mmap, os, signal, sys, threading, time
a, pid, want = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "rb").read()
# What is settled does not change, its name included.
settled = a + "/.commits/" + os.readlink(a + "/.commits/HEAD")
paths = [a + "/t/small", settled + "/t/small", a + "/t/large"]
files = [os.open(p, os.O_RDONLY) for p in paths]
def all(fd):
    text = b""
    while piece := os.pread(fd, 1 << 20, len(text)):
        text += piece
    return text
texts = [all(fd) for fd in files]
assert texts == [b"small\n", b"small\n", want]
# Of one that was not read: reading makes the kernel ask for the time of access.
assert os.stat(settled + "/t/large").st_size == len(want)
sizes = [os.stat(a + "/t/" + n).st_size for n in ("small", "large")]
m = mmap.mmap(files[2], 0, prot=mmap.PROT_READ)
assert m[:] == want
def is_stopped():
    return f"{chr(10)}State:{chr(9)}T" in open(f"/proc/{pid}/status").read()
# Who waits for an answer of a stopped process waits for ever, and at the end of this one its files are closed.
rescue = threading.Timer(60, os.kill, (pid, signal.SIGCONT))
rescue.start()
os.kill(pid, signal.SIGSTOP)
try:
    while not is_stopped():
        time.sleep(0.01)
    assert os.stat(settled + "/t/large").st_size == len(want)
    for _ in range(100):
        assert os.pread(files[0], 100, 0) == texts[0] and os.pread(files[1], 100, 0) == texts[1]
    assert m[:] == want
    for at in range(0, len(want), 100000):
        assert os.pread(files[2], 4096, at) == want[at:at + 4096]
    assert is_stopped()
finally:
    rescue.cancel()
    os.kill(pid, signal.SIGCONT)
PY
}

@test "umount of a mount in use is refused and changes nothing; later it works" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	exec 7>>"$A/t/r"
	run "$sf" umount "$A"
	[ "$status" = 1 ]
	[[ $output == *"is busy"* ]]
	is_mounted "$A"
	echo 2 >&7
	[ "$(cat "$A/t/r")" = $'1\n2' ]
	exec 7>&-
	(cd "$A/t" && run "$sf" umount "$A" && [ "$status" = 1 ])
	echo 3 >>"$A/t/r"
	"$sf" umount "$A"
	not_mounted "$A"
	"$sf" verify "$DIR/store-A"
}

@test "a store that is mounted is not mounted again: its owner is named" {
	require_fuse
	mount_a
	local pid
	pid=$(pid_of "$A")
	run "$sf" mount "$B" --store "$DIR/store-A"
	[ "$status" = 1 ]
	[[ $output == *"$pid"* ]]
	not_mounted "$B"
	run "$sf" mount "$A" --store "$DIR/store-B"
	[ "$status" = 1 ]
	[[ $output == *"mounted on $A already"* ]]
	# The owner is gone without a word: its mount point is cleared.
	kill -9 "$pid"
	until_true 10 ends "$pid"
	"$sf" mount "$B" --store "$DIR/store-A"
	mount_c() { "$sf" mount "$A" --store "$DIR/store-B"; }
	mount_c
	[ "$(grep -c " $A fuse" /proc/self/mounts)" = 1 ]
}

waits_for_an_answer() { grep -q request_wait_answer "/proc/$1/wchan"; }

@test "mounted again before the process that was killed has ended: waits for that, and mounts" {
	require_fuse
	env "${FAULTS[@]}" HOLD_STATFS="$DIR/hold" "$sf" mount "$A" --store "$DIR/store-A"
	mkdir "$A/t"
	echo closed >"$A/t/r"
	local pid again
	pid=$(pid_of "$A")
	# It is killed while the other asks it.
	touch "$DIR/hold"
	"$sf" mount "$A" --store "$DIR/store-A" 2>"$DIR/said" 3>&- &
	again=$!
	until_true 10 waits_for_an_answer "$again"
	kill -9 "$pid"
	wait "$again"
	grep "$A was a dead mount; unmounted it" "$DIR/said"
	[ "$(cat "$A/t/r")" = closed ]
	[ "$(grep -c " $A fuse" /proc/self/mounts)" = 1 ]
}

not_dead() { is_mounted "$1" && stat -f "$1"; }
sleeps() { grep -q nanosleep "/proc/$1/wchan"; }

@test "of two mounts at the same time over a dead one, one mounts, and the other does not unmount it" {
	require_fuse
	mount_a
	local pid slow
	pid=$(pid_of "$A")
	kill -9 "$pid"
	until_true 10 flock -n "$DIR/store-A/lock" true
	touch "$DIR/hold"
	env "${FAULTS[@]}" HOLD_UMOUNT="$DIR/hold" "$sf" mount -f "$A" --store "$DIR/store-A" 2>"$DIR/said" 3>&- &
	slow=$!
	until_true 10 sleeps "$slow"
	run "$sf" mount "$A" --store "$DIR/store-A"
	rm "$DIR/hold"
	[ "$status" = 1 ]
	[[ $output == *"in use by process $slow;"* ]]
	until_true 10 not_dead "$A"
	[ "$(pid_of "$A")" = "$slow" ]
	grep "$A was a dead mount; unmounted it" "$DIR/said"
	"$sf" umount "$A"
	wait "$slow"
}

@test "fsyncs of many large rows leave somebody to answer the rest" {
	require_fuse
	local writer i
	touch "$DIR/hold"
	env "${FAULTS[@]}" HOLD_LARGE="$DIR/hold" "$sf" mount "$A" --store "$DIR/store-A"
	mkdir "$A/t"
	for i in $(seq 12); do echo x >"$A/t/$i"; done
	"$sf" commit "$A" -m small
	python3 - "$A/t" >"$DIR/said" 3>&- <<'PY' &
import glob, os, sys, threading, time

def write(i):
    f = os.open(f"{sys.argv[1]}/{i}", os.O_RDWR)
    os.ftruncate(f, 2 << 20)
    os.fsync(f)
def wait_for_the_mount(task):
    try:
        return "request_wait_answer" in open(task).read()
    except OSError:
        return False
writers = [threading.Thread(target=write, args=(i,)) for i in range(1, 13)]
for w in writers:
    w.start()
# Each has asked for the last time.
while sum(map(wait_for_the_mount, glob.glob("/proc/self/task/*/wchan"))) < 12:
    time.sleep(0.1)
print("waiting", flush=True)
for w in writers:
    w.join()
PY
	writer=$!
	until_true 60 grep -q waiting "$DIR/said"
	run timeout 30 stat "$A/t/none"
	rm "$DIR/hold"
	[ "$status" = 1 ]
	wait "$writer"
	[ "$(stat -c %s "$A/t/12")" = $((2 << 20)) ]
	"$sf" verify "$A"
}

diverged_at() { grep -q "^DIVERGED .*$2" "$1/.swarm/status"; }
@test "a store that the disk has damaged: as soon as a head shows it both peers say so, and where they differ first" {
	require_fuse
	local i
	mount_a
	mkdir "$A/t"
	for i in $(seq 20); do echo "row $i" >"$A/t/r$i"; done
	echo "first row" >"$A/t/a"
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	LC_ALL=C sed -i 's/first row/f*rst row/g' "$DIR/store-B/data.mdb"
	mount_b
	read_events "$B"
	# What was there is no news. A commit into the same node gives two roots.
	[ "$("$sf" status "$B" --json | jq -r .diverged)" = 0 ]
	echo new >"$A/t/b"
	for i in "$A" "$B"; do
		until_true 10 diverged_at "$i" "they differ first at row t/a"
		[ "$("$sf" status "$i" --json | jq -r .diverged)" -gt 0 ]
		"$sf" status "$i" --json | jq -r .divergence | grep "the state .* they differ first at row t/a.*verify"
	done
	local key_a
	key_a=$("$sf" status "$A" --json | jq -r .key)
	until_true 10 grep -x "{\"event\":\"diverged\",\"who\":\"$key_a\",\"what\":\"state\",\"table\":\"t\",\"row\":\"a\"}" "$DIR/events"
	grep -x "{\"event\":\"diverged\",\"who\":\"$key_a\",\"what\":\"state\"}" "$DIR/events"
	stop_reading
	grep -q "error: of the same commits .* they differ first at row t/a" "$DIR/store-A/log"
	# Nothing else changes, and verify tells which one it is.
	echo newer >"$B/t/b"
	until_true 20 grep -x newer "$A/t/b"
	"$sf" verify "$A"
	run "$sf" verify "$B"
	[ "$status" = 1 ]
	[[ $output == *damaged* ]]
}

# dies_at N COMMAND...: killed instead of its N-th durable write; it fails if there are not so many.
dies_at() {
	local n=$1 status=0
	shift
	env "${FAULTS[@]}" KILL_AT="$n" "$@" >"$DIR/died" 2>&1 || status=$?
	[ $status = 0 ] || [ $status = 137 ] || { cat "$DIR/died"; exit 1; }
	[ $status = 137 ]
}
# What is there is whole, or said to be none.
whole_or_none() {
	run "$sf" verify "$1"
	[ "$status" = 0 ] || [[ $output == *"is neither mounted nor a store"* || $output == *"whose making was interrupted; if nothing in it matters, remove it and try again"* ]]
}

@test "killed at each durable write while a store is made: it is one, or says that it is none" {
	local n=1 n_none=0
	while dies_at $n "$sf" init "$DIR/store-X"; do
		whole_or_none "$DIR/store-X"
		if [ "$status" = 0 ]; then
			"$sf" tag "$DIR/store-X" works
		else
			n_none=$((n_none + 1))
			rm -r "$DIR/store-X"
			"$sf" init "$DIR/store-X"
		fi
		rm -r "$DIR/store-X"
		n=$((n + 1))
	done
	echo "died at $((n - 1)) durable writes, and was none after $n_none"
	[ $n_none -gt 0 ] && [ $n_none -lt $((n - 1)) ]
	"$sf" verify "$DIR/store-X"
}

@test "killed at each durable write of a first synchronisation: the same command goes on, or says that there is no store" {
	local n=1 n_none=0 n_some=0 ticket
	"$sf" init "$DIR/store-A"
	"$sf" serve "$DIR/store-A" --listen tcp://127.0.0.1:0
	echo '{"id":1}' >"$DIR/rows.jsonl"
	"$sf" import "$DIR/store-A" --table t --key id "$DIR/rows.jsonl"
	mkdir "$DIR/large"
	head -c 300000 /dev/urandom >"$DIR/large/row"
	"$sf" import "$DIR/store-A" --table u "$DIR/large"
	ticket=$("$sf" invite "$DIR/store-A" | tail -n 1)
	while dies_at $n "$sf" clone "$ticket" "$DIR/store-X"; do
		whole_or_none "$DIR/store-X"
		if [ "$status" = 0 ]; then
			n_some=$((n_some + 1))
		else
			n_none=$((n_none + 1))
			rm -r "$DIR/store-X"
		fi
		"$sf" clone "$ticket" "$DIR/store-X"
		same_head "$DIR/store-A" "$DIR/store-X"
		"$sf" verify "$DIR/store-X"
		rm -r "$DIR/store-X"
		ticket=$("$sf" invite "$DIR/store-A" | tail -n 1)
		n=$((n + 1))
	done
	echo "died at $((n - 1)) durable writes, and was no store after $n_none"
	[ $n_none -gt 0 ] && [ $n_some -gt 0 ]
	stop_serving "$DIR/store-A"
}

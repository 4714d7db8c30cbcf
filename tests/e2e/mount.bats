#!/usr/bin/env bats
# One mount: tables and rows as directories and files, history as folders.

load mounts

@test "tables and rows are directories and files" {
	require_fuse
	mount_a
	mkdir "$A/users"
	echo '{"a":1}' >"$A/users/1.json"
	[ "$(cat "$A/users/1.json")" = '{"a":1}' ]
	[ "$(ls "$A/users")" = 1.json ]
	[ "$(stat -c %s "$A/users/1.json")" = 8 ]
	rm "$A/users/1.json"
	[ -z "$(ls -A "$A/users")" ]
	rmdir "$A/users"
	[ -z "$(ls -A "$A")" ]
}

@test "a commit is a folder with the database as it was" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	echo one >"$A/t/r"
	"$sf" commit "$A" -m first
	echo two >"$A/t/r"
	"$sf" commit "$A" -m second
	[ "$(cat "$A/.commits/HEAD~1/t/r")" = one ]
	[ "$(cat "$A/.commits/latest/t/r")" = two ]
	grep -q second "$A/.commits/HEAD/.commit"
	grep -q t/r "$A/.commits/HEAD/.diff"
	run bash -c "echo x >'$A/.commits/latest/t/r'"
	[ "$status" -ne 0 ]
	[[ $output == *"Read-only"* ]]
	# Any unique prefix of the id is a link to it.
	local id
	id=$("$sf" log "$A" --json -n 1 | jq -r .id)
	[ "$(readlink "$A/.commits/${id:0:12}")" = "$(readlink "$A/.commits/latest")" ]
	# What the root lists does not lead into history.
	[ "$(find "$A" -type f)" = "$A/t/r" ]
}

@test "what is listed is what stat says it is, in history and control directories, too" {
	require_fuse
	mount_a --settle 60000 -o show_control
	mkdir "$A/t" "$A/u"
	# So many that the kernel asks for the last without attributes.
	(cd "$A/t" && touch {1..400})
	"$sf" commit "$A" -m rows
	"$sf" tag "$A" v1 HEAD
	mkdir "$A/.txn/x"
	echo two >"$A/.txn/x/t/new"
	listed_as_they_are "$A"
}

@test "after a table is renamed, stat and listings tell the same numbers" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t" "$A/u"
	touch "$A/t/"{1..9} "$A/u/"{1..5}
	"$sf" commit "$A" -m rows
	# The kernel has them all, with their numbers.
	stat "$A"/*/* >/dev/null
	mv "$A/t" "$A/v"
	stat -c %i "$A/v/"{1..9} >"$DIR/told"
	ls -i "$A/v" | sed 's/^ *//; s/ .*//' | diff "$DIR/told" -
	listed_as_they_are "$A"
	mv --exchange -T "$A/u" "$A/v" 2>/dev/null || python3 -c 'import ctypes, os, sys
assert ctypes.CDLL(None).renameat2(-100, os.fsencode(sys.argv[1]), -100, os.fsencode(sys.argv[2]), 2) == 0' "$A/u" "$A/v"
	[ "$(ls "$A/u" | wc -l)" = 9 ]
	listed_as_they_are "$A"
}

@test "control files say what the commands say, and a line written into one commits" {
	require_fuse
	"$sf" mount "$A" --store "$DIR/store-A" --settle 60000 2>"$DIR/said"
	grep "history is in .commits, .* status in .swarm" "$DIR/said"
	mkdir "$A/t"
	echo one >"$A/t/r"
	echo "by a file" >"$A/.swarm/commit"
	[ "$("$sf" log "$A" -n 1 --json | jq -r .message)" = "by a file" ]
	[ "$(cat "$A/.swarm/commit")" = "$("$sf" log "$A" -n 1 --json | jq -r .id)" ]
	[ "$(cat "$A/.swarm/head")" = "$(head_of "$A")" ]
	[ "$(stat -f -c '%b %S' "$A")" = "$(stat -f -c '%b %S' "$DIR/store-A")" ]
	[ "$(cat "$A/.swarm/peers")" = "$("$sf" peers "$A")" ]
	diff <(grep -v '^memory' "$A/.swarm/status") <("$sf" status "$A" | grep -v '^memory')
	local field
	for field in id time author parent state signature; do
		grep "^$field  *[0-9a-fTZ.:-]*\$" "$A/.commits/HEAD/.commit"
	done
	diff "$A/.commits/HEAD/.commit" <("$sf" show "$A" HEAD)
	diff "$A/.commits/HEAD/.diff" <("$sf" diff "$A" HEAD)
}

@test "diff -r of two snapshots names exactly the rows that changed" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	for i in $(seq 50); do echo "$i" >"$A/t/$i"; done
	"$sf" commit "$A" -m base
	echo changed >"$A/t/7"
	echo new >"$A/t/51"
	rm "$A/t/9"
	"$sf" commit "$A" -m edit
	run diff -rq "$A/.commits/HEAD~1/" "$A/.commits/HEAD/"
	[ "${#lines[@]}" = 3 ]
	[[ $output == *"t/7"* && $output == *": 51"* && $output == *": 9"* ]]
}

@test "what cannot be is refused as other file systems refuse it" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo x >"$A/t/r"
	run mkdir "$A/t"; [[ $output == *"File exists"* ]]
	run mkdir "$A/t/sub"; [[ $output == *"not permitted"* ]]
	run ln -s r "$A/t/link"; [[ $output == *"not permitted"* ]]
	run ln "$A/t/r" "$A/t/link"; [[ $output == *"not permitted"* ]]
	run rmdir "$A/t"; [[ $output == *"not empty"* ]]
	run cat "$A/t/none"; [[ $output == *"No such file"* ]]
	run touch "$A/t/$(printf 'x%.0s' $(seq 256))"; [[ $output == *"too long"* ]]
	run truncate -s 1025G "$A/t/r"; [[ $output == *"File too large"* ]]
	run bash -c "echo x >'$A/file'"; [[ $output == *"not permitted"* ]]
	run mv -n "$A/t/r" "$A/.commits/latest/"; [ "$status" -ne 0 ]
	[ "$(cat "$A/t/r")" = x ]
}

@test "nothing in a snapshot can be changed, in any way" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo two >"$A/t/r"
	"$sf" commit "$A" -m rows
	python3 - "$A" <<'PY'
import errno, os, sys
a = sys.argv[1]
snap = a + "/.commits/" + os.readlink(a + "/.commits/HEAD")
table, row = snap + "/t", snap + "/t/r"
def refused(call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == errno.EROFS, (call, args, e)
    else:
        raise AssertionError((call, args))
for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
    refused(os.open, row, flags)
for new in (table + "/new", snap + "/new", a + "/.commits/new"):
    refused(os.open, new, os.O_WRONLY | os.O_CREAT)
    refused(os.mkdir, new)
for there in (row, table, snap, snap + "/.commit"):
    refused(os.chmod, there, 0o600)
    refused(os.chown, there, -1, 0)
    refused(os.utime, there, (1, 1))
for there in (row, snap + "/.commit", a + "/.commits/latest"):
    refused(os.unlink, there)
refused(os.truncate, row, 0)
refused(os.rmdir, table)
refused(os.rmdir, snap)
assert open(row).read() == "two\n"
PY
}

@test "rename, exchange and unlink keep what is open" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo old >"$A/t/r"
	exec 7<"$A/t/r"
	echo new >"$A/t/n"
	mv "$A/t/n" "$A/t/r"
	[ "$(cat <&7)" = old ]
	exec 7<&-
	[ "$(cat "$A/t/r")" = new ]
	python3 - "$A/t" <<'PY'
import ctypes, os, sys
d = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
open(d + "/a", "w").write("A")
open(d + "/b", "w").write("B")
def rename(x, y, flags):
    r = libc.renameat2(-100, os.fsencode(d + x), -100, os.fsencode(d + y), flags)
    return 0 if r == 0 else ctypes.get_errno()
assert rename("/a", "/b", 1) == 17, "NOREPLACE must not replace"
assert rename("/a", "/b", 2) == 0
assert open(d + "/a").read() == "B" and open(d + "/b").read() == "A"
assert rename("/a", "/b", 4) == 22, "an unknown flag must be refused"
f = open(d + "/a", "r+")
os.unlink(d + "/a")
f.write("late"); f.flush(); os.fsync(f.fileno())
assert not os.path.exists(d + "/a"), "a late write revives nothing"
assert os.fstat(f.fileno()).st_nlink == 0
f.close()
PY
}

@test "mode, mtime and inode numbers are kept, also over a remount" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo x >"$A/t/r"
	chmod 640 "$A/t/r"
	touch -d '2001-02-03 04:05:06.789' "$A/t/r"
	local before
	before=$(stat -c '%a %y %i %s' "$A/t/r")
	"$sf" umount "$A"
	until_true 10 bash -c "! grep -q ' $A fuse' /proc/self/mounts"
	mount_a
	[ "$(stat -c '%a %y %i %s' "$A/t/r")" = "$before" ]
	[[ $before == 640\ 2001-02-03\ 04:05:06.789* ]]
}

@test "a large row is stored in pieces and read anywhere" {
	require_fuse
	mount_a
	mkdir "$A/t"
	head -c 5000000 /dev/urandom >"$DIR/big"
	cp "$DIR/big" "$A/t/big"
	"$sf" commit "$A" -m big
	cmp "$DIR/big" "$A/t/big"
	cmp "$DIR/big" "$A/.commits/latest/t/big"
	printf MIDDLE | dd of="$A/t/big" bs=1 seek=2500000 conv=notrunc status=none
	printf MIDDLE | dd of="$DIR/big" bs=1 seek=2500000 conv=notrunc status=none
	"$sf" commit "$A" -m middle
	cmp "$DIR/big" "$A/t/big"
	"$sf" verify "$A"
}

@test "SIGTERM with a busy mount ends in bounded time and loses nothing that was closed" {
	require_fuse
	mount_a
	mkdir "$A/t"
	local pid
	pid=$(pid_of "$A")
	(cd "$A/t" && exec 8>busy && echo half >&8 && sleep 30) &
	local busy=$!
	until_true 5 test -e "$A/t/busy"
	for i in $(seq 20); do echo "$i" >"$A/t/r$i"; done
	kill -TERM "$pid"
	until_true 15 ends "$pid"
	kill "$busy" 2>/dev/null || true
	wait "$busy" 2>/dev/null || true
	is_mounted "$A" && { umount -l "$A" || fusermount3 -uz "$A"; }
	mount_a
	for i in $(seq 20); do [ "$(cat "$A/t/r$i")" = "$i" ]; done
	"$sf" verify "$A"
}

@test "SIGTERM in the middle of writes: what was closed is there, the process ends" {
	require_fuse
	mount_a
	mkdir "$A/t"
	local pid writer
	pid=$(pid_of "$A")
	# A name goes to the list once its close() has returned; it goes on until the mount refuses.
	python3 - "$A/t" "$DIR/closed" <<'PY' 3>&- &
import os, sys

table, closed = sys.argv[1:]
with open(closed, "w", buffering=1) as out:
    for i in range(1000000):
        try:
            fd = os.open(f"{table}/{i}", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, b"%d\n" % i)
            os.close(fd)
        except OSError:
            break
        out.write(f"{i}\n")
PY
	writer=$!
	until_true 20 grep -qx 200 "$DIR/closed"
	kill -TERM "$pid"
	until_true 15 ends "$pid"
	wait "$writer"
	not_mounted "$A" || "$sf" umount "$A"
	mount_a
	was_kept "$A/t" "$DIR/closed"
	"$sf" verify "$A"
}

@test "close() is enough: no release has come when the process is ended" {
	require_fuse
	local signal pid holder
	for signal in KILL TERM; do
		mount_a
		mkdir -p "$A/t"
		pid=$(pid_of "$A")
		# One of two descriptors of the same file is closed; the other keeps it open.
		python3 -c 'import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
os.write(fd, b"closed")
os.close(os.dup(fd))
other = os.open(sys.argv[1] + "-open", os.O_WRONLY | os.O_CREAT, 0o644)
os.write(other, b"so far")
print("dup closed", flush=True)
time.sleep(60)' "$A/t/$signal" >"$DIR/said.$signal" 3>&- &
		holder=$!
		until_true 10 grep -q "dup closed" "$DIR/said.$signal"
		kill -"$signal" "$pid"
		until_true 15 ends "$pid"
		kill "$holder"
		wait "$holder" || true
		not_mounted "$A" || "$sf" umount "$A"
	done
	mount_a
	[ "$(cat "$A/t/KILL")" = closed ]
	[ "$(cat "$A/t/TERM")" = closed ]
	# Who is asked to end closes what programs have open.
	[ "$(cat "$A/t/TERM-open")" = "so far" ]
	"$sf" verify "$A"
}

@test "events tell what happens" {
	require_fuse
	mount_a
	mkdir "$A/t"
	read_events "$A"
	echo x >"$A/t/r"
	until_true 10 grep -q '"event":"head"' "$DIR/events"
	# However it was committed here, it is from here; what a peer sends is not.
	mkdir "$A/.txn/x"
	echo y >"$A/.txn/x/t/r"
	mv "$A/.txn/x" "$A/.txn/commit"
	"$sf" restore "$A" HEAD~1 t
	mount_b
	echo '{"a":1}' | "$sf" import "$B" --table u -
	until_true 10 grep -q '"from":"elsewhere"' "$DIR/events"
	stop_reading
	jq -e . "$DIR/events" >/dev/null
	jq -r '"\(.event) \(.change) \(.table) \(.row)"' "$DIR/events" | grep -v null >"$DIR/changes"
	diff - "$DIR/changes" <<-END
		row added t r
		row changed t r
		row changed t r
		row added u 00000001.json
	END
	jq -r 'select(.event == "head") | .from' "$DIR/events" >"$DIR/from"
	[ "$(tail -n 1 "$DIR/from")" = elsewhere ]
	[ "$(grep -cx elsewhere "$DIR/from")" = 1 ]
	[ "$(grep -cx here "$DIR/from")" -ge 3 ]
}

@test "events of a step that has too many say that some are missing" {
	require_fuse
	mount_a
	read_events "$A"
	seq 20000 | sed 's/.*/{"id":&}/' | "$sf" import "$A" --table t -
	until_true 20 grep -q "\"event\":\"head\",\"count\":$(count_of "$A")," "$DIR/events"
	stop_reading
	[ "$(grep -c '"event":"row"' "$DIR/events")" -lt 20000 ] # or the test shows nothing
	grep -q '{"event":"missed"}' "$DIR/events"
}

@test "events are followed by tail, by busybox, and line by line in a shell: as they happen, none twice, none lost" {
	require_fuse
	mount_a
	mkdir "$A/t"
	"$sf" commit "$A" -m begin
	local readers=() i how
	tail -f "$A/.swarm/events" >"$DIR/tail" 2>"$DIR/errors" 3>&- &
	readers+=($!)
	tail -n 0 -F "$A/.swarm/events" >"$DIR/tail-F" 2>>"$DIR/errors" 3>&- &
	readers+=($!)
	busybox tail -f "$A/.swarm/events" >"$DIR/busybox" 2>>"$DIR/errors" 3>&- &
	readers+=($!)
	# A shell reads more than a line, and goes back.
	bash -c 'while read -r line; do echo "$line"; sleep 0.02; done' <"$A/.swarm/events" >"$DIR/shell" 3>&- &
	readers+=($!)
	until_true 10 bash -c "[ \$(ls -l /proc/*/fd 2>/dev/null | grep -c ' $A/.swarm/events\$') -ge 4 ]"
	for i in 1 2 3; do
		seq 10 | while read -r n; do echo "$i" >"$A/t/r$i-$n"; done
		"$sf" commit "$A" -m "$i"
		for how in tail tail-F busybox shell; do
			# While it is open, and nobody writes any more.
			until_true 20 grep -q "\"row\":\"r$i-10\"" "$DIR/$how"
		done
	done
	kill "${readers[@]}"
	wait "${readers[@]}" || true
	[ ! -s "$DIR/errors" ]
	for how in tail tail-F busybox shell; do
		jq -r 'select(.event == "row") | .row' "$DIR/$how" | sort >"$DIR/rows"
		diff <(for i in 1 2 3; do seq -f "r$i-%g" 10; done | sort) "$DIR/rows"
	done
}

@test "times that do not fit are stored as the nearest that do" {
	require_fuse
	mount_a
	mkdir "$A/t" "$DIR/in" "$DIR/in/u"
	echo x >"$A/t/r"
	local far=9223372036.854775807 early=-9223372036.854775808
	touch -d 2300-01-01T00:00:00Z "$A/t/r" "$A/t"
	[ "$(stat -c %.9Y "$A/t/r" "$A/t" | uniq)" = $far ]
	echo y >"$A/t/r" # nothing is later than that
	[ "$(stat -c %.9Y "$A/t/r")" = $far ]
	touch -d 1600-01-01T00:00:00Z "$A/t/r" "$A/t"
	[ "$(stat -c %.9Y "$A/t/r" "$A/t" | uniq)" = $early ]
	touch -d 1969-12-31T23:59:59.25Z "$A/t"
	[ "$(stat -c %.2Y "$A/t")" = -0.75 ]
	"$sf" commit "$A" -m times
	[ "$(stat -c %.9Y "$A/.commits/latest/t/r")" = $early ]
	echo z >"$DIR/in/u/r"
	touch -d 2300-01-01T00:00:00Z "$DIR/in/u/r"
	"$sf" import "$A" "$DIR/in"
	[ "$(stat -c %.9Y "$A/u/r")" = $far ]
	"$sf" verify "$A"
}

@test "more large rows under edit than there are descriptors" {
	require_fuse
	(ulimit -Sn 128 && ulimit -Hn 256 && mount_a)
	grep -q '^Max open files *256 *256 ' "/proc/$(pid_of "$A")/limits"
	mkdir "$A/t" "$A/.txn/x"
	# What a transaction holds is in files until its end.
	python3 - "$A/.txn/x/t" <<'PY'
import os, sys

def path(i): return f"{sys.argv[1]}/r{i}"
for i in range(300):
    with open(path(i), "wb") as f:
        f.truncate(1100000)
        f.write(b"%d" % i)
for i in range(300):
    with open(path(i), "r+b") as f:
        assert f.read(4).rstrip(b"\0") == b"%d" % i
        f.seek(1099999)
        f.write(b"!")
PY
	[ "$(ls "/proc/$(pid_of "$A")/fd" | wc -l)" -lt 256 ]
	rm -r "$A"/.txn/x/t/r[3-9]* "$A"/.txn/x/t/r[12]??
	mv "$A/.txn/x" "$A/.txn/commit"
	[ "$(head -c 2 "$A/t/r10")" = 10 ]
	[ "$(tail -c 1 "$A/t/r10")" = "!" ]
	"$sf" verify "$A"
}

@test "a copy of the mount in another namespace does not keep its process" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a mount namespace"
	mount_a
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	local pid other
	pid=$(pid_of "$A")
	unshare --mount --propagation private sleep 1000 3>&- &
	other=$!
	until_true 10 grep -q sleep "/proc/$other/comm"
	"$sf" umount "$A"
	ends "$pid"
	kill "$other"
	"$sf" verify "$DIR/store-A"
}

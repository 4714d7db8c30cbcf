#!/usr/bin/env bats
# What another peer changes, under everything that a program can have open here: never torn, never of another size than stat
# says, and there at the next open or stat.

load mounts

two_mounts() {
	require_fuse
	mount_a "$@"
	mkdir "$A/t"
	echo base >"$A/t/r"
	mount_b
	until_same "$A" "$B"
}

# waiting PROGRAM ARGUMENT...: run it in the background; `step N` waits until it has said "N", `go` lets it go on.
waiting() {
	mkfifo "$DIR/go"
	python3 -u - "$@" >"$DIR/said" 3>&- 4<>"$DIR/go" <<<"
import os, sys, mmap
def step(name):
    print(name)
    os.read(4, 1)
$(cat)" &
	waiter=$!
}
step() { until_true 20 grep -qx "$1" "$DIR/said"; }
go() { printf x >"$DIR/go"; }
finish() { wait "$waiter" || { cat "$DIR/said"; return 1; }; }

shows() { [ "$(cat "$1")" = "$2" ]; }

@test "who reads keeps the bytes that were there, and the next open has the new ones" {
	two_mounts
	head -c 3000000 /dev/zero | tr '\0' o >"$A/t/r"
	until_same "$A" "$B"
	waiting "$B/t/r" <<'PY'
path = sys.argv[1]
fd = os.open(path, os.O_RDONLY)
first = os.pread(fd, 1000, 0)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
assert m[:10] == b"o" * 10
number = os.fstat(fd).st_ino
step("has it")
# Neither what was read before nor what was not may be anything else, by read() or through the map.
rest = os.pread(fd, 4000000, 0)
assert rest == b"o" * 3000000, len(rest)
assert m[:] == b"o" * 3000000
assert os.fstat(fd).st_size == 3000000 and os.fstat(fd).st_ino == number
st = os.stat(path)
assert st.st_size == 5 and st.st_ino != number, st
assert open(path, "rb").read() == b"short"
PY
	step "has it"
	printf short >"$A/t/r"
	until_same "$A" "$B"
	until_true 10 shows "$B/t/r" short
	go
	finish
}

@test "who has it open for writing and wrote nothing sees the new bytes, also in a map" {
	two_mounts
	printf 'some text that is longer' >"$A/t/r"
	until_same "$A" "$B"
	until_true 10 shows "$B/t/r" 'some text that is longer'
	waiting "$B/t/r" <<'PY'
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
assert os.pread(fd, 100, 0) == b"some text that is longer" == m[:]
step("has it")
assert os.fstat(fd).st_size == 11
assert os.pread(fd, 100, 0) == b"not so long" == m[:11]
# What it writes now is an edit of that.
os.pwrite(fd, b"NOT", 0)
os.close(fd)
m[7:11] = b"LONG"
m.flush()
m.close()
PY
	step "has it"
	printf 'not so long' >"$A/t/r"
	until_same "$A" "$B"
	until_true 10 shows "$B/t/r" "not so long"
	go
	finish
	until_same "$A" "$B"
	until_true 10 shows "$A/t/r" "NOT so LONG"
	[ "$("$sf" status "$A" --json | jq .conflicts)" = 0 ]
}

@test "what a map shows behind a row that became shorter elsewhere is as after truncate" {
	two_mounts
	head -c 20000 /dev/zero | tr '\0' o >"$A/t/r"
	until_same "$A" "$B"
	waiting "$B/t/r" <<'PY'
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
assert m[:] == b"o" * 20000
step("has it")
assert os.fstat(fd).st_size == 5
assert m[:4096] == b"short" + bytes(4091)
child = os.fork()
if child == 0:
    m[19999]
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -7
PY
	step "has it"
	printf short >"$A/t/r"
	until_same "$A" "$B"
	until_true 10 shows "$B/t/r" short
	go
	finish
	"$sf" verify "$B"
}

has_time() { [ "$(stat -c %y "$1")" = "$2" ]; }
has_another_time() { [ "$(stat -c %y "$1")" != "$2" ]; }

@test "a name that was missed, and one that is gone" {
	two_mounts
	local before root name
	before=$(stat -c %y "$B/t")
	root=$(stat -c %y "$B")
	[ ! -e "$B/t/new" ]
	[ ! -e "$B/u" ]
	[ -e "$B/t/r" ]
	run ls "$B/u/x"
	echo 1 >"$A/t/new"
	mkdir "$A/u"
	rm "$A/t/r"
	until_same "$A" "$B"
	until_true 5 shows "$B/t/new" 1
	until_true 5 [ -d "$B/u" ]
	until_true 5 [ ! -e "$B/t/r" ]
	[ "$(ls "$B/t")" = new ]
	# Programs list a directory again when it has another time. One that is set stays until then.
	until_true 5 has_another_time "$B/t" "$before"
	until_true 5 has_another_time "$B" "$root"
	# Permission bits come with it, of a row and of a table.
	for name in t/new t; do
		[ "$(stat -c %a "$B/$name")" != 700 ]
		chmod 700 "$A/$name"
		touch -d "2001-02-03 04:05:06" "$A/$name"
		before=$(stat -c %y "$A/$name")
		until_same "$A" "$B"
		until_true 5 has_time "$B/$name" "$before"
		[ "$(stat -c %a "$B/$name")" = 700 ]
	done
	echo 2 >"$A/t/unasked"
	until_same "$A" "$B"
	until_true 5 has_another_time "$B/t" "$before"
	# The table goes while somebody stands in it.
	cd "$B/u"
	rmdir "$A/u"
	until_same "$A" "$B"
	until_true 5 [ ! -e "$B/u" ]
	[ -z "$(ls -A .)" ]
	run touch x
	[ "$status" -ne 0 ]
	[[ $output == *"No such file"* ]]
	cd /
	# It comes again, and with it what is in it.
	mkdir "$A/u"
	echo x >"$A/u/x"
	until_same "$A" "$B"
	until_true 5 shows "$B/u/x" x
}

@test "through O_APPEND every line goes to the end of what is there by then" {
	two_mounts
	waiting "$B/t/log" <<'PY'
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND | os.O_CREAT)
os.write(fd, b"B 1\n")
step("first")
# The kernel has pages and a size of before; the line goes behind what came meanwhile.
os.write(fd, b"B 2\n")
assert os.pread(fd, 100, 0) == b"B 1\nA 1\nB 2\n", os.pread(fd, 100, 0)
assert os.fstat(fd).st_size == 12
assert open(sys.argv[1], "rb").read() == b"B 1\nA 1\nB 2\n"
step("second")
PY
	step first
	until_same "$A" "$B"
	until_true 10 shows "$A/t/log" "B 1"
	echo "A 1" >>"$A/t/log"
	until_same "$A" "$B"
	until_true 10 shows "$B/t/log" $'B 1\nA 1'
	go
	step second
	until_same "$A" "$B"
	until_true 10 shows "$A/t/log" $'B 1\nA 1\nB 2'
	go
	finish
	[ "$("$sf" status "$A" --json | jq .conflicts)" = 0 ]
}

@test "a walk of a directory goes on as it began, without doubles, whatever comes and goes elsewhere" {
	two_mounts
	python3 -c 'import sys
for i in range(5000): open(f"{sys.argv[1]}/row-{i}", "w").write(str(i))' "$A/t"
	"$sf" commit "$A" -m rows
	until_same "$A" "$B"
	waiting "$B/t" <<'PY'
it = os.scandir(sys.argv[1])
seen = [next(it).name for _ in range(100)]
step("begun")
seen += [e.name for e in it]
assert len(seen) == len(set(seen)), "doubles"
stay = {f"row-{i}" for i in range(5000) if i % 7}
missing = stay - set(seen)
assert not missing, sorted(missing)[:5]
now = set(os.listdir(sys.argv[1]))
assert stay <= now and not any(f"row-{i}" in now for i in range(0, 5000, 7)), len(now)
assert sum(n.startswith("new-") for n in now) == 2000
PY
	step begun
	python3 -c 'import os, sys
for i in range(0, 5000, 7): os.unlink(f"{sys.argv[1]}/row-{i}")
for i in range(2000): open(f"{sys.argv[1]}/new-{i}", "w").write(str(i))' "$A/t"
	"$sf" commit "$A" -m changes
	until_same "$A" "$B"
	go
	finish
}

@test "a table is renamed again and again while tables come and go elsewhere" {
	two_mounts --settle 1
	timeout -k 1 120 python3 - "$B" "$A" <<'PY'
import os, sys, threading
here, there = sys.argv[1:]
stop = threading.Event()
def come_and_go():
    n = 0
    while not stop.is_set():
        name = f"{there}/table-{n % 20}"
        os.mkdir(name) if n // 20 % 2 == 0 else os.rmdir(name)
        stop.wait(0.01)
        n += 1
other = threading.Thread(target=come_and_go, daemon=True)
other.start()
for i in range(2000):
    os.rename(here + "/t", here + "/t2")
    os.rename(here + "/t2", here + "/t")
    # What was known of it before is not shown: its number is another.
    assert os.stat(here + "/t/r").st_ino == next(os.scandir(here + "/t")).inode()
stop.set()
other.join()
PY
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = base ]
}

@test "an edit that is under way when another comes merges at its commit" {
	two_mounts
	echo '{"a":1,"b":1}' >"$A/t/c.json"
	until_same "$A" "$B"
	waiting "$B/t/c.json" <<'PY'
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b'{"a":1,"b":2}\n', 0)
step("written")
# Its own bytes until it is committed.
assert os.pread(fd, 100, 0) == b'{"a":1,"b":2}\n'
os.close(fd)
PY
	step written
	echo '{"a":2,"b":1}' >"$A/t/c.json"
	"$sf" commit "$A" -m theirs
	until_true 20 grep -q '"a":2' "$B/.commits/latest/t/c.json"
	[ "$(cat "$B/t/c.json")" = '{"a":1,"b":2}' ]
	go
	finish
	until_same "$A" "$B"
	until_true 10 shows "$A/t/c.json" '{"a":2,"b":2}'
	until_true 10 shows "$B/t/c.json" '{"a":2,"b":2}'
	[ "$("$sf" status "$B" --json | jq .conflicts)" = 0 ]
}

@test "one that writes as fast as it can, many that read: each version whole, of the size that stat tells" {
	two_mounts
	printf '1 a' >"$A/t/r"
	until_same "$A" "$B"
	# A version is its length in one word, a letter, and that many letters.
	local readers=() r
	for r in 1 2 3; do
		python3 - "$B/t/r" "$DIR/stop" "$DIR/reads-$r" 3>&- <<'PY' &
import os, sys
seen, stops = set(), False
while not stops:
    stops = os.path.exists(sys.argv[2])
    fd = os.open(sys.argv[1], os.O_RDONLY)
    size = os.fstat(fd).st_size
    text = b""
    while True:
        piece = os.pread(fd, 50000, len(text))
        if not piece:
            break
        text += piece
    again = os.fstat(fd).st_size
    os.close(fd)
    head, body = text.split(b" ", 1)
    assert len(body) == int(head), f"{head} says {len(body)} follow"
    assert body == body[:1] * len(body), "torn"
    assert size == len(text) == again, f"stat says {size}, then {again}, and there are {len(text)}"
    if not seen:
        open(sys.argv[3], "w").close()
    seen.add(text[:20])
print(len(seen), "versions seen")
assert len(seen) > 1
PY
		readers+=($!)
	done
	# Each has seen the first version before there is another, and sees the last.
	for r in 1 2 3; do until_true 10 test -e "$DIR/reads-$r"; done
	python3 - "$A/t/r" <<'PY'
import os, sys
sizes = [1, 70000, 5, 300000, 1100, 4096, 2, 131072]
for i in range(120):
    n, letter = sizes[i % len(sizes)], chr(97 + i % 26)
    fd = os.open(sys.argv[1] + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if i % 2 else os.open(sys.argv[1], os.O_WRONLY)
    body = (f"{n} " + letter * n).encode()
    os.write(fd, body)
    os.ftruncate(fd, len(body))
    os.fsync(fd)
    os.close(fd)
    if i % 2:
        os.rename(sys.argv[1] + ".tmp", sys.argv[1])
PY
	until_same "$A" "$B"
	until_true 10 cmp "$A/t/r" "$B/t/r"
	touch "$DIR/stop"
	for r in "${readers[@]}"; do wait "$r"; done
	cmp "$A/t/r" "$B/t/r"
	[ "$(stat -c %s "$A/t/r")" = "$(stat -c %s "$B/t/r")" ]
}

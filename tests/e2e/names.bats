#!/usr/bin/env bats
# Names of tables and rows are bytes, not text: everything that shows or takes one does so without loss.

bats_require_minimum_version 1.5.0
load mounts

setup_file() { export LC_ALL=C.UTF-8; }

row=$'caf\xe9' table=$'\xff\xfe'

@test "tables and rows whose names are no UTF-8" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/$table"
	echo one >"$A/$table/$row"
	[ "$(ls "$A" | od -An -tx1 | tr -d ' ')" = fffe0a ]
	[ "$(ls "$A/$table" | od -An -tx1 | tr -d ' ')" = 636166e90a ]
	mv "$A/$table/$row" "$A/$table/$row$row"
	mv "$A/$table/$row$row" "$A/$table/$row"
	"$sf" commit "$A" -m first
	echo two >"$A/$table/$row"
	"$sf" commit "$A" -m second
	[ "$(cat "$A/.commits/HEAD~1/$table/$row")" = one ]
	[ "$(ls "$A/.commits/HEAD/$table" | od -An -tx1 | tr -d ' ')" = 636166e90a ]
	"$sf" umount "$A"
	mount_a
	[ "$(cat "$A/$table/$row")" = two ]
	rm "$A/$table/$row"
	rmdir "$A/$table"
	"$sf" verify "$A"
}

@test "names from 1 to 255 bytes of any value, and 256 are too many" {
	require_fuse
	mount_a
	python3 - "$A" <<'PY'
import errno, os, sys
a = os.fsencode(sys.argv[1])
good = [bytes([b]) for b in range(1, 256) if b not in b"/."] + [b"\xe9" * 255, b"\xc3" * 254 + b".", b"\n", b"\\", b'"']
bad = [b"\xe9" * 256, b"x" * 256]
def content(d): return {n: open(os.path.join(d, n), "rb").read() for n in os.listdir(d)}
for where in (b"t", b"\xe9" * 255):
    d = os.path.join(a, where)
    os.mkdir(d)
    for n in good:
        open(os.path.join(d, n), "wb").write(n)
    assert content(d) == {n: n for n in good}
    for n in bad:
        for call in (lambda p: os.stat(p), lambda p: os.open(p, os.O_CREAT | os.O_RDWR), os.unlink,
                     lambda p: os.rename(os.path.join(d, b"x"), p)):
            try:
                call(os.path.join(d, n))
                assert False, n
            except OSError as e:
                assert e.errno == errno.ENAMETOOLONG, e
for call in (os.mkdir, os.rmdir, os.stat, lambda p: os.rename(os.path.join(a, b"t"), p)):
    try:
        call(os.path.join(a, b"\xe9" * 256))
        assert False
    except OSError as e:
        assert e.errno == errno.ENAMETOOLONG, e
PY
	"$sf" commit "$A" -m all
	python3 - "$A" <<'PY'
import os, sys
a = os.fsencode(sys.argv[1])
live = os.path.join(a, b"t")
then = os.path.join(a, b".commits", os.readlink(os.path.join(a, b".commits/latest")), b"t")
assert sorted(os.listdir(live)) == sorted(os.listdir(then))
PY
	"$sf" verify "$A"
}

@test "log, diff, show and events: text is quoted, JSON says which bytes" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/$table"
	read_events "$A"
	echo one >"$A/$table/$row"
	# These are names, too: what stands for another must not be taken for it.
	echo three >"$A/$table/caf%E9"
	echo four >"$A/$table/caf\\xe9"
	"$sf" commit "$A" -m first
	grep -aFx 'A "\xff\xfe/caf\xe9" 4 bytes' "$A/.commits/HEAD/.diff"
	grep -aFx 'A "\xff\xfe/caf\\xe9" 5 bytes' "$A/.commits/HEAD/.diff"
	"$sf" diff "$A" HEAD >"$DIR/diff"
	grep -aFx 'A "\xff\xfe/caf\xe9" 4 bytes' "$DIR/diff"
	iconv -f UTF-8 -t UTF-8 "$DIR/diff" >/dev/null
	"$sf" diff "$A" HEAD --stat | grep -F '"\xff\xfe/"  3 added'
	"$sf" diff "$A" HEAD --json >"$DIR/json"
	[ "$(jq -r 'select(.row) | .table + .row' "$DIR/json" | sort | tr '\n' ' ')" = '/%FF%FE/caf%E9 /%FF%FEcaf%E9 /%FF%FEcaf\xe9 ' ]
	[ "$("$sf" log "$A" --table "$table" --row "$row" --json | jq -r .message)" = first ]
	[ "$("$sf" show "$A" HEAD "$table/$row")" = one ]
	[ "$("$sf" show "$A" HEAD "$table/$row" --json | jq -r '.table, .row, .text' | tr '\n' ' ')" = '/%FF%FE /caf%E9 one  ' ]
	# What the escape looks like is another name, which is not there.
	run "$sf" show "$A" HEAD '/%FF%FE//caf%E9'
	[ "$status" -eq 1 ]
	until_true 10 grep -q '"event":"head"' "$DIR/events"
	stop_reading
	[ "$(jq -r 'select(.row == "/caf%E9") | .table' "$DIR/events" | sort -u)" = /%FF%FE ]
	# They are read back to the bytes that they stand for.
	jq -r 'select(.row) | .row' "$DIR/json" | python3 -c 'import os, sys, urllib.parse
names = {urllib.parse.unquote_to_bytes(n[1:]) if n[0] == "/" else os.fsencode(n) for n in sys.stdin.read().split()}
assert names == set(os.listdir(os.fsencode(sys.argv[1]))), names' "$A/$table"
}

@test "two peers, a conflict of such a row, and the program that is told of it" {
	require_fuse
	mount_a
	mkdir "$A/$table"
	echo base >"$A/$table/$row"
	"$sf" commit "$A" -m base
	cat >"$DIR/told" <<-END
		#!/bin/sh
		printf '%s/%s\n' "\$1" "\$2" >>"$DIR/told.out"
		[ -d "\$SWARMFS_CONFLICT" ] && echo there >>"$DIR/told.out"
	END
	chmod +x "$DIR/told"
	mount_b --on-conflict "$DIR/told"
	[ "$(cat "$B/$table/$row")" = base ]
	"$sf" umount "$A"
	echo theirs >"$B/$table/$row"
	"$sf" commit "$B" -m theirs
	"$sf" umount "$B"
	mount_a
	echo ours >"$A/$table/$row"
	"$sf" commit "$A" -m ours
	"$sf" mount "$B" --store "$DIR/store-B" --on-conflict "$DIR/told" --peer "$(url_of "$A")"
	until_same "$A" "$B"
	[ "$(cat "$A/$table/$row")" = ours ]
	[ "$(cat "$A/.conflicts/$table/$row"/*/lost)" = theirs ]
	grep -aFx 'row        "caf\xe9"' "$A/.conflicts/$table/$row"/*/about
	[ "$("$sf" conflicts list "$A" --json | jq -r '.table, .row' | tr '\n' ' ')" = '/%FF%FE /caf%E9 ' ]
	"$sf" conflicts list "$A" | grep -F '"\xff\xfe/caf\xe9"/'
	"$sf" conflicts show "$A" "$table/$row" | grep -aF theirs || "$sf" conflicts show "$A" "$table/$row" --json | jq -e '.what == "row"'
	until_true 10 grep -q there "$DIR/told.out"
	[ "$(head -n 1 "$DIR/told.out")" = "$table/$row" ]
	mv "$A/.conflicts/$table/$row"/*/lost "$A/$table/$row"
	until_same "$A" "$B"
	[ "$(cat "$B/$table/$row")" = theirs ]
	[ "$("$sf" status "$B" --json | jq .conflicts)" = 0 ]
	"$sf" verify "$B"
}

@test "import of files with such names, through the owner's socket and without" {
	require_fuse
	mkdir "$DIR/in"
	echo one >"$DIR/in/$row"
	echo two >"$DIR/in/plain"
	"$sf" init "$DIR/store-A"
	"$sf" import "$DIR/store-A" --table "$table" "$DIR/in"
	mount_a
	diff -r "$DIR/in" "$A/$table"
	"$sf" import "$A" --table other "$DIR/in"
	diff -r "$DIR/in" "$A/other"
}

# A program that knows of no control names, as somebody else's may: this one, with other names in the list that it asks.
make_other() {
	python3 - "$sf" "$1" <<'PY'
import sys

names = b".commits", b".conflicts", b".swarm", b".txn", b".commit", b".diff", b".check", b".message"
program = open(sys.argv[1], "rb").read()
table = b"".join(name.ljust(12, b"\0") for name in names)
assert program.count(table) == 1
open(sys.argv[2], "wb").write(program.replace(table, table.replace(b".", b":")))
PY
	chmod +x "$1"
}

@test "tables that are named as control files: none is made here, and those of others stand in nobody's way" {
	require_fuse
	local name names=(.commits .conflicts .swarm .txn .commit .diff .check .message)
	make_other "$DIR/other"
	for name in "${names[@]}"; do
		mkdir -p "$DIR/in/$name"
		echo theirs >"$DIR/in/$name/status"
	done
	mkdir "$DIR/in/t"
	echo one >"$DIR/in/t/r"
	"$sf" init "$DIR/store-A"
	run -1 "$sf" import "$DIR/store-A" "$DIR/in"
	[[ "$output" == *"no table can be named"*"a mount has that name for itself"* ]]
	"$DIR/other" import "$DIR/store-A" "$DIR/in"
	mount_a
	run -1 "$sf" import "$A" "$DIR/in"
	[[ "$output" == *"no table can be named"* ]]
	# A listing with attributes tells the kernel what each name is.
	[ "$(ls -lA "$A" | awk 'NR > 1 { print $NF }')" = t ]
	run -1 grep theirs "$A/.swarm/status"
	[ -z "$(ls -A "$A/.txn")" ]
	mkdir "$A/.txn/new"
	[ "$(ls -lA "$A/.txn/new" | awk 'NR > 1 { print $NF }')" = t ]
	[ -f "$A/.txn/new/.check" ]
	[ "$(ls -lA "$A/.commits/latest/" | awk 'NR > 1 { print $NF }')" = t ]
	[ -f "$A/.commits/latest/.diff" ]
	for name in "${names[@]}"; do
		run -1 mkdir "$A/$name"
		run -1 mkdir "$A/.txn/new/$name"
		run -1 mv "$A/t" "$A/$name"
		[ "$("$sf" show "$A" HEAD "$name/status")" = theirs ]
	done
	rmdir "$A/.txn/new"
	[ "$(cat "$A/t/r")" = one ]
	"$sf" verify "$A"
}

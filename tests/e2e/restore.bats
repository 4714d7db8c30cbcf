#!/usr/bin/env bats
# restore: a row, a table and everything, from any commit, as a new commit.

load mounts

last() { "$sf" log "$1" --json -n 1 | jq -r "$2"; }

# Three commits on a mount: first, second, third.
setup_past() {
	require_fuse
	mount_a --settle 60000 "$@"
	mkdir "$A/t" "$A/old"
	echo one >"$A/t/r"
	echo '{"x":1}' >"$A/t/c.json"
	echo gone >"$A/t/gone"
	head -c 2500000 /dev/urandom >"$DIR/big"
	cp "$DIR/big" "$A/t/big"
	echo o >"$A/old/o"
	chmod 640 "$A/t/r"
	touch -d '2001-02-03 04:05:06.789' "$A/t/r"
	"$sf" commit "$A" -m first >/dev/null
	FIRST=$(last "$A" .id)
	(cd "$A" && find . -type f -printf '%p %m %s %T@\n' | sort >"$DIR/first" && tar cf "$DIR/first.tar" .)
	echo two >"$A/t/r"
	echo '{"x":2}' >"$A/t/c.json"
	echo smaller >"$A/t/big"
	rm "$A/t/gone" "$A/old/o"
	rmdir "$A/old"
	mkdir "$A/new"
	echo n >"$A/new/n"
	echo more >"$A/t/more"
	chmod 700 "$A/t"
	"$sf" commit "$A" -m second >/dev/null
}

restore() { "$sf" restore "$@"; }

@test "a row comes back as it was, and the message says so" {
	setup_past
	local before id
	before=$(count_of "$A")
	id=$(restore "$A" "$FIRST" t/r)
	[ "$id" = "$(last "$A" .id)" ]
	[ "$(last "$A" .message)" = "restore t/r as of ${FIRST:0:12}" ]
	[ "$(cat "$A/t/r")" = one ]
	[ "$(stat -c '%a %Y' "$A/t/r")" = "640 $(date -d '2001-02-03 04:05:06' +%s)" ]
	[ "$(cat "$A/t/c.json")" = '{"x":2}' ]
	# Once more is no commit.
	[[ $(restore "$A" "$FIRST" t/r) == "nothing to restore"* ]]
	[ "$(count_of "$A")" = $((before + 1)) ]
	# One that was deleted, one that is large, and one that was not there then.
	restore "$A" HEAD~2 t/gone -m 'back again'
	[ "$(last "$A" .message)" = "back again" ]
	[ "$(cat "$A/t/gone")" = gone ]
	restore "$A" "$FIRST" t/big
	cmp "$DIR/big" "$A/t/big"
	restore "$A" "$FIRST" t/more
	[ ! -e "$A/t/more" ]
	# A row of a table that is gone.
	restore "$A" "${FIRST:0:8}" old/o
	[ "$(cat "$A/old/o")" = o ]
	run restore "$A" "$FIRST" t/none
	[ "$status" = 1 ]
	[[ $output == *"no t/none"* ]]
	run restore "$A" nothing
	[ "$status" = 1 ]
	run restore "$A" "$FIRST" /r
	[ "$status" = 2 ]
	"$sf" verify "$A"
}

@test "a table comes back, and the others stay" {
	setup_past
	restore "$A" "$FIRST" t
	[ "$(ls "$A/t" | tr '\n' ' ')" = "big c.json gone r " ]
	[ "$(cat "$A/t/r" "$A/t/c.json")" = $'one\n{"x":1}' ]
	[ "$(ls "$A" | tr '\n' ' ')" = "new t " ]
	restore "$A" "$FIRST" old
	[ "$(cat "$A/old/o")" = o ]
	restore "$A" "$FIRST" new
	[ ! -e "$A/new" ]
	run restore "$A" "$FIRST" none
	[ "$status" = 1 ]
}

@test "everything comes back, byte for byte, on a mount and on a store" {
	setup_past
	local state id
	state=$("$sf" show "$A" "$FIRST" --json | jq -r .state)
	echo 'not committed yet' >"$A/t/pending"
	id=$(restore "$A" "$FIRST")
	[ "$(cd "$A" && find . -type f -printf '%p %m %s %T@\n' | sort)" = "$(cat "$DIR/first")" ]
	(cd "$A" && tar df "$DIR/first.tar")
	[ "$(ls "$A" | tr '\n' ' ')" = "old t " ]
	# The very same state, so the very same root; and what was pending is in history.
	[ "$(last "$A" .state)" = "$state" ]
	[ "$(cat "$A/.commits/HEAD~1/t/pending")" = "not committed yet" ]
	"$sf" umount "$A"
	# A restore is undone by another one.
	restore "$DIR/store-A" HEAD~1
	[ "$("$sf" show "$DIR/store-A" HEAD t/pending)" = "not committed yet" ]
	[ "$("$sf" show "$DIR/store-A" HEAD t/r)" = two ]
	restore "$DIR/store-A" "$id"
	[ "$("$sf" status "$DIR/store-A" --json | jq -r .head.root)" = "$state" ]
	"$sf" verify "$DIR/store-A"
}

@test "a row that a program is writing is left alone" {
	setup_past
	mkfifo "$DIR/go"
	# A fork would close a copy of the descriptor, and with that flush.
	python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, b"half")
open(sys.argv[2], "w").close()
open(sys.argv[3]).read()
os.close(fd)' "$A/t/r" "$DIR/written" "$DIR/go" 3>&- &
	until_true 10 test -e "$DIR/written"
	run restore "$A" "$FIRST"
	[ "$status" = 1 ]
	[[ $output == *"t/r is being written"* ]]
	[ -e "$A/new/n" ]
	: >"$DIR/go"
	wait $!
	[ "$(head -c 4 "$A/t/r")" = half ]
	restore "$A" "$FIRST"
	[ "$(cat "$A/t/r")" = one ]
}

@test "as much as fits into a commit comes back in one: whole, or not at all" {
	local n
	n=$(plain_or 60000 15000)
	"$sf" init "$DIR/s" >/dev/null
	seq "$n" | awk '{ printf "{\"id\":%d}\n", $1 }' | "$sf" import "$DIR/s" --table many -
	local root before
	root=$("$sf" status "$DIR/s" --json | jq -r .head.root)
	"$sf" tag "$DIR/s" all >/dev/null
	before=$(count_of "$DIR/s")
	restore "$DIR/s" "$("$sf" log "$DIR/s" --json | tail -n 1 | jq -r .id)" many
	[ "$(count_of "$DIR/s")" = $((before + 1)) ]
	[ "$("$sf" show "$DIR/s" HEAD --json | jq -r .rows)" = "$n" ]
	run "$sf" show "$DIR/s" HEAD many/1.json
	[ "$status" = 1 ]
	restore "$DIR/s" all
	[ "$(count_of "$DIR/s")" = $((before + 2)) ]
	"$sf" tag "$DIR/s" -d all
	[ "$("$sf" status "$DIR/s" --json | jq -r .head.root)" = "$root" ]
	"$sf" verify "$DIR/s"
}

@test "what does not fit into a commit comes back in several, to the same root" {
	"$sf" init "$DIR/s" >/dev/null
	local root
	# Of columns that changed each has its place in the commit: of these rows there are too many for one.
	wide() { awk -v v="$1" 'BEGIN { for (i = 0; i < 8000; i++) { printf "{\"id\":%d", i; for (c = 0; c < 50; c++) printf ",\"c%d\":%d", c, v; print "}" } }'; }
	wide 1 | head -n 4000 | "$sf" import "$DIR/s" --table wide -
	wide 1 | tail -n 4000 | "$sf" import "$DIR/s" --table wide -
	root=$("$sf" status "$DIR/s" --json | jq -r .head.root)
	"$sf" tag "$DIR/s" ones >/dev/null
	wide 2 | head -n 4000 | "$sf" import "$DIR/s" --table wide -
	wide 2 | tail -n 4000 | "$sf" import "$DIR/s" --table wide -
	run restore "$DIR/s" ones
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"8000 rows in 2 commits"* ]]
	"$sf" tag "$DIR/s" -d ones
	[ "$("$sf" status "$DIR/s" --json | jq -r .head.root)" = "$root" ]
	"$sf" verify "$DIR/s"
}

@test "with --conflict drop a restore is strict" {
	setup_past --conflict drop
	restore "$A" "$FIRST"
	[ "$(last "$A" .mode)" = strict ]
	(cd "$A" && tar df "$DIR/first.tar")
}

#!/usr/bin/env bats
# Tables with a schema: what is refused here, and what a merge made that no schema would have taken.

load mounts

SCHEMA='CREATE TABLE people(
	id INTEGER PRIMARY KEY, -- the row'"'"'s name
	name TEXT NOT NULL,
	age INTEGER CHECK (age BETWEEN 0 AND 150),
	boss INTEGER REFERENCES people
) STRICT;'

setup_people() {
	require_fuse
	mount_a
	mkdir "$A/people"
	echo "$SCHEMA" >"$A/people/.schema"
	echo '{"id":1,"name":"Ada","age":36}' >"$A/people/1.json"
	"$sf" commit "$A" >/dev/null
}

# Python tells what each call said: "write ok", "fsync EINVAL". TEXT goes to ROW in the way that is named.
try() {
	python3 - "$@" <<'PY'
import errno, os, sys
how, row, text = sys.argv[1:]
def call(name, fn, *args):
    try:
        fn(*args)
        print(name, "ok")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
if how == "truncate":
    call(how, os.truncate, row, int(text))
    sys.exit()
other = row + ".new" if how == "replace" else row
fd = os.open(other, os.O_WRONLY | os.O_CREAT | (0 if how == "append" else os.O_TRUNC) | (os.O_APPEND if how == "append" else 0), 0o644)
call("write", os.write, fd, text.encode())
if how == "fsync":
    call("fsync", os.fsync, fd)
call("close", os.close, fd)
if how == "replace":
    call("replace", os.replace, other, row)
PY
}

# Longer than a page, which the kernel could have kept, and all of one length.
long_row() { printf '{"id":1,"name":"%s","age":%s}' "$(printf "$1%.0s" {1..9000})" "$2"; }

status_of() { "$sf" status "$1" --json | jq -c ".schema$2"; }
events_say() { grep -q "$1" "$DIR/events"; }

@test "a row that its schema refuses fails close, fsync, rename and truncate, and the old row stays" {
	setup_people
	local row=$A/people/1.json old bad
	old=$(long_row a 36)
	bad=$(long_row b -1)
	printf %s "$old" >"$row"
	"$sf" commit "$A" >/dev/null
	local before
	before=$("$sf" log "$A" people/1.json --json | wc -l)
	for how in close fsync append; do
		try "$how" "$row" "$bad" >"$DIR/said"
		grep -x 'close EINVAL' "$DIR/said"
		[ "$how" != fsync ] || grep -x 'fsync EINVAL' "$DIR/said"
		[ "$(cat "$row")" = "$old" ]
		[ "$(stat -c %s "$row")" = ${#old} ]
	done
	[ "$(try replace "$row" "$bad")" = $'write ok\nclose ok\nreplace EINVAL' ]
	[ "$(cat "$row")" = "$old" ]
	[ "$(cat "$row.new")" = "$bad" ]
	rm "$row.new"
	[ "$(try truncate "$row" 3)" = 'truncate EINVAL' ]
	[ "$(cat "$row")" = "$old" ]
	echo nonsense >"$DIR/nonsense"
	run cp "$DIR/nonsense" "$row"
	[ "$status" = 1 ]
	[ "$(cat "$row")" = "$old" ]
	# Nobody is told when the last descriptor goes without a write.
	: >"$row"
	printf %s "$old" >"$DIR/old"
	until_true 20 cmp "$row" "$DIR/old"
	# A new row is not there then, in no listing either.
	[ "$(try close "$A/people/2.json" '{"id":3,"name":"x"}')" = $'write ok\nclose EINVAL' ]
	[ ! -e "$A/people/2.json" ]
	[ "$(ls "$A/people")" = 1.json ]
	"$sf" commit "$A" >/dev/null
	[ "$("$sf" log "$A" people/1.json --json | wc -l)" = "$before" ]
	"$sf" verify "$A"
}

@test "status says which row, why, and where its text is; a shell does not look" {
	setup_people
	echo '{"id":1,"name":"Ada","aeg":36}' >"$A/people/1.json"
	[ "$(cat "$A/people/1.json")" = '{"id":1,"name":"Ada","age":36}' ]
	grep '^REFUSED   people/1.json, written 20.*: its member aeg is no column of the schema; the text is in ' "$A/.swarm/status"
	"$sf" status "$A" | grep -q '^REFUSED '
	[ "$(status_of "$A" '.refused[0] | [.table, .row, .reason]')" = \
		'["people","1.json","its member aeg is no column of the schema"]' ]
	local path
	path=$(status_of "$A" '.refused[0].path' | jq -r .)
	[ "$(cat "$path")" = '{"id":1,"name":"Ada","aeg":36}' ]
	# It survives the mount, and is done with when the row is written well.
	"$sf" umount "$A"
	mount_a
	grep '^REFUSED   people/1.json' "$A/.swarm/status"
	sed 's/aeg/age/; s/36/37/' "$path" >"$A/people/1.json"
	[ "$(cat "$A/people/1.json")" = '{"id":1,"name":"Ada","age":37}' ]
	[ "$(status_of "$A" .refused)" = '[]' ]
	[ ! -e "$path" ]
	run grep '^REFUSED' "$A/.swarm/status"
	[ "$status" = 1 ]
}

@test "programs that write in pieces, through other names or in place, may have what is good in the end" {
	setup_people
	# The first closes the row in the middle of it, and is told so.
	{ echo '{"id":2,' | cat 2>"$DIR/said" || echo >>"$DIR/said"; echo '"name":"Bob"}' | cat; } >"$A/people/2.json"
	grep 'Invalid argument' "$DIR/said"
	[ "$(jq -r .name "$A/people/2.json")" = Bob ]
	[ "$(status_of "$A" .refused)" = '[]' ]
	sed -i 's/Bob/Bill/' "$A/people/2.json"
	[ "$(jq -r .name "$A/people/2.json")" = Bill ]
	echo '{"id":3,"name":"Cy"}' >"$DIR/3.json"
	rsync -a "$DIR/3.json" "$A/people/"
	jq -c '.boss = 2' "$A/people/3.json" | sponge "$A/people/3.json"
	mv "$A/people" "$A/folk"
	"$sf" commit "$A" >/dev/null
	[ "$(cat "$A/folk/3.json")" = '{"id":3,"name":"Cy","boss":2}' ]
	run cp "$A/folk/3.json" "$A/folk/4.json"
	[ "$status" = 1 ]
	[ "$(ls "$A/folk")" = $'1.json\n2.json\n3.json' ]
	# Names that are no rows of the schema are nobody's business.
	echo 'about these people' >"$A/folk/README"
	[ "$(cat "$A/folk/README")" = 'about these people' ]
}

@test "a schema is refused when it is none, or when a row that is there breaks it" {
	setup_people
	[ "$(try close "$A/people/.schema" 'CREATE TABLE people(')" = $'write ok\nclose EINVAL' ]
	[ "$(cat "$A/people/.schema")" = "$SCHEMA" ]
	[ "$(try close "$A/people/.schema" 'ATTACH "/etc/passwd" AS p')" = $'write ok\nclose EINVAL' ]
	grep 'people/.schema, written .*: it must be one CREATE TABLE, and nothing else' "$A/.swarm/status"
	[ "$(try close "$A/people/.schema" 'CREATE TABLE p(id, name, age CHECK (age > 40))')" = $'write ok\nclose EINVAL' ]
	grep 'the row 1.json, which is there, breaks it: CHECK constraint failed: age > 40' "$A/.swarm/status"
	[ "$(try close "$A/people/.schema" 'CREATE TABLE p(id, name, age CHECK (age > 30))')" = $'write ok\nclose ok' ]
	[ "$(try close "$A/people/1.json" '{"age":30}')" = $'write ok\nclose EINVAL' ]
	rm "$A/people/.schema"
	[ "$(try close "$A/people/1.json" '{"age":30}')" = $'write ok\nclose ok' ]
}

@test "transactions, import and restore are refused in a sentence" {
	setup_people
	mkdir "$A/.txn/t"
	[ "$(try close "$A/.txn/t/people/1.json" "$(long_row a 36)")" = $'write ok\nclose ok' ]
	[ "$(try close "$A/.txn/t/people/1.json" "$(long_row b -1)")" = $'write ok\nclose EINVAL' ]
	[ "$(cat "$A/.txn/t/people/1.json")" = "$(long_row a 36)" ]
	echo '{"id":2,"name":"Bob","boss":1}' >"$A/.txn/t/people/2.json"
	mv "$A/.txn/t" "$A/.txn/commit"
	[ "$(jq .boss "$A/people/2.json")" = 1 ]

	printf '{"id":5,"name":"E","boss":6}\n{"id":6,"name":"F"}\n' >"$DIR/people.jsonl"
	"$sf" import "$A" --table people --key id "$DIR/people.jsonl"
	printf '{"id":7,"name":"G"}\n{"id":8,"name":"H","age":151}\n' >"$DIR/people.jsonl"
	run "$sf" import "$A" --table people --key id "$DIR/people.jsonl"
	[ "$status" = 1 ]
	[[ $output == *"people/8.json: CHECK constraint failed: age BETWEEN 0 AND 150"* ]]
	[ ! -e "$A/people/7.json" ]

	local before
	before=$(cat "$A/.swarm/commit")
	echo '{"id":1,"name":"Ada","age":149}' >"$A/people/1.json"
	"$sf" commit "$A" >/dev/null
	echo "${SCHEMA/0 AND/40 AND}" >"$A/people/.schema"
	"$sf" commit "$A" >/dev/null
	run "$sf" restore "$A" "$before" people/1.json
	[ "$status" = 1 ]
	[[ $output == *"people/1.json: CHECK constraint failed: age BETWEEN 40 AND 150"* ]]
	[ "$(jq .age "$A/people/1.json")" = 149 ]
	# A table brings its schema along.
	"$sf" restore "$A" "$before" people
	[ "$(jq .age "$A/people/1.json")" = 36 ]
	[ "$(cat "$A/people/.schema")" = "$SCHEMA" ]
	"$sf" verify "$A"
}

@test "a merge that breaks a CHECK is kept by both peers, and both report it" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo 'CREATE TABLE t(x INTEGER, y INTEGER, CHECK (x + y <= 10))' >"$A/t/.schema"
	echo '{"x":1,"y":1}' >"$A/t/r.json"
	mount_b
	until_same "$A" "$B"
	[ "$(status_of "$A" .broken)" = '[]' ]
	"$sf" umount "$B"
	echo '{"x":9,"y":1}' >"$A/t/r.json"
	"$sf" commit "$A" >/dev/null
	"$sf" umount "$A"
	"$sf" mount "$B" --store "$DIR/store-B" --no-peers --listen tcp://127.0.0.1:0
	echo '{"x":1,"y":9}' >"$B/t/r.json"
	"$sf" commit "$B" >/dev/null
	read_events "$B"
	mount_a --peer "$(url_of "$B")"
	until_same "$A" "$B"
	for m in "$A" "$B"; do
		[ "$(cat "$m/t/r.json")" = '{"x":9,"y":9}' ]
		until_true 20 grep -x 'broken    t/r.json breaks its schema: CHECK constraint failed: x + y <= 10' "$m/.swarm/status"
		[ "$(status_of "$m" .broken)" = '[{"table":"t","row":"r.json","reason":"CHECK constraint failed: x + y <= 10"}]' ]
		"$sf" verify "$m" >"$DIR/verify"
		grep -x 't/r.json breaks its schema: CHECK constraint failed: x + y <= 10' "$DIR/verify"
		[ "$("$sf" verify "$m" --json | jq -c '[.ok, .broken[].row, .more]')" = '[true,"r.json",false]' ]
	done
	until_true 20 events_say '{"event":"schema","change":"broken","table":"t","row":"r.json","reason":"CHECK constraint failed: x + y <= 10"}'
	same_head "$A" "$B"
	# Who writes it well mends it for all.
	echo '{"x":5,"y":5}' >"$A/t/r.json"
	until_same "$A" "$B"
	for m in "$A" "$B"; do
		until_true 20 eval "[ \"\$(status_of '$m' .broken)\" = '[]' ]"
	done
	until_true 20 events_say '{"event":"schema","change":"mended","table":"t","row":"r.json"}'
	stop_reading
	# A store that nobody serves is looked at by verify alone.
	"$sf" umount "$A"
	[ "$(status_of "$DIR/store-A" .broken)" = null ]
	[ "$("$sf" verify "$DIR/store-A" --json | jq -c .broken)" = '[]' ]
}

@test "what was lost is written again only as the schema is now: else a sentence, EINVAL, and the conflict stays" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo '{"x":1,"y":1}' >"$A/t/r.json"
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	echo '{"x":20,"y":2}' >"$A/t/r.json"
	"$sf" commit "$A" >/dev/null
	"$sf" umount "$A"
	"$sf" mount "$B" --store "$DIR/store-B" --no-peers --listen tcp://127.0.0.1:0
	echo '{"x":2,"y":1}' >"$B/t/r.json"
	"$sf" commit "$B" >/dev/null
	mount_a --peer "$(url_of "$B")"
	until_same "$A" "$B"
	[ "$(cat "$A/t/r.json")" = '{"x":2,"y":2}' ]
	echo 'CREATE TABLE t(x INTEGER CHECK (x <= 10), y INTEGER)' >"$A/t/.schema"
	"$sf" commit "$A" >/dev/null
	local before lost
	before=$(head_of "$A")
	lost=$(echo "$A"/.conflicts/t/r.json/*/lost)
	run "$sf" conflicts reapply "$A" t/r.json
	[ "$status" = 1 ]
	[[ $output == *"t/r.json: CHECK constraint failed: x <= 10"* ]]
	python3 - "$lost" "$A/t/r.json" <<'PY'
import errno, os, sys
try:
    os.rename(*sys.argv[1:])
    raise AssertionError("renamed")
except OSError as e:
    assert e.errno == errno.EINVAL, e
PY
	# Nothing was written, and nothing resolved.
	[ "$(head_of "$A")" = "$before" ]
	[ "$(cat "$A/t/r.json")" = '{"x":2,"y":2}' ]
	[ "$(cat "$lost")" = '{"x":20,"y":2}' ]
	[ "$("$sf" conflicts list "$A" | wc -l)" = 1 ]
	# When the schema takes it, it is written as ever: the column that was lost, and no other.
	echo 'CREATE TABLE t(x INTEGER CHECK (x <= 30), y INTEGER)' >"$A/t/.schema"
	echo '{"x":3,"y":7}' >"$A/t/r.json"
	"$sf" conflicts reapply "$A" t/r.json >/dev/null
	until_true 5 grep -xF '{"x":20,"y":7}' "$A/t/r.json"
	[ "$("$sf" conflicts list "$A")" = "" ]
	until_same "$A" "$B"
	"$sf" verify "$B"
}

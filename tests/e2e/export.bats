#!/usr/bin/env bats
# Export: what import reads again is the same rows, a tar has every byte, and all of it is of one commit.

load mounts
sf=${SWARMFS:?names the binary}

files() { find . -type f -printf '%p %m %T@\n' | sort; }
# same_rows STORE A B: two tables have the same names and bytes.
same_rows() {
	"$sf" export "$1" --format tar "$2" "$3" >"$DIR/same.tar"
	rm -rf "$DIR/same"
	mkdir "$DIR/same"
	tar -x -C "$DIR/same" -f "$DIR/same.tar"
	diff -r "$DIR/same/$2" "$DIR/same/$3"
}

@test "JSON Lines, JSON and CSV that are imported again are the same rows, byte for byte" {
	"$sf" init "$DIR/s" >/dev/null
	python3 - "$DIR" <<'PY'
import csv, json, random, sys
r = random.Random(1)
text = lambda: "".join(r.choice(',"\n\r\\ \tabä\U0001f600;\'/=') for _ in range(r.randrange(12)))
with open(sys.argv[1] + "/l.jsonl", "w") as f:
    for i in range(400):
        row = {"id": f"{i}ä {i}", text() + "x": text(), "n": r.choice([1, 1.50, -0.0, 10**30, None, True, [1, {"a": []}]])}
        f.write(json.dumps(row, ensure_ascii=r.random() < 0.5) + "\n")
with open(sys.argv[1] + "/c.csv", "w", newline="") as f:
    w = csv.writer(f)
    w.writerow(["id", "a,b", ' c "', "ä\n"])
    w.writerows([i, text(), text(), text()] for i in range(400))
with open(sys.argv[1] + "/p.json", "w") as f:
    json.dump([{"id": i, "x": {"y": [i]}} for i in range(400)], f, indent=1)
PY
	local f
	for f in l.jsonl c.csv p.json; do
		"$sf" import "$DIR/s" "$DIR/$f"
		"$sf" export "$DIR/s" "${f%.*}" -o "$DIR/again.${f#*.}" 2>"$DIR/said"
		[ ! -s "$DIR/said" ]
		"$sf" import "$DIR/s" --table "again-${f%.*}" "$DIR/again.${f#*.}"
		same_rows "$DIR/s" "${f%.*}" "again-${f%.*}"
	done
	# The first is a file in the order of names; the forms of the same rows agree.
	cmp <(sort "$DIR/l.jsonl") <(sort "$DIR/again.jsonl")
	"$sf" export "$DIR/s" l --format json | jq -c '.[].id' | cmp - <(jq -c .id "$DIR/again.jsonl")
	[ "$("$sf" export "$DIR/s" p | jq -s length)" = 400 ]
}

@test "what import would not make again is told of: names, types, line ends" {
	"$sf" init "$DIR/s" >/dev/null
	printf '{"code":"x","n":1}\n{"code":"y"}\n' >"$DIR/r.jsonl"
	"$sf" import "$DIR/s" --table keyed --key code "$DIR/r.jsonl"
	"$sf" import "$DIR/s" --table numbered "$DIR/r.jsonl"
	"$sf" export "$DIR/s" numbered >"$DIR/out" 2>"$DIR/said"
	cmp "$DIR/out" "$DIR/r.jsonl"
	[ ! -s "$DIR/said" ]
	"$sf" export "$DIR/s" keyed >"$DIR/out" 2>"$DIR/said"
	cmp "$DIR/out" "$DIR/r.jsonl"
	[ "$(cat "$DIR/said")" = "swarmfs: note: to get rows of the same names again, import it with --key code" ]
	"$sf" export "$DIR/s" keyed --format csv >"$DIR/out" 2>"$DIR/said"
	[ "$(cat "$DIR/out")" = $'code,n\nx,1\ny,' ]
	[ "$(head -n 1 "$DIR/said")" = "swarmfs: note: 2 rows would not be the same bytes when imported again; --format tar keeps them" ]
	# A column that fits the first row only is not the one.
	printf '{"also":"x","code":"x"}\n{"also":"z","code":"y"}\n' | "$sf" import "$DIR/s" --table both --key code -
	"$sf" export "$DIR/s" both 2>&1 >/dev/null | grep -e "--key code"
	mkdir -p "$DIR/d/files"
	printf '{\n "a": 1\n}\n' >"$DIR/d/files/pretty"
	printf '{"a":2}' >"$DIR/d/files/short"
	"$sf" import "$DIR/s" "$DIR/d"
	"$sf" export "$DIR/s" files >"$DIR/out" 2>"$DIR/said"
	[ "$(cat "$DIR/out")" = $'{  "a": 1 }\n{"a":2}' ]
	grep "2 rows would not be the same bytes" "$DIR/said"
	grep "no column has the names.*tar keeps them" "$DIR/said"
	# An array keeps line ends, so only the row that ends without one differs.
	"$sf" export "$DIR/s" files --format json 2>&1 >/dev/null | grep "1 row would not be the same bytes"
}

@test "a tar of the whole database has every byte, name, mode and time, and two are equal" {
	"$sf" init "$DIR/s" >/dev/null
	local long t
	long=$(printf 'n%.0s' $(seq 255))
	t=$(printf 't%.0s' $(seq 150))
	mkdir -p "$DIR/d/odd  name" "$DIR/d/-dash" "$DIR/d/$long" "$DIR/d/$t" "$DIR/d/none"
	head -c 3000000 /dev/urandom >"$DIR/d/odd  name/large"
	printf 'a\0b' >"$DIR/d/odd  name/"$'new\nline \xff"'
	: >"$DIR/d/-dash/-empty"
	head -c 512 /dev/urandom >"$DIR/d/-dash/block"
	echo x >"$DIR/d/$long/$long"
	echo x >"$DIR/d/$t/$(printf 'k%.0s' $(seq 100))"
	chmod 600 "$DIR/d/-dash/block"
	touch -d 1965-01-01T00:00:00.25Z "$DIR/d/-dash/-empty"
	# Beyond the eleven digits of a header.
	touch -d 2250-01-01T00:00:00Z "$DIR/d/-dash/block"
	"$sf" import "$DIR/s" "$DIR/d"
	"$sf" export "$DIR/s" -o "$DIR/all.tar"
	mkdir "$DIR/out"
	tar --warning=no-timestamp -x -p -C "$DIR/out" -f "$DIR/all.tar"
	diff -r "$DIR/d" "$DIR/out"
	cmp <(cd "$DIR/d" && files) <(cd "$DIR/out" && files)
	"$sf" init "$DIR/again" >/dev/null
	"$sf" import "$DIR/again" "$DIR/out"
	"$sf" export "$DIR/again" >"$DIR/again.tar"
	# The times of tables are of when they were made; all else is the same.
	python3 - "$DIR/all.tar" "$DIR/again.tar" <<'PY'
import sys, tarfile
def entries(path):
    with tarfile.open(path, errors="surrogateescape") as t:
        return [(m.name, m.type, m.mode, None if m.isdir() else m.mtime, m.size, None if m.isdir() else t.extractfile(m).read()) for m in t]
a, b = map(entries, sys.argv[1:])
assert a == b and len(a) == 11, (len(a), len(b))
PY
	"$sf" export "$DIR/s" | cmp - "$DIR/all.tar"
	# One table, by its name as it is.
	[ "$("$sf" export "$DIR/s" --format tar -- -dash | tar -t)" = $'-dash/\n-dash/-empty\n-dash/block' ]
}

@test "a tar goes straight into a mount" {
	require_fuse
	"$sf" init "$DIR/s" >/dev/null
	printf '{"id":1}\n{"id":2}\n' | "$sf" import "$DIR/s" --table t -
	mount_a
	"$sf" export "$DIR/s" | tar -x -C "$A"
	[ "$(cat "$A/t/2.json")" = '{"id":2}' ]
	"$sf" commit "$A" -m filled
	cmp <("$sf" export "$A" t) <("$sf" export "$DIR/s" t)
}

@test "an empty table, an empty database, and rows that a format has no place for" {
	"$sf" init "$DIR/s" >/dev/null
	[ "$("$sf" export "$DIR/s" | tar -t)" = "" ]
	mkdir -p "$DIR/d/none" "$DIR/d/mixed"
	printf '\0' >"$DIR/d/mixed/"$'\033[2J'
	echo '{"a":1,"a":2}' >"$DIR/d/mixed/twice.json"
	echo '{"a":1}' >"$DIR/d/mixed/b.json"
	echo text >"$DIR/d/mixed/text"
	"$sf" import "$DIR/s" "$DIR/d"
	[ -z "$("$sf" export "$DIR/s" none)" ]
	[ -z "$("$sf" export "$DIR/s" none --format csv)" ]
	[ "$("$sf" export "$DIR/s" none --format json | jq -c .)" = "[]" ]
	run "$sf" export "$DIR/s" mixed -o "$DIR/out.jsonl"
	[ "$status" = 1 ]
	[[ $output == 'swarmfs: the row "mixed/\x1b[2J" is no JSON object; --format tar takes every row, and --skip leaves such rows out' ]]
	[ ! -e "$DIR/out.jsonl" ]
	[ -z "$(find "$DIR" -maxdepth 1 -name '.out*')" ]
	# As deep as a row may be; in an array it would be deeper than import takes.
	printf '{"id":1,"a":%s}\n' "$(printf '[%.0s' $(seq 63))$(printf ']%.0s' $(seq 63))" | "$sf" import "$DIR/s" --table deep -
	"$sf" export "$DIR/s" deep -o "$DIR/again.jsonl"
	"$sf" import "$DIR/s" "$DIR/again.jsonl"
	same_rows "$DIR/s" deep again
	run "$sf" export "$DIR/s" deep --format json
	[ "$status" = 1 ]
	[[ $output == *"the row deep/1.json is nested too deep"*"tar takes every row"* ]]
	# The schema goes only into a tar, and is no reason to fail.
	echo 'CREATE TABLE t(id)' >"$DIR/d/none/.schema"
	echo '{"id":1}' >"$DIR/d/none/1.json"
	"$sf" import "$DIR/s" --table typed "$DIR/d/none"
	[ "$("$sf" export "$DIR/s" typed 2>"$DIR/said")" = '{"id":1}' ]
	[ "$(cat "$DIR/said")" = "swarmfs: note: the schema was left out; --format tar keeps it" ]
	"$sf" export "$DIR/s" --format tar typed | tar -t | grep -x typed/.schema
	"$sf" export "$DIR/s" mixed --skip >"$DIR/out" 2>"$DIR/said"
	[ "$(cat "$DIR/out")" = $'{"a":1}\n{"a":1,"a":2}' ]
	grep "2 rows were left out" "$DIR/said"
	"$sf" export "$DIR/s" mixed --skip --format csv >"$DIR/out" 2>"$DIR/said"
	[ "$(cat "$DIR/out")" = $'a\n1' ]
	grep "3 rows were left out" "$DIR/said"
}

@test "a commit by its name, and what is wrong with the words" {
	"$sf" init "$DIR/s" >/dev/null
	echo '{"id":1}' | "$sf" import "$DIR/s" --table t -
	"$sf" tag "$DIR/s" before
	echo '{"id":2}' | "$sf" import "$DIR/s" --table t -
	[ "$("$sf" export "$DIR/s" t --at before)" = '{"id":1}' ]
	[ "$("$sf" export "$DIR/s" t | wc -l)" = 2 ]
	run "$sf" export "$DIR/s" t --at HEAD~100
	[ "$status" = 1 ]
	[[ $output == *"only"*commits* ]]
	run "$sf" export "$DIR/s" none
	[ "$status" = 1 ]
	[[ $output == *"there is no table none"* ]]
	run "$sf" export "$DIR/s" --format tar t none
	[ "$status" = 1 ]
	run "$sf" export "$DIR/s" t --format xml
	[ "$status" = 2 ]
	[[ $output == *"'xml'"* ]]
	run "$sf" export "$DIR/s" --format csv
	[ "$status" = 2 ]
	run "$sf" export "$DIR/s" --skip
	[ "$status" = 2 ]
	run "$sf" export "$DIR/s" t -o "$DIR/no/such/directory"
	[ "$status" = 1 ]
	[[ $output == *"cannot write"*"No such file"* ]]
	# A tar is nothing for a terminal; a table is.
	on_a_terminal() { script -qec "$*" /dev/null </dev/null 3>&-; }
	on_a_terminal "$sf export $DIR/s; echo \$?" | tr -d '\r' | tail -n 1 | grep -x 2
	on_a_terminal "$sf export $DIR/s t" | grep -F '{"id":1}'
}

@test "what is exported while others write is of one commit, however slowly it is read" {
	"$sf" serve "$DIR/s"
	local k p
	rows() { seq 3000 | awk -v n="$1" '{ printf "{\"id\":%d,\"n\":%d,\"pad\":\"%0100d\"}\n", $1, n, 0 }'; }
	rows 0 | "$sf" import "$DIR/s" --table t -
	# Half of it is read; then all rows change, history is freed, and the rest is read.
	mkfifo "$DIR/pipe"
	"$sf" export "$DIR/s" t >"$DIR/pipe" 3>&- &
	p=$!
	exec 7<"$DIR/pipe"
	head -c 65536 <&7 >"$DIR/read"
	rows 1 | "$sf" import "$DIR/s" --table t -
	"$sf" gc "$DIR/s" --keep 0 --sole || true
	cat <&7 >>"$DIR/read"
	exec 7<&-
	wait "$p"
	[ "$(jq .n "$DIR/read" | sort -u)" = 0 ]
	[ "$(wc -l <"$DIR/read")" = 3000 ]
	# And the other way round: exports while a writer goes on.
	(for k in 2 3 4 5 6; do rows "$k" | "$sf" import "$DIR/s" --table t -; done) >/dev/null 3>&- &
	p=$!
	for k in $(seq 6); do
		"$sf" export "$DIR/s" t >"$DIR/out"
		[ "$(jq .n "$DIR/out" | sort -u | wc -l)" = 1 ]
		[ "$(wc -l <"$DIR/out")" = 3000 ]
	done
	wait "$p"
	"$sf" verify "$DIR/s"
}

@test "a closed pipe ends it, a full disk is told of and leaves the file that was there" {
	"$sf" serve "$DIR/s"
	seq 100000 | sed 's/.*/{"id":&,"text":"some text that makes the row a little longer"}/' | "$sf" import "$DIR/s" --table t -
	"$sf" export "$DIR/s" t 2>"$DIR/said" | head -n 1 | grep '{"id":1,'
	[ ! -s "$DIR/said" ]
	# The process that serves goes on, and its command is over.
	"$sf" status "$DIR/s" >/dev/null
	run bash -c '"$@" >/dev/full' bash "$sf" export "$DIR/s"
	[ "$status" = 1 ]
	[[ $output == *"No space left"* ]]
	ln -s real.jsonl "$DIR/link.jsonl"
	umask 027
	"$sf" export "$DIR/s" t -o "$DIR/link.jsonl"
	[ -L "$DIR/link.jsonl" ]
	[ "$(wc -l <"$DIR/real.jsonl")" = 100000 ]
	[ "$(stat -c %a "$DIR/real.jsonl")" = 640 ]
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	mkdir "$DIR/small"
	mount -t tmpfs -o size=1m tmpfs "$DIR/small"
	echo before >"$DIR/small/out"
	run "$sf" export "$DIR/s" t -o "$DIR/small/out"
	[ "$status" = 1 ]
	[[ $output == *"No space left"* ]]
	[ "$(cat "$DIR/small/out")" = before ]
	[ "$(ls -A "$DIR/small")" = out ]
}

@test "nothing is left of a file that was not finished, however the command ends; '-' is standard output" {
	local pid said sign serving long
	"$sf" serve "$DIR/s"
	echo '{"id":1}' | "$sf" import "$DIR/s" --table t -
	mkdir "$DIR/o"
	echo before >"$DIR/o/out"
	said=$(cd "$DIR/o" && "$sf" export "$DIR/s" t -o -)
	[ "$said" = '{"id":1}' ]
	[ "$(ls -A "$DIR/o")" = out ]
	long=$(printf 'n%.0s' {1..255})
	"$sf" export "$DIR/s" t -o "$DIR/$long"
	[ "$(cat "$DIR/$long")" = '{"id":1}' ]
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_WRONLY)' "$DIR/o" || skip "the file system has no files without names"
	# The other end does not answer, so that the command cannot be done before it is ended. Looked at when it goes on: nothing may fail before.
	serving=$(pid_of "$DIR/s")
	kill -STOP "$serving"
	for sign in KILL TERM; do
		"$sf" export "$DIR/s" t -o "$DIR/o/out" 3>&- &
		pid=$!
		until_true 20 has_open "$pid" "$DIR/o/*" && echo open >>"$DIR/seen"
		kill -"$sign" "$pid" || true
		wait "$pid" || true
		cat "$DIR/o/out" >>"$DIR/seen"
	done
	kill -CONT "$serving"
	[ "$(cat "$DIR/seen")" = $'open\nbefore\nopen\nbefore' ]
	[ "$(ls -A "$DIR/o")" = out ]
	"$sf" export "$DIR/s" t -o "$DIR/o/out"
	[ "$(ls -A "$DIR/o")" = out ]
	[ "$(cat "$DIR/o/out")" = '{"id":1}' ]
}

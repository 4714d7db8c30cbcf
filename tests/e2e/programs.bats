#!/usr/bin/env bats
# Programs as people use them: each leaves exactly one row and one edit in history.

load mounts

# one_edit ROWS COMMAND...: it makes one commit that changes exactly these rows, and leaves no other name.
one_edit() {
	local rows=$1 before after
	shift
	before=$(count_of "$A")
	"$@"
	until_true 10 settled "$A"
	after=$(count_of "$A")
	echo "$*: $((after - before)) commits"
	[ "$((after - before))" = 1 ]
	[ "$("$sf" diff "$A" HEAD --json | jq -r 'select(.row) | "\(.table)/\(.row)"' | sort | tr '\n' ' ')" = "$rows " ]
}

# edited_once ROW...: in all of history, one commit touched it. Rows of one copy may settle into several commits.
edited_once() {
	local row n
	until_true 10 settled "$A"
	for row; do
		n=$("$sf" log "$A" --table "${row%/*}" --row "${row#*/}" --json | wc -l)
		echo "$row: $n edits"
		[ "$n" = 1 ]
	done
}

# edits_of ROW...: commits in history that touched it, for each.
edits_of() {
	local row
	until_true 10 settled "$A"
	for row; do
		"$sf" log "$A" --table "${row%/*}" --row "${row#*/}" --json | wc -l
	done | tr '\n' ' '
}

# edits_first ROWS COMMAND...: of these rows, the first was edited once, the others not. The table's own mtime is not a row's.
edits_first() {
	local rows=$1 before after
	shift
	# shellcheck disable=SC2086
	before=$(edits_of $rows)
	"$@"
	# shellcheck disable=SC2086
	after=$(edits_of $rows)
	echo "$*: $before, then $after"
	[ "$after" = "$((${before%% *} + 1)) ${before#* }" ]
}

# ever_named TABLE NAME...: in all of history these were the names in that table.
ever_named() {
	local table=$1 id
	shift
	diff <("$sf" log "$A" --json --table "$table" | jq -r .id | while read -r id; do
		"$sf" diff "$A" "$id" --json | jq -r --arg t "$table" 'select(.table == $t and .row) | .row'
	done | sort -u) <(printf '%s\n' "$@" | sort)
}

start() {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo '{"a": 1}' >"$A/t/r.json"
	until_true 10 settled "$A"
}

@test "vim, with and without backup, and in place" {
	start
	local vim
	vim=$(command -v vim || command -v vim.tiny || command -v vi)
	one_edit t/r.json "$vim" -u NONE -n -es -c '%s/1/2/' -c wq "$A/t/r.json"
	one_edit t/r.json "$vim" -u NONE -es -c 'set backup writebackup' -c '%s/2/3/' -c wq "$A/t/r.json"
	one_edit t/r.json "$vim" -u NONE -n -es -c 'set backupcopy=yes' -c '%s/3/4/' -c wq "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '{"a": 4}' ]
	ever_named t r.json
}

@test "sed -i, sponge, append, python's replace, truncate" {
	start
	one_edit t/r.json sed -i s/1/2/ "$A/t/r.json"
	one_edit t/r.json bash -c "jq -c '.b=7' '$A/t/r.json' | sponge '$A/t/r.json'"
	one_edit t/r.json bash -c "echo more >>'$A/t/r.json'"
	[ "$(wc -l <"$A/t/r.json")" = 2 ]
	one_edit t/r.json python3 -c 'import os, sys
d = sys.argv[1]
f = open(d + "/tmpq3x9", "w"); f.write("{}\n"); f.flush(); os.fsync(f.fileno()); f.close()
os.replace(d + "/tmpq3x9", d + "/r.json")' "$A/t"
	one_edit t/r.json truncate -s 1 "$A/t/r.json"
	[ "$(ls -A "$A/t")" = r.json ]
	ever_named t r.json
}

@test "mv is a delete and a write in one commit" {
	start
	one_edit "t/q.json t/r.json" mv "$A/t/r.json" "$A/t/q.json"
	[ "$(ls -A "$A/t")" = q.json ]
}

@test "rsync -a, cp -a and tar x, and a second rsync makes no commit" {
	start
	mkdir "$DIR/src"
	for i in 1 2 3; do echo "row $i" >"$DIR/src/$i"; touch -d "2020-01-0$i 10:11:12.345" "$DIR/src/$i"; done
	chmod 600 "$DIR/src/2"
	rsync -a "$DIR/src/" "$A/r/"
	cp -a "$DIR/src" "$A/c"
	mkdir "$A/x"
	tar -C "$DIR/src" -c . | tar -C "$A/x" -x
	edited_once {r,c,x}/{1,2,3}
	for t in r c x; do
		ever_named $t 1 2 3
		[ "$(ls -A "$A/$t" | tr '\n' ' ')" = "1 2 3 " ]
		[ "$(rsync -ain "$DIR/src/" "$A/$t/")" = "" ]
	done
	local before
	before=$(count_of "$A")
	rsync -a "$DIR/src/" "$A/r/"
	until_true 10 settled "$A"
	[ "$(count_of "$A")" = "$before" ]
	# Over rows that exist: one edit of those that changed.
	echo changed >"$DIR/src/1"
	edits_first "r/1 r/2 r/3" rsync -a "$DIR/src/" "$A/r/"
	edits_first "c/1 c/2 c/3" cp -a "$DIR/src/." "$A/c/"
	edits_first "x/1 x/2 x/3" bash -c "tar -C '$DIR/src' -c 1 | tar -C '$A/x' -x"
	for t in r c x; do
		ever_named $t 1 2 3
		diff -r "$DIR/src" "$A/$t"
	done
}

@test "what came and went leaves nothing" {
	start
	local before
	before=$(count_of "$A")
	touch "$A/t/4913"
	rm "$A/t/4913"
	echo x >"$A/t/.r.json.swp"
	echo x >"$A/t/r.json~"
	cat "$A/t/r.json" >"$A/t/copy"
	rm "$A/t/copy"
	until_true 10 settled "$A"
	[ "$(count_of "$A")" = "$before" ]
}

@test "mmap" {
	start
	one_edit t/r.json python3 -c 'import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
m[0:1] = b"["
m.flush()
m.close()
f.close()' "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '["a": 1}' ]
}

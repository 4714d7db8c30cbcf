#!/usr/bin/env bats
# Programs as people use them: each leaves exactly one row and one edit in history.

load mounts

# What is pending is committed. Some may become whole only when the kernel releases a file.
commit_all() { until_true 10 has_committed; }
has_committed() { "$sf" commit "$A" && settled "$A"; }

# one_edit ROWS COMMAND...: it makes one commit that changes exactly these rows, and leaves no other name.
one_edit() {
	local rows=$1 before after
	shift
	before=$(count_of "$A")
	"$@"
	commit_all
	after=$(count_of "$A")
	echo "$*: $((after - before)) commits"
	[ "$((after - before))" = 1 ]
	[ "$("$sf" diff "$A" HEAD --json | jq -r 'select(.row) | "\(.table)/\(.row)"' | sort | tr '\n' ' ')" = "$rows " ]
}

# edited_once ROW...: in all of history, one commit touched it.
edited_once() {
	local row n
	commit_all
	for row; do
		n=$("$sf" log "$A" --table "${row%/*}" --row "${row#*/}" --json | wc -l)
		echo "$row: $n edits"
		[ "$n" = 1 ]
	done
}

# edits_of ROW...: commits in history that touched it, for each.
edits_of() {
	local row
	commit_all
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

# However long a program takes between its steps, it is committed when it has ended.
start() {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	echo '{"a": 1}' >"$A/t/r.json"
	commit_all
}

# on_terminal [EXPECT KEYS]... -- COMMAND...: run it on a terminal of its own, and type the keys once it shows what is expected.
on_terminal() {
	python3 - "$@" <<'PY'
import os, pty, select, sys, time
at = sys.argv.index("--")
script, command = sys.argv[1:at], sys.argv[at + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", LINES="24", COLUMNS="80")
    os.execvp(command[0], command)
shown, deadline = b"", time.monotonic() + 60
steps = [(os.fsencode(e), k.encode().decode("unicode_escape").encode("latin-1")) for e, k in zip(script[::2], script[1::2])]
while True:
    if steps and steps[0][0] in shown:
        shown = b""
        os.write(fd, steps.pop(0)[1])
    ready = select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]
    try:
        more = os.read(fd, 65536) if ready else b""
    except OSError:
        more = b""
    if not more:
        break
    shown += more
if time.monotonic() >= deadline:
    os.kill(pid, 9)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if steps or status:
    sys.exit(f"{command[0]} ended with {status}; not seen: {steps}; shown: {shown[-2000:]!r}")
PY
}

@test "vim: plain, with a backup, in place, with an undo file, and by hand with a swap file" {
	start
	one_edit t/r.json vim -u NONE -n -es -c '%s/1/2/' -c wq "$A/t/r.json"
	one_edit t/r.json vim -u NONE -es -c 'set backup writebackup' -c '%s/2/3/' -c wq "$A/t/r.json"
	one_edit t/r.json vim -u NONE -n -es -c 'set backupcopy=yes' -c '%s/3/4/' -c wq "$A/t/r.json"
	one_edit t/r.json vim -u NONE -n -es -c 'set nobackup nowritebackup' -c '%s/4/5/' -c wq "$A/t/r.json"
	one_edit t/r.json vim -u NONE -es -c 'set undofile undodir=.' -c "edit $A/t/r.json" -c '%s/5/6/' -c wq
	one_edit t/r.json on_terminal '"a": 6' ':%s/6/7/\r:wq\r' -- vim -u NONE "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '{"a": 7}' ]
	ever_named t r.json
}

@test "nano, emacs in a batch and on a terminal, ed, and busybox's vi" {
	start
	one_edit t/r.json on_terminal r.json '\x0b[1, 2]\x0f' 'Name to Write' '\r' Wrote '\x18' -- nano -I "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '[1, 2]' ]
	one_edit t/r.json emacs -Q --batch --visit "$A/t/r.json" --eval '(replace-regexp "1" "3")' -f save-buffer
	[ "$(cat "$A/t/r.json")" = '[3, 2]' ]
	one_edit t/r.json on_terminal '[3, 2]' '\x0b[4]\x18\x13' Wrote '\x18\x03' -- emacs -Q -nw "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '[4]' ]
	one_edit t/r.json ed -s "$A/t/r.json" <<<$'s/4/5/\nw\nq'
	one_edit t/r.json on_terminal '[5]' ':s/5/6/\r:wq\r' -- busybox vi "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '[6]' ]
	ever_named t r.json
}

@test "sed -i, perl -pi, busybox sed -i, sort -o, sponge, append, python's replace, truncate" {
	start
	one_edit t/r.json sed -i s/1/2/ "$A/t/r.json"
	one_edit t/r.json perl -pi -e s/2/3/ "$A/t/r.json"
	one_edit t/r.json busybox sed -i s/3/4/ "$A/t/r.json"
	[ "$(cat "$A/t/r.json")" = '{"a": 4}' ]
	one_edit t/r.json bash -c "jq -c '.b=7' '$A/t/r.json' | sponge '$A/t/r.json'"
	one_edit t/r.json bash -c "echo more >>'$A/t/r.json'"
	[ "$(wc -l <"$A/t/r.json")" = 2 ]
	one_edit t/r.json python3 -c 'import os, sys
d = sys.argv[1]
f = open(d + "/tmpq3x9", "w"); f.write("{}\n"); f.flush(); os.fsync(f.fileno()); f.close()
os.replace(d + "/tmpq3x9", d + "/r.json")' "$A/t"
	one_edit t/r.json bash -c "printf 'b\\na\\n' >'$A/t/r.json'"
	one_edit t/r.json sort -o "$A/t/r.json" "$A/t/r.json"
	[ "$(head -n 1 "$A/t/r.json")" = a ]
	one_edit t/r.json truncate -s 1 "$A/t/r.json"
	[ "$(ls -A "$A/t")" = r.json ]
	ever_named t r.json
}

@test "mv is a delete and a write in one commit" {
	start
	one_edit "t/q.json t/r.json" mv "$A/t/r.json" "$A/t/q.json"
	[ "$(ls -A "$A/t")" = q.json ]
	# So is what changes places, on both sides.
	echo other >"$A/t/s.json"
	commit_all
	one_edit "t/q.json t/s.json" python3 -c 'import ctypes, os, sys
q, s = (os.fsencode(f"{sys.argv[1]}/{name}.json") for name in "qs")
assert ctypes.CDLL(None).renameat2(-100, q, -100, s, 2) == 0' "$A/t"
	[ "$(cat "$A/t/q.json")" = other ]
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
	commit_all
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

@test "rsync --inplace, install, cp over, mv over, zip and unzip" {
	start
	mkdir "$DIR/src"
	echo one >"$DIR/src/r.json"
	one_edit t/r.json rsync --inplace "$DIR/src/r.json" "$A/t/r.json"
	echo two >"$DIR/src/r.json"
	one_edit t/r.json install -m 600 "$DIR/src/r.json" "$A/t/r.json"
	[ "$(stat -c %a "$A/t/r.json")" = 600 ]
	echo three >"$DIR/src/r.json"
	one_edit t/r.json cp "$DIR/src/r.json" "$A/t/r.json"
	one_edit t/r.json cp --remove-destination "$DIR/src/r.json" "$A/t/r.json"
	echo four >"$DIR/src/r.json"
	cp "$DIR/src/r.json" "$DIR/src/copy"
	one_edit t/r.json mv "$DIR/src/copy" "$A/t/r.json"
	one_edit t/a.zip zip -q -j "$A/t/a.zip" "$DIR/src/r.json"
	echo five >"$DIR/src/s.json"
	one_edit t/a.zip zip -q -j "$A/t/a.zip" "$DIR/src/s.json"
	rm "$A/t/r.json"
	commit_all
	edits_first "t/r.json t/a.zip" unzip -q -o "$A/t/a.zip" -d "$A/t"
	[ "$(cat "$A/t/r.json")" = four ]
	ever_named t a.zip r.json s.json
}

@test "git takes its locks, and sqlite3 its journal: each change is one edit" {
	start
	one_edit t/config git config -f "$A/t/config" user.name Ada
	one_edit t/config git config -f "$A/t/config" user.name Grace
	[ "$(git config -f "$A/t/config" user.name)" = Grace ]
	# A new row waits: from then on each transaction is a commit.
	sqlite3 "$A/t/db" 'create table n(x); insert into n values (0)'
	commit_all
	for i in 1 2 3; do
		one_edit t/db sqlite3 "$A/t/db" "begin; insert into n values ($i); insert into n values ($i); commit"
	done
	[ "$(sqlite3 "$A/t/db" 'select count(*), sum(x) from n; pragma integrity_check')" = $'7|12\nok' ]
	# Somebody who holds its lock keeps others out.
	run sqlite3 "$A/t/db" 'begin exclusive' ".shell sqlite3 '$A/t/db' 'insert into n values (9)' 2>&1" rollback
	[[ $output == *"database is locked"* ]]
	# The snapshots are data bases, too.
	[ "$(sqlite3 "file:$A/.commits/HEAD~1/t/db?immutable=1" 'select count(*) from n')" = 5 ]
	ever_named t config db r.json
}

@test "writers side by side, each row once" {
	start
	local names
	names=$(seq -f 'row-%03g' 200)
	# shellcheck disable=SC2016
	xargs -P 8 -n 5 sh -c 'for n; do echo "$n" >"$0/$n.tmp" && mv "$0/$n.tmp" "$0/$n"; done' "$A/t" <<<"$names"
	commit_all
	[ "$(cd "$A/t" && grep -c . row-* | wc -l)" = 200 ]
	# shellcheck disable=SC2086
	ever_named t r.json $names
	# shellcheck disable=SC2046
	edited_once $(printf 't/%s ' row-001 row-100 row-200)
}

@test "programs that read: find, du, grep, less, tail, diff and busybox; and they leave no edit" {
	start
	mkdir "$A/u"
	for i in $(seq 300); do echo "line $i" >"$A/u/$i"; done
	"$sf" commit "$A" -m rows
	local before
	before=$(count_of "$A")
	[ "$(find "$A" -type f | wc -l)" = 301 ]
	[ "$(find "$A" -mindepth 1 -type d | sort | tr '\n' ' ')" = "$A/t $A/u " ]
	[ "$(find "$A/u" -name '1*' -size 1 -newermt 2020-01-01 | wc -l)" = 111 ]
	[ "$(find "$A/u" -inum "$(stat -c %i "$A/u/7")")" = "$A/u/7" ]
	[ "$(du -a --apparent-size -b "$A/u" | grep -c /u/)" = 300 ]
	[ "$(du -s --block-size=512 "$A/u" | cut -f1)" -ge 300 ]
	[ "$(grep -r 'line 299' "$A")" = "$A/u/299:line 299" ]
	[ "$(less "$A/u/5" | cat)" = "line 5" ]
	on_terminal 'line 6' q -- less "$A/u/6"
	[ "$(busybox find "$A" -type f | wc -l)" = 301 ]
	[ "$(busybox grep -rl 'line 299' "$A")" = "$A/u/299" ]
	[ "$(busybox tar -C "$A" -c u | tar -t | wc -l)" = 301 ]
	[ "$(busybox ls "$A/u" | wc -l)" = 300 ]
	diff -r "$A/u" "$A/.commits/latest/u"
	commit_all
	[ "$(count_of "$A")" = "$before" ]
	# What is written goes on where it is read.
	tail -n +1 -f "$A/u/1" >"$DIR/followed" 2>"$DIR/errors" 3>&- &
	local follower=$!
	until_true 10 grep -x 'line 1' "$DIR/followed"
	echo more >>"$A/u/1"
	until_true 10 grep -x more "$DIR/followed"
	"$sf" commit "$A" -m appended
	echo "yet more" >>"$A/u/1"
	until_true 10 grep -x 'yet more' "$DIR/followed"
	kill "$follower"
	wait "$follower" || true
	tail -n +1 -F "$A/u/2" >"$DIR/followed" 2>"$DIR/errors" 3>&- &
	follower=$!
	until_true 10 grep -x 'line 2' "$DIR/followed"
	echo other >"$A/u/new"
	mv "$A/u/new" "$A/u/2"
	until_true 10 grep -x other "$DIR/followed"
	kill "$follower"
	wait "$follower" || true
}

@test "what came and went leaves nothing" {
	start
	local before name
	before=$(count_of "$A")
	touch "$A/t/4913"
	rm "$A/t/4913"
	for name in .r.json.swp .r.json.swo r.json~ '.#r.json' '#r.json#' .fuse_hidden0001; do echo x >"$A/t/$name"; done
	cat "$A/t/r.json" >"$A/t/copy"
	rm "$A/t/copy"
	commit_all
	[ "$(count_of "$A")" = "$before" ]
	"$sf" status "$A" | grep "0 rows written and not committed yet, 6 of editors"
	# Others that look alike are rows.
	one_edit "t/.hidden t/123 t/x.swp t/~x" bash -c 'cd "$0" && for name in .hidden 123 x.swp "~x"; do echo x >"$name"; done' "$A/t"
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

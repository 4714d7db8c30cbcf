#!/usr/bin/env bats
# log, show, diff and commit on a store: what they say, in which order, and by which names.

load mounts
sf=${SWARMFS:?names the binary}

# Four commits after the first: rows, a change, a deletion beside a new table.
setup_history() {
	"$sf" init "$DIR/s" >/dev/null
	printf '{"id":1,"n":1,"s":"a"}\n{"id":2,"n":1}\n' | "$sf" import "$DIR/s" --table t -m one -
	printf '{"id":1,"n":2,"c":true}\n' | "$sf" import "$DIR/s" --table t -m two -
	mkdir "$DIR/u"
	echo x >"$DIR/u/file"
	"$sf" import "$DIR/s" -m three "$DIR/u"
}

log() { "$sf" log "$DIR/s" "$@"; }
diff_of() { "$sf" diff "$DIR/s" "$@"; }

@test "log: newest first, one line a commit, the same in JSON" {
	setup_history
	[ "$(log | wc -l)" = 4 ]
	[ "$(log --json | jq -r .message | tr '\n' ' ')" = "three two one  " ]
	[ "$(log --json --reverse | jq -r .message | tr '\n' ' ')" = " one two three " ]
	[ "$(log --json -n 2 | jq -r .message | tr '\n' ' ')" = "three two " ]
	[ "$(log --json -n 2 --reverse | jq -r .message | tr '\n' ' ')" = "two three " ]
	[ "$(log -n 0)" = "" ]
	[ "$(log --json -n 1 | jq -r '.outcome, .mode, .rows, .tables' | tr '\n' ' ')" = "applied merge 1 1 " ]
	[ "$(log --json | jq -r .id | cut -c1-12)" = "$(log | cut -c1-12)" ]
	# The parent of each commit is the one before it.
	[ "$(log --json | jq -r '.parents[]')" = "$(log --json | jq -r .id | tail -n +2)" ]
	# Names are sorted by time and hold the id.
	[ "$(log --json | jq -r .name)" = "$(log --json | jq -r .name | sort -r)" ]
	[[ $(log --json -n 1 | jq -r .name) =~ ^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.[0-9a-f]{4}-[0-9a-f]{12}$ ]]
}

@test "log of a table, and of a row" {
	setup_history
	[ "$(log --json --table t | jq -r .message | tr '\n' ' ')" = "two one " ]
	[ "$(log --json --table t --row 2.json | jq -r .message)" = one ]
	[ "$(log --json --table t --row 1.json --reverse | jq -r .message | tr '\n' ' ')" = "one two " ]
	[ "$(log --json --table t --row 1.json -n 1 | jq -r .message)" = two ]
	[ "$(log --table none)" = "" ]
	[ "$(log --table t --row none)" = "" ]
	run log --row 1.json
	[ "$status" = 2 ]
}

@test "log: the table or row as an argument, and since when" {
	setup_history
	[ "$(log t --json | jq -r .message | tr '\n' ' ')" = "two one " ]
	[ "$(log t/ --json | jq -r .message | tr '\n' ' ')" = "two one " ]
	[ "$(log t/2.json --json | jq -r .message)" = one ]
	[ "$(log t/1.json --json -n 1 | jq -r .message)" = two ]
	[ "$(log none)" = "" ]
	local two
	two=$(log --json | jq -r 'select(.message == "two").time')
	[ "$(log --since "$two" --json | jq -r .message | tr '\n' ' ')" = "three two " ]
	[ "$(log --since "$two" --reverse --json | jq -r .message | tr '\n' ' ')" = "two three " ]
	[ "$(log --since "$two" --reverse -n 1 --json | jq -r .message)" = three ]
	[ "$(log --since "$two" --reverse -n 3 --json | jq -r .message | tr '\n' ' ')" = "two three " ]
	[ "$(log t/1.json --since "$two" --json | jq -r .message)" = two ]
	[ "$(log t --since "$two" --json | jq -r .message)" = two ]
	[ "$(log --since 1h | wc -l)" = 4 ]
	[ "$(log --since 2999-01-01)" = "" ]
	[ "$(log --since 2999-01-01 --reverse)" = "" ]
	run log --since yesterday
	[ "$status" = 2 ]
	run log t --table u
	[ "$status" = 2 ]
}

@test "a time means the newest commit until then, in UTC or with a zone" {
	setup_history
	local id time
	id=$(log --json | jq -r 'select(.message == "one").id')
	time=$(log --json | jq -r 'select(.message == "one").time')
	at() { "$sf" show "$DIR/s" "$1" --json | jq -r .id; }
	[ "$(at "@$time")" = "$id" ]
	[ "$(at "@${time%Z}")" = "$id" ]
	[ "$(at "@$(TZ=XXX-05:30 date -d "$time" +%Y-%m-%dT%H:%M:%S.)${time:20:3}+05:30")" = "$id" ]
	[ "$(at "@$(TZ=XXX+07 date -d "$time" +%Y-%m-%dT%H:%M:%S.)${time:20:3}-07:00")" = "$id" ]
	# Without seconds: until the end of the minute.
	[ "$(at "@$(date -u -d '+1 minute' +%Y-%m-%dT%H:%M)")" = "$(at HEAD)" ]
	for n in "${time%Z}+5:00" "${time%Z}+24:00" "${time%Z}Z+00:00" "${time:0:10}Z+" 2026-02-30 2026-11-21T25:00; do
		run "$sf" show "$DIR/s" "@$n"
		[ "$status" = 1 ]
		[[ $output == *"is no time"* ]]
	done
}

import_line() { echo "$2" | "$sf" import "$DIR/s" --table "$1" -m "$3" - >/dev/null; }

@test "watch: a line for each commit as it comes, in a pipe, until the process ends" {
	setup_history
	"$sf" serve "$DIR/s"
	local pid watcher rows
	pid=$(pid_of "$DIR/s")
	# It says nothing of what was there before; so there is nothing to wait for but the connection itself.
	{ "$sf" watch "$DIR/s" --json; echo "ended $?"; } | while read -r line; do echo "got $line"; done >"$DIR/seen" &
	watcher=$!
	"$sf" watch "$DIR/s" t/7.json >"$DIR/row" &
	rows=$!
	watched() { import_line w '{"id":'$RANDOM$RANDOM'}' ping && [ -s "$DIR/seen" ] && import_line t '{"id":7,"p":'$SECONDS$RANDOM'}' p7 && [ -s "$DIR/row" ]; }
	until_true 20 watched
	import_line t '{"id":8,"x":1}' eight
	until_true 10 grep -q '"message": "eight"' "$DIR/seen"
	import_line t '{"id":7,"x":1}' seven
	until_true 10 grep -q 'seven$' "$DIR/row"
	run grep -c eight "$DIR/row"
	[ "$output" = 0 ]
	[ "$(sed -n 's/^got {/{/p' "$DIR/seen" | jq -r 'select(.message == "eight").rows')" = 1 ]
	kill "$pid"
	until_true 10 ends "$pid"
	wait "$watcher" "$rows"
	[ "$(tail -n 1 "$DIR/seen")" = "got ended 0" ]
	[ "$(sed -n 's/^got {/{/p' "$DIR/seen" | jq -r .id | sort | uniq -d)" = "" ]
	run "$sf" watch "$DIR/s"
	[ "$status" = 1 ]
	[[ $output == *"no process serves"* ]]
}

@test "watch ends with SIGINT and with its reader, and gives its place back" {
	"$sf" init "$DIR/s" >/dev/null
	"$sf" serve "$DIR/s"
	local i p
	# There is room for 32 at a time; more than that come and go, half of them while nothing happens.
	for i in $(seq 36); do
		# The shell starts what runs beside it with SIGINT ignored.
		env --default-signal=INT "$sf" watch "$DIR/s" >"$DIR/out" &
		p=$!
		# Until then it is a shell still, which may take the signal for its own.
		until_true 10 grep -qx swarmfs "/proc/$p/comm"
		if ((i % 2)); then
			until_true 10 bash -c "echo '{\"id\":$i,\"r\":'\$RANDOM'}' | '$sf' import '$DIR/s' --table t -m m$i - && [ -s '$DIR/out' ]"
		fi
		# One that has only begun may still ignore SIGINT.
		if ((i % 2)); then kill -INT "$p"; else kill -TERM "$p"; fi
		wait "$p" || true
	done
	# A reader that goes after the first line.
	"$sf" watch "$DIR/s" | head -n 1 >"$DIR/first" &
	p=$!
	until_true 20 bash -c "echo '{\"id\":\"'\$RANDOM'\"}' | '$sf' import '$DIR/s' --table t - && [ -s '$DIR/first' ]"
	until_true 20 bash -c "echo '{\"id\":\"'\$RANDOM'\"}' | '$sf' import '$DIR/s' --table t - && ! kill -0 $p"
	stop_serving "$DIR/s"
}

@test ".commits: links for every name, and a listing that others do not disturb" {
	require_fuse
	mount_a
	mkdir "$A/t"
	local i id name writer
	for i in 1 2 3; do
		echo "$i" >"$A/t/r"
		"$sf" commit "$A" -m "c$i" >/dev/null
	done
	id=$("$sf" log "$A" --json -n 2 | jq -r .id | tail -n 1)
	name=$("$sf" log "$A" --json -n 2 | jq -r .name | tail -n 1)
	[ "$(ls "$A/.commits")" = "$("$sf" log "$A" --json --reverse | jq -r .name; echo latest)" ] ||
		[ "$(ls "$A/.commits")" = "$("$sf" log "$A" --json --reverse | jq -r .name)" ]
	for i in "${id:0:4}" "${id:0:9}" "$id" HEAD~1; do
		[ "$(readlink "$A/.commits/$i")" = "$name" ]
		[ "$(stat -c %s "$A/.commits/$i")" = ${#name} ]
		[ "$(cat "$A/.commits/$i/t/r")" = 2 ]
	done
	[ "$(cat "$A/.commits/latest/t/r")" = 3 ]
	[ "$(cat "$A/.commits/@$(date -u -d '+1 minute' +%Y-%m-%dT%H:%M)/t/r")" = 3 ]
	[ ! -e "$A/.commits/@2001-01-01" ]
	[ ! -e "$A/.commits/${id:0:3}" ]
	# While commits come, every listing has each that was there before it, once, and in order.
	(
		cd "$A/t" || exit
		i=0
		while [ ! -e "$DIR/stop" ]; do
			echo $((i++)) >n
			sync -f n 2>/dev/null || true
			"$sf" commit "$A" >/dev/null
		done
	) &
	writer=$!
	for i in $(seq 20); do
		"$sf" log "$A" --json --reverse | jq -r .name >"$DIR/before"
		ls -U "$A/.commits" >"$DIR/all"
		grep -v '^latest$' "$DIR/all" >"$DIR/listed"
		sort -c "$DIR/listed"
		[ -z "$(uniq -d "$DIR/listed")" ]
		[ -z "$(comm -23 "$DIR/before" "$DIR/listed")" ]
	done
	touch "$DIR/stop"
	wait "$writer"
	[ "$(readlink "$A/.commits/$id")" = "$name" ]
}

@test "log of many commits streams, and stops when nobody reads" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir "$DIR/in"
	"$sf" serve "$DIR/s"
	local pid
	pid=$(pid_of "$DIR/s")
	for i in $(seq 600); do echo "{\"id\":$((i % 7)),\"n\":$i}"; done | split -l 1 - "$DIR/in/"
	for f in "$DIR"/in/*; do "$sf" import "$DIR/s" --table t --format jsonl "$f"; done >/dev/null
	[ "$(log | wc -l)" = 601 ]
	[ "$(log --json | jq -r .id | sort -u | wc -l)" = 601 ]
	[ "$(log --reverse --json | jq -r .id)" = "$(log --json | jq -r .id | tac)" ]
	[ "$(log --table t --row 3.json | wc -l)" = 86 ]
	log --json | head -n 1 | jq -e .id
	kill "$pid"
	until_true 10 ends "$pid"
	# The same without the process.
	[ "$(log | wc -l)" = 601 ]
}

@test "show: a commit by any of its names" {
	setup_history
	local id name
	id=$(log --json -n 2 | jq -r .id | tail -n 1)
	name=$(log --json -n 2 | jq -r .name | tail -n 1)
	"$sf" show "$DIR/s" "$id" >"$DIR/by-id"
	grep -x "id         $id" "$DIR/by-id"
	grep -x "outcome    applied" "$DIR/by-id"
	grep -x "    two" "$DIR/by-id"
	for n in "${id:0:8}" "$name" HEAD~1; do
		"$sf" show "$DIR/s" "$n" | cmp - "$DIR/by-id"
	done
	[ "$("$sf" show "$DIR/s" latest)" = "$("$sf" show "$DIR/s" HEAD)" ]
	[ "$("$sf" show "$DIR/s" @2999-01-01)" = "$("$sf" show "$DIR/s" HEAD)" ]
	for n in nope HEAD~9 HEAD~ "${id:0:3}" @2001-01-01 @soon "$(tr 0-9a-f 1-9a-f0 <<<"$name")" ''; do
		run "$sf" show "$DIR/s" "$n"
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
	done
}

@test "show --json: the commit as log has it, the row with its bytes" {
	setup_history
	local id
	id=$("$sf" log "$DIR/s" --json -n 1 | jq -r .id)
	[ ${#id} = 64 ]
	[ "$("$sf" show "$DIR/s" HEAD --json)" = "$("$sf" log "$DIR/s" --json -n 1)" ]
	[ "$("$sf" show "$DIR/s" "$id" --json | jq -r .state)" = "$("$sf" show "$DIR/s" HEAD | awk '$1 == "state" { print $2 }')" ]
	"$sf" show "$DIR/s" HEAD t/1.json --json | jq -e '.table == "t" and .row == "1.json" and .mode == "0644" and (.mtime_ns > 0)'
	[ "$("$sf" show "$DIR/s" HEAD t/1.json --json | jq -j .text)" = "$("$sf" show "$DIR/s" HEAD t/1.json)" ]
	mkdir -p "$DIR/raw/b"
	printf '\377\0\376' >"$DIR/raw/b/raw"
	"$sf" import "$DIR/s" "$DIR/raw"
	"$sf" show "$DIR/s" HEAD b/raw --json | jq -r .base64 | base64 -d | cmp - "$DIR/raw/b/raw"
}

@test "show --stat and --patch: the commit, and what it changed as diff has it" {
	setup_history
	local form n
	for form in --stat --patch -p; do
		for n in HEAD HEAD~1; do
			diff <("$sf" show "$DIR/s" "$n" && echo && diff_of "$n" "$form") <("$sf" show "$DIR/s" "$n" "$form")
		done
	done
	"$sf" show "$DIR/s" HEAD~1 --patch | grep -x '+{"id":1,"n":2,"c":true}'
	[ "$("$sf" show "$DIR/s" HEAD --stat | tail -n 1)" = "1 added, 0 changed, 0 removed" ]
	run "$sf" show "$DIR/s" HEAD --json --stat
	[ "$status" = 2 ]
	run "$sf" show "$DIR/s" HEAD t/1.json --patch
	[ "$status" = 2 ]
}

@test "show: a row as of a commit" {
	setup_history
	[ "$("$sf" show "$DIR/s" HEAD t/1.json)" = '{"id":1,"n":2,"c":true}' ]
	[ "$("$sf" show "$DIR/s" HEAD~2 t/1.json)" = '{"id":1,"n":1,"s":"a"}' ]
	for r in t/3.json none/1.json t/ /1.json; do
		run "$sf" show "$DIR/s" HEAD "$r"
		[ "$status" = 1 ]
		[[ $output == *"no row"* ]]
	done
	run "$sf" show "$DIR/s" HEAD~3 t/1.json
	[ "$status" = 1 ]
	run "$sf" show "$DIR/s" HEAD t
	[ "$status" = 2 ]
}

@test "diff: what a commit changed, and what lies between two" {
	setup_history
	diff_of HEAD~1 >"$DIR/two"
	cat "$DIR/two"
	grep -x "M t/1.json 23 -> 24 bytes" "$DIR/two"
	grep -x "    + c true" "$DIR/two"
	grep -x "      n 1 -> 2" "$DIR/two"
	grep -x '    - s "a"' "$DIR/two"
	[ "$(grep -vc '^ ' "$DIR/two")" = 1 ]
	diff_of HEAD | grep -x "A u/"
	diff_of HEAD | grep -x "A u/file 2 bytes"
	# Both ways.
	[ "$(diff_of HEAD~3 HEAD --json | jq -r .change | sort | uniq -c | tr -s ' ' | tr -d '\n')" = " 5 added" ]
	[ "$(diff_of HEAD HEAD~3 --json | jq -r .change | sort | uniq -c | tr -s ' ' | tr -d '\n')" = " 5 removed" ]
	[ "$(diff_of HEAD HEAD)" = "" ]
	[ "$(diff_of HEAD~3)" = "" ] # the first commit writes no rows
	[ "$(diff_of HEAD~3 HEAD --stat | tail -n 1)" = "3 added, 0 changed, 0 removed" ]
	[ "$(diff_of HEAD~2 HEAD~1 --json)" = "$(diff_of HEAD~1 --json)" ]
	run diff_of HEAD --json --stat
	[ "$status" = 2 ]
}

@test "diff --json gives values as they were written" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir "$DIR/t"
	printf '{"big": 9007199254740993,\n "f": 1.0, "o": {"a": [1,\n 2]}}' >"$DIR/t/r.json"
	"$sf" import "$DIR/s" "$DIR/t"
	printf '{"big": 9007199254740994,\n "f": 1.00, "o": {"a": [1,\n 3]}}' >"$DIR/t/r.json"
	"$sf" import "$DIR/s" "$DIR/t"
	local out
	out=$(diff_of HEAD --json | grep r.json)
	[[ $out == *'"big": {"before": 9007199254740993, "after": 9007199254740994}'* ]]
	[[ $out == *'"f": {"before": 1.0, "after": 1.00}'* ]]
	diff_of HEAD --json | jq -e 'select(.row) | .columns.o.after == {"a": [1, 3]}'
}

@test "blame: who wrote each column, each line, or the whole" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir "$DIR/t"
	put() { # MESSAGE FILE TEXT
		printf '%b' "$3" >"$DIR/t/$2"
		"$sf" import "$DIR/s" -m "$1" "$DIR/t" >/dev/null
	}
	put one r.json '{"a": 1, "b": {"x": [1]}, "c": 3}'
	put two r.json '{"a": 1, "b": {"x": [2]}, "c": 3}'
	put three r.json '{"b": {"x": [2]}, "c": 4,\n "d": 5}'
	messages() { # BLAME's JSON: what each part is from
		while read -r line; do
			id=$(jq -r .commit <<<"$line")
			printf '%s:%s ' "$(jq -r '.column // .line // .size' <<<"$line")" "$("$sf" show "$DIR/s" "$id" --json | jq -r .message)"
		done
	}
	[ "$("$sf" blame "$DIR/s" t/r.json --json | messages)" = "b:two c:three d:three " ]
	"$sf" blame "$DIR/s" t/r.json --json | jq -se 'map(select(.column == "b"))[0].value.x[0] == 2'
	put four text 'one\ntwo\nthree\n'
	put five text 'zero\none\n2\nthree'
	[ "$("$sf" blame "$DIR/s" t/text --json | messages)" = "1:five 2:four 3:five 4:five " ]
	[[ $("$sf" blame "$DIR/s" t/text | sed -n 2p) =~ ^[0-9a-f]{12}\ \ .*Z\ \ [0-9a-f]{8}\ \ one$ ]]
	# A deletion forgets who wrote what was there before.
	put six raw '\377\n'
	[ "$("$sf" blame "$DIR/s" t/raw --json | messages)" = "2:six " ]
	run "$sf" blame "$DIR/s" t/none
	[ "$status" = 1 ]
	run "$sf" blame "$DIR/s" t
	[ "$status" = 2 ]
}

@test "diff --patch: what patch(1) makes of it is the later state" {
	command -v patch >/dev/null || skip "patch is not installed"
	"$sf" init "$DIR/s" >/dev/null
	mkdir -p "$DIR/old/t" "$DIR/new/t" "$DIR/new/u"
	seq 60 >"$DIR/old/t/many"
	seq 60 | sed -e 3d -e 's/^20$/twenty/' -e '40i new' -e '$d' >"$DIR/new/t/many"
	printf 'no end' >"$DIR/old/t/end"
	printf 'no end\nnow it is' >"$DIR/new/t/end"
	echo gone >"$DIR/old/t/gone"
	echo same | tee "$DIR/old/t/same" >"$DIR/new/t/same"
	echo new >"$DIR/new/u/a name"
	echo x >"$DIR/old/t/"$'q"\\u\xc3\xa9'
	echo y >"$DIR/new/t/"$'q"\\u\xc3\xa9'
	"$sf" import "$DIR/s" "$DIR/old" >/dev/null
	"$sf" serve "$DIR/s"
	"$sf" import "$DIR/s" "$DIR/new" >/dev/null
	diff_of HEAD --patch >"$DIR/patch"
	cat "$DIR/patch"
	(cd "$DIR/old" && patch -p1 <"$DIR/patch")
	# An import removes nothing.
	cp "$DIR/old/t/gone" "$DIR/new/t/"
	diff -r "$DIR/old" "$DIR/new"
	# The other way, from the patch's point of view and from the store's.
	diff_of HEAD~2 HEAD --patch >"$DIR/whole"
	mkdir "$DIR/from"
	(cd "$DIR/from" && patch -p1 <"$DIR/whole")
	diff -r "$DIR/from" "$DIR/new"
	run diff_of HEAD --patch --stat
	[ "$status" = 2 ]
}

# tree_of DIRECTORY: each file with its bits and size.
tree_of() { (cd "$1" && find . -type f -printf '%P %m %s\n' | sort); }

@test "diff --patch: rows that are empty, come, go, or only have other permission bits" {
	command -v patch >/dev/null || skip "patch is not installed"
	require_fuse
	mount_a --settle 60000
	local t=$A/t
	mkdir "$t"
	touch "$t/empty-goes" "$t/empty-grows" "$t/empty-stays"
	for name in goes gets-empty stays bits both; do echo "$name" >"$t/$name"; done
	chmod 600 "$t/goes" "$t/empty-goes"
	"$sf" commit "$A" -m before
	rm "$t/goes" "$t/empty-goes"
	: >"$t/gets-empty"
	echo more | tee -a "$t/empty-grows" >>"$t/both"
	chmod 640 "$t/both" "$t/bits"
	touch "$t/empty-comes" "$t/empty-comes with other bits"
	echo comes >"$t/comes"
	chmod 600 "$t/comes" "$t/empty-comes with other bits"
	"$sf" commit "$A" -m after
	"$sf" diff "$A" HEAD --patch >"$DIR/patch"
	cat "$DIR/patch"
	cp -a "$A/.commits/HEAD~1/." "$DIR/old"
	# Forwards and back.
	(cd "$DIR/old" && patch -p1 <"$DIR/patch")
	diff -r "$DIR/old/t" "$t"
	diff <(tree_of "$DIR/old") <(tree_of "$A")
	(cd "$DIR/old" && patch -R -p1 <"$DIR/patch")
	diff <(tree_of "$DIR/old") <(tree_of "$A/.commits/HEAD~1/")
	# Of permission bits git knows one.
	command -v git >/dev/null || skip "git is not installed"
	cp -a "$A/.commits/HEAD~1/." "$DIR/git"
	(cd "$DIR/git" && git init -q . && git apply "$DIR/patch")
	diff -r "$DIR/git/t" "$t"
}

@test "names and messages cannot command a terminal" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir "$DIR/t"
	echo x >"$DIR/t/"$'a\033[31mred\nline'
	"$sf" import "$DIR/s" -m $'evil\033]0;title\a message' "$DIR/t"
	{
		log
		diff_of HEAD
		"$sf" show "$DIR/s" HEAD
	} >"$DIR/out"
	run grep -c $'\033' "$DIR/out"
	[ "$output" = 0 ]
	grep -F 'a\x1b[31mred\nline' "$DIR/out"
	log --json -n 1 | jq -e '.message == "evil\u001b]0;title\u0007 message"'
	diff_of HEAD --json | jq -e 'select(.row) | .row == "a\u001b[31mred\nline"'
}

@test "commit: with a message, or nothing to commit" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	echo 1 >"$A/t/a"
	local id
	id=$("$sf" commit "$A" -m "by hand")
	[[ $id =~ ^[0-9a-f]{64}$ ]]
	[ "$("$sf" log "$A" --json -n 1 | jq -r '.id, .message' | tr '\n' ' ')" = "$id by hand " ]
	[ "$("$sf" commit "$A")" = "nothing to commit" ]
	run "$sf" commit "$A" -m "$(head -c 5000 /dev/zero | tr '\0' x)"
	[ "$status" = 2 ]
}

@test "umount returns when the store is free" {
	require_fuse
	for _ in 1 2 3 4 5; do
		mount_a
		mkdir -p "$A/t"
		echo "$RANDOM" >"$A/t/r"
		"$sf" umount "$A"
		"$sf" verify "$DIR/store-A"
	done
}

tags_of() { "$sf" tag "$1" --json | jq -r '"\(.tag) \(.commit[0:12])"' | tr '\n' ' '; }

@test "tag: set, move, list and delete; it means the commit wherever one is named" {
	setup_history
	local two three before
	two=$(log --json | jq -r 'select(.message == "two") | .id')
	three=$(log --json | jq -r 'select(.message == "three") | .id')
	[ "$("$sf" tag "$DIR/s")" = "" ]
	"$sf" tag "$DIR/s" v1.0 "${two:0:6}" | grep -xE '[0-9a-f]{64}'
	[ "$(log --json -n 1 | jq -r .message)" = "tag v1.0" ]
	[ "$("$sf" show "$DIR/s" v1.0 --json | jq -r .id)" = "$two" ]
	[ "$(diff_of v1.0 HEAD --stat)" = "$(diff_of "$two" HEAD --stat)" ]
	"$sf" tag "$DIR/s" 'with space' HEAD~1 -m why >/dev/null
	[ "$(log --json -n 1 | jq -r .message)" = why ]
	[ "$(tags_of "$DIR/s")" = "v1.0 ${two:0:12} with space ${three:0:12} " ]
	"$sf" tag "$DIR/s" | grep -xE "${two:0:12}  [0-9TZ:.-]{24}  v1.0"
	# The same again is no commit; another one moves it.
	before=$("$sf" status "$DIR/s" --json | jq .head.count)
	[ "$("$sf" tag "$DIR/s" v1.0 "$two")" = "nothing to change" ]
	[ "$("$sf" status "$DIR/s" --json | jq .head.count)" = "$before" ]
	"$sf" tag "$DIR/s" v1.0 "$three" >/dev/null
	[ "$(tags_of "$DIR/s")" = "v1.0 ${three:0:12} with space ${three:0:12} " ]
	"$sf" tag "$DIR/s" -d v1.0 >/dev/null
	[ "$(tags_of "$DIR/s")" = "with space ${three:0:12} " ]
	run "$sf" tag "$DIR/s" -d v1.0
	[ "$status" = 1 ]
	[[ $output == *"no tag 'v1.0'"* ]]
	for name in HEAD HEAD~1 latest @2026 0123456789ab a/b; do
		run "$sf" tag "$DIR/s" "$name"
		[ "$status" = 1 ]
	done
	run "$sf" tag "$DIR/s" x no-such-commit
	[ "$status" = 1 ]
	"$sf" verify "$DIR/s"
}

@test "tags are links in .commits, listed, and the same on a peer" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo one >"$A/t/r"
	"$sf" tag "$A" first >/dev/null # with what was just written
	echo two >"$A/t/r"
	[ "$(cat "$A/.commits/first/t/r")" = one ]
	[ "$(readlink "$A/.commits/first")" = "$("$sf" show "$A" first --json | jq -r .name)" ]
	"$sf" tag "$A" second >/dev/null
	[ "$(ls "$A/.commits" | tail -n 3 | tr '\n' ' ')" = "first latest second " ]
	[ "$(find "$A/.commits" -maxdepth 1 -type l | wc -l)" = 3 ]
	mount_b
	until_same "$A" "$B"
	[ "$(cat "$B/.commits/first/t/r" "$B/.commits/second/t/r")" = $'one\ntwo' ]
	"$sf" restore "$B" first t/r >/dev/null
	"$sf" tag "$B" -d second >/dev/null
	until_same "$A" "$B"
	[ "$(cat "$A/t/r")" = one ]
	[ ! -e "$A/.commits/second" ]
	[ "$(find "$A/.commits" -maxdepth 1 -type l -printf '%f ')" = "latest first " ]
}

# holds FILE: a program that is writing it; HOLDER is its process.
holds() {
	python3 -c 'import os, sys, time
f = os.open(sys.argv[1], os.O_WRONLY)
os.write(f, b"half")
print("written", flush=True)
time.sleep(60)' "$1" >"$DIR/held" 3>&- &
	HOLDER=$!
	until_true 10 grep -q written "$DIR/held"
}
let_go() {
	kill "$HOLDER"
	wait "$HOLDER" || true
}

@test "nor can names in messages, in status and in the log" {
	require_fuse
	local name=$'\033]0;title\a\033[31m\303\251' copy=$'x\033[31m'
	mount_a
	mkdir "$A/t"
	echo x >"$A/t/$name"
	"$sf" commit "$A" -m one
	echo y >"$A/t/$name"
	"$sf" commit "$A" -m two
	holds "$A/t/$name"
	run "$sf" restore "$A" HEAD~1
	let_go
	[ "$status" = 1 ]
	[[ "$output" == *'t/\x1b]0;title\x07\x1b[31m'$'\303\251 is being written'* ]]
	mkdir "$A/.txn/$copy"
	holds "$A/.txn/$copy/t/$name"
	run mv "$A/.txn/$copy" "$A/.txn/commit"
	let_go
	[ "$status" = 1 ]
	{
		"$sf" status "$A"
		cat "$A/.swarm/status" "$DIR/store-A/log"
	} >"$DIR/out"
	grep -F 'transaction x\x1b[31m was not applied: a program is writing t/\x1b]0;title\x07' "$DIR/store-A/log"
	run grep -c -e $'\033' -e $'\a' "$DIR/out"
	[ "$output" = 0 ]
}

#!/usr/bin/env bats
# prove: a proof made from a mount or a store is checked by somebody who has neither.

load mounts

# elsewhere COMMAND...: where there is nothing but the proof.
elsewhere() { (cd "$DIR/elsewhere" && env -i HOME=/nonexistent PATH="$PATH" "$@"); }
check() { elsewhere "$sf" prove --check "$@"; }
fails() {
	run "${@:2}"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"$1"* ]]
}

setup_store() {
	mkdir "$DIR/in" "$DIR/elsewhere"
	printf '{"name":"Ada"}' >"$DIR/in/1.json"
	printf 'a\xffb\n' >"$DIR/in/bin"
	head -c 3000000 /dev/urandom >"$DIR/in/big"
	"$sf" init "$DIR/s" >/dev/null
	"$sf" import "$DIR/s" --table users -m 'the first' "$DIR/in" >/dev/null
	DB=$("$sf" status "$DIR/s" --json | jq -r .database)
}

@test "a proof says what the store says, to who has none" {
	setup_store
	"$sf" prove "$DIR/s" users/1.json -o "$DIR/elsewhere/p"
	[ "$(stat -c %s "$DIR/elsewhere/p")" -lt 2000 ]
	check p users/1.json --database "$DB" --json >"$DIR/said"
	"$sf" show "$DIR/s" HEAD --json >"$DIR/head"
	"$sf" show "$DIR/s" HEAD users/1.json --json >"$DIR/row"
	[ "$(jq -c '[.database, .commit, .author, .time, .message, .role, .exists]' "$DIR/said")" = \
		"$(jq -c --arg db "$DB" '[$db, .id, .author, .time, .message, "admin", true]' "$DIR/head")" ]
	[ "$(jq -c '[.table, .row, .size, .mode, .mtime_ns, .text]' "$DIR/said")" = \
		"$(jq -c '[.table, .row, .size, .mode, .mtime_ns, .text]' "$DIR/row")" ]
	check p | grep '^proved: users/1.json is there'
	check p | grep '^content   {"name":"Ada"}$'
	check - --content "$DIR/in/1.json" <"$DIR/elsewhere/p"
	fails "is not what the row holds" check p --content "$DIR/in/bin"
	[ "$("$sf" prove "$DIR/s" users/bin | check - --json | jq -r .base64 | base64 -d | od -c)" = "$(od -c <"$DIR/in/bin")" ]
}

@test "that there is no such row, and what was before" {
	setup_store
	"$sf" prove "$DIR/s" users/2.json | check - | grep '^proved: users/2.json is not there; its table is$'
	"$sf" prove "$DIR/s" none/2.json | check - --json | jq -e '.exists == false and .table_exists == false and .size == null'
	"$sf" prove "$DIR/s" users/1.json --at HEAD~1 | check - | grep 'is not there, nor is its table'
	"$sf" prove "$DIR/s" users/2.json >"$DIR/elsewhere/p"
	fails "there is no such row" check p --content "$DIR/in/1.json"
}

@test "of a large row the content is compared" {
	setup_store
	"$sf" prove "$DIR/s" users/big -o "$DIR/elsewhere/p"
	[ "$(stat -c %s "$DIR/elsewhere/p")" -lt 3000 ]
	check p --content "$DIR/in/big"
	check p --json | jq -e '.size == 3000000 and .text == null and .base64 == null'
	fails "give a file" check p --content <(cat "$DIR/in/big")
	printf x | dd of="$DIR/in/big" bs=1 seek=1500000 conv=notrunc status=none
	fails "is not what the row holds" check p --content "$DIR/in/big"
}

@test "what is wrong is said, and no file is left" {
	setup_store
	"$sf" prove "$DIR/s" users/1.json -o "$DIR/elsewhere/p"
	cp "$DIR/elsewhere/p" "$DIR/before"
	fails "there is no commit" "$sf" prove "$DIR/s" users/1.json --at nonsense -o "$DIR/elsewhere/p"
	cmp "$DIR/elsewhere/p" "$DIR/before"
	fails "cannot write" "$sf" prove "$DIR/s" users/1.json -o /nonexistent/p
	fails "not of 1234" check p --database 1234
	fails "another row" check p users/2.json
	fails "is no proof" check /proc/self/exe
	printf x | dd of="$DIR/elsewhere/p" bs=1 seek=300 conv=notrunc status=none
	fails "is damaged" check p
	fails "cannot open" check q
	cmp "$DIR/before" <("$sf" prove "$DIR/s" users/1.json -o -)
	for args in "$DIR/s" "$DIR/s users" "$DIR/s a/b --json" "--check p --at HEAD" "--check p a/b c/d" ""; do
		# shellcheck disable=SC2086
		run "$sf" prove $args
		echo "$output"
		[ "$status" = 2 ]
	done
	run script -qec "'$sf' prove '$DIR/s' users/1.json" /dev/null
	[[ $output == *"a proof is not text"* ]]
}

@test "two mounts: who writes is let in by a grant, and what crossed is signed by a watermark" {
	require_fuse
	mkdir "$DIR/elsewhere"
	mount_a --settle 60000
	mkdir "$A/t"
	echo one >"$A/t/a"
	"$sf" commit "$A" >/dev/null
	mount_b --settle 60000
	until_same "$A" "$B"
	echo two >"$B/t/b"
	"$sf" commit "$B" >/dev/null
	"$sf" prove "$B" t/b | check - --json >"$DIR/said"
	[ "$(jq -c '[.text, .role, .grants]' "$DIR/said")" = '["two\n","writer",2]' ]
	[ "$(jq -r .author "$DIR/said")" = "$("$sf" status "$B" --json | jq -r .key)" ]
	[ "$(jq -r .creator "$DIR/said")" = "$("$sf" status "$A" --json | jq -r .key)" ]
	until_same "$A" "$B"
	# Each writes without the other.
	"$sf" umount "$B"
	echo three >"$A/t/a"
	"$sf" commit "$A" >/dev/null
	"$sf" mount "$B" --store "$DIR/store-B" --no-peers --settle 60000
	echo four >"$B/t/b"
	"$sf" commit "$B" >/dev/null
	"$sf" umount "$B"
	"$sf" mount "$B" --store "$DIR/store-B" --listen tcp://127.0.0.1:0 --settle 60000
	until_true 30 same_head "$A" "$B"
	"$sf" prove "$B" t/a | check - --json >"$DIR/said"
	[ "$(jq -r '.text, .commit' "$DIR/said")" = $'three\n\nnull' ]
	[ "$(jq -r '.commits' "$DIR/said")" = "$(count_of "$A")" ]
	"$sf" prove "$A" t/b | check - --json | jq -e '.text == "four\n"'
}

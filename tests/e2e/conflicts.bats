#!/usr/bin/env bats
# Conflicts of two peers that were apart: seen and resolved on either.

load mounts

# Two stores of one database that do not talk: both had what is in t.
setup_apart() {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo base >"$A/t/r"
	echo base >"$A/t/gone"
	echo '{"x":1,"y":1}' >"$A/t/c.json"
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	"$sf" umount "$A"
}

# on A|B COMMAND...: run it on that store, mounted by itself.
on() {
	local point=$DIR/$1 store=$DIR/store-$1
	shift
	"$sf" mount "$point" --store "$store"
	"$@"
	"$sf" commit "$point" >/dev/null
	"$sf" umount "$point"
}

# B listens, and A finds it.
join() {
	"$sf" mount "$B" --store "$DIR/store-B" --listen tcp://127.0.0.1:0
	"$sf" mount "$A" --store "$DIR/store-A" --listen tcp://127.0.0.1:0 \
		--peer "$("$sf" status "$B" --json | jq -r '.listen[0]')"
	until_same "$A" "$B"
}

put() { printf '%s' "$2" >"$1"; }

# Both write t/r, and B is the later.
setup_conflict() {
	setup_apart
	on A put "$A/t/r" mine
	on B put "$B/t/r" theirs
	join
	[ "$(cat "$A/t/r")" = theirs ]
}

conflicts() { "$sf" conflicts "$@"; }
# The only conflict's name.
name_of() { conflicts list "$1" --json | jq -r '"\(.table)/\(.row)/\(.commit[0:12])"'; }

@test "list and show: the same on both, of a mount and of a store" {
	setup_conflict
	local name
	name=$(name_of "$A")
	[[ $name =~ ^t/r/[0-9a-f]{12}$ ]]
	[ "$(conflicts list "$A")" = "$(conflicts list "$B")" ]
	[ "$(conflicts "$A" | cut -d' ' -f1)" = "$name" ]
	[ "$(conflicts "$A" t | wc -l)" = 1 ]
	[ "$(conflicts "$A" t/r | wc -l)" = 1 ]
	[ "$(conflicts "$A" t/c.json)" = "" ]
	[ "$(conflicts "$A" u)" = "" ]
	[ "$(conflicts list "$A" --json | jq -r '"\(.table) \(.row) \(.outcome)"')" = "t r applied" ]
	for side in base=$'base\n' lost=mine won=theirs; do
		conflicts show "$B" t/r --side "${side%%=*}" >"$DIR/side"
		printf '%s' "${side#*=}" | cmp - "$DIR/side"
	done
	conflicts show "$A" "$name" >"$DIR/about"
	grep -x 'what       row' "$DIR/about"
	grep -x 'lost       4 bytes' "$DIR/about"
	[ "$(conflicts show "$B" "$name")" = "$(cat "$DIR/about")" ]
	[ "$(conflicts show "$A" t/r --json | jq -r '.what, .lost.size, .won.state' | tr '\n' ' ')" = "row 4 there " ]
	"$sf" umount "$A"
	[ "$(conflicts show "$DIR/store-A" "$name")" = "$(cat "$DIR/about")" ]
}

@test "show: a column, a deletion, a conflict that is not there" {
	setup_apart
	on A put "$A/t/c.json" '{"x":2,"y":2}'
	on A rm "$A/t/gone"
	on B put "$B/t/c.json" '{"x":3,"y":1}'
	on B put "$B/t/gone" 'still here'
	join
	[ "$(cat "$A/t/c.json")" = '{"x":3,"y":2}' ]
	conflicts show "$A" t/c.json >"$DIR/about"
	grep -x 'what       column' "$DIR/about"
	grep -x 'column     x 2; base 1, won 3' "$DIR/about"
	[ "$(conflicts show "$B" t/c.json --json | jq -c .columns)" = '{"x":{"base":1,"won":3,"lost":2}}' ]
	[ "$(conflicts show "$B" t/gone --json | jq -r '.what, .lost.state')" = $'deletion\nabsent' ]
	run conflicts show "$B" t/gone --side lost
	[ "$status" = 1 ]
	[[ $output == *"has no 'lost'"* ]]
	for name in t/r t/gone/0123456789ab u/r; do
		run conflicts show "$A" "$name"
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == *"there is no conflict $name; "* ]]
	done
}

@test "bad usage" {
	"$sf" init "$DIR/s" >/dev/null
	[ "$(conflicts "$DIR/s")" = "" ]
	for words in "list $DIR/s /" "list $DIR/s t/r/1" "show $DIR/s" "show $DIR/s t" "show $DIR/s t/r/1/2" \
		"show $DIR/s t/r --side left" "show $DIR/s t/r --side won --json" "list $DIR/s --side won" "list $DIR/s a b" list ''; do
		# shellcheck disable=SC2086 # words
		run conflicts $words
		[ "$status" = 2 ]
	done
}

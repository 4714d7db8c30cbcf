#!/usr/bin/env bats
# README's first command, on real data, from a build of its own.

load mounts

@test "quickstart: all of iso-codes through cp and import, edits both ways, the same history" {
	require_fuse
	cd "$BATS_TEST_DIRNAME/../.."
	run ./contrib/quickstart --dir "$DIR/qs"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"no difference: "* && $output == *"(edited on B)"* ]]
	[ "$(find "$DIR/qs/iso-codes" -type f | wc -l)" -gt 14000 ]
	diff -r "$DIR/qs/iso-codes" "$DIR/qs/A" | grep -v '^Only in' | grep -c '^diff' | grep -qx 1
	diff <(ls "$DIR/qs/A/.commits") <(ls "$DIR/qs/B/.commits")
	./contrib/quickstart --stop "$DIR/qs"
	[ ! -e "$DIR/qs" ]
}

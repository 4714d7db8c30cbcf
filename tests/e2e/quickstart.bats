#!/usr/bin/env bats
# README's first command, on real data, from a build of its own.

load mounts

# The machine without its FUSE device, for one command. A user becomes root in a namespace of their own for it.
without_fuse() {
	local unshare=(unshare --mount)
	[ "$(id -u)" = 0 ] || unshare+=(--map-root-user)
	"${unshare[@]}" sh -c 'mount --bind /dev/null /dev/fuse && exec "$@"' sh "$@"
}

has_iso_codes() { [ "$(find "$DIR/qs/iso-codes" -type f | wc -l)" -gt 14000 ]; }

@test "quickstart: all of iso-codes through cp and import, edits both ways, the same history" {
	require_fuse
	cd "$BATS_TEST_DIRNAME/../.."
	run ./contrib/quickstart --dir "$DIR/qs"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"no difference: "* && $output == *"(edited on B)"* ]]
	is_mounted "$DIR/qs/A" && is_mounted "$DIR/qs/B"
	has_iso_codes
	diff -r "$DIR/qs/iso-codes" "$DIR/qs/A" | grep -v '^Only in' | grep -c '^diff' | grep -qx 1
	diff <(ls "$DIR/qs/A/.commits") <(ls "$DIR/qs/B/.commits")
	[ "$(find "$DIR/qs/B/currencies" -type f | wc -l)" = "$(jq '."4217" | length' /usr/share/iso-codes/json/iso_4217.json)" ]
	# One edit for each row that was copied or imported, and one for the edit.
	[ "$("$sf" log "$DIR/qs/A" --json | jq -s 'map(.rows) | add')" = \
		$(($(find "$DIR/qs/iso-codes" "$DIR/qs/A/currencies" -type f | wc -l) + 1)) ]
	# One of the two may have died without a word.
	local pid
	pid=$(pid_of "$DIR/qs/A")
	kill -9 "$pid"
	until_true 10 ends "$pid"
	is_mounted "$DIR/qs/A"
	./contrib/quickstart --stop "$DIR/qs"
	[ ! -e "$DIR/qs" ]
	not_mounted "$DIR/qs/A"
	not_mounted "$DIR/qs/B"
}

@test "quickstart without /dev/fuse says so, and shows the same with two headless peers" {
	[ ! -e /dev/fuse ] || without_fuse true 2>/dev/null || skip "no namespace to hide the device in"
	cd "$BATS_TEST_DIRNAME/../.."
	run without_fuse ./contrib/quickstart --dir "$DIR/qs"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"cannot mount: /dev/fuse is not the FUSE device here"* && $output == *"two headless peers"* ]]
	[[ $output == *"(edited on B)"* ]]
	has_iso_codes
	# They still stand, and what the output says to try works.
	local store pid
	for store in "$DIR/qs/store-A" "$DIR/qs/store-B"; do
		pid=$("$sf" status "$store" --json | jq -e .pid)
		kill -0 "$pid"
		"$sf" verify "$store"
		"$sf" show "$store" HEAD~1 iso_3166_1/DEU.json | cmp - "$DIR/qs/iso-codes/iso_3166_1/DEU.json"
	done
	same_head "$DIR/qs/store-A" "$DIR/qs/store-B"
	[ "$("$sf" diff "$DIR/qs/store-A" HEAD --json | jq -r '"\(.table)/\(.row)"')" = iso_3166_1/DEU.json ]
	local first
	first=$("$sf" log "$DIR/qs/store-B" --json --reverse | head -n 1 | jq -r .id)
	[ "$("$sf" diff "$DIR/qs/store-B" "$first" HEAD~1 --stat | tail -n 1)" = "$(find "$DIR/qs/iso-codes" -type f | wc -l) added, 0 changed, 0 removed" ]
	./contrib/quickstart --stop "$DIR/qs"
	[ ! -e "$DIR/qs" ]
	until_true 10 ends "$pid"
}

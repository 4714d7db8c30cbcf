#!/usr/bin/env bats
# gc: what it frees, what stays, and what other commands say of it.

bats_require_minimum_version 1.5.0
load mounts
sf=${SWARMFS:?names the binary}

# versions MOUNT N: a row is written N times, each a commit, and one stays as it is.
versions() {
	mkdir -p "$1/t"
	echo stays >"$1/t/still"
	for i in $(seq "$2"); do
		printf 'version %d\n' "$i" >"$1/t/r"
		"$sf" commit "$1" -m "v$i" >/dev/null
	done
}

gc_json() { "$sf" gc "$@" --json | jq -c .; }

@test "on a mount: what stands stays, the past goes, and peers go on alike" {
	require_fuse
	# What is written is committed by whoever says so, with its message.
	mount_a --settle 3000
	mount_b
	versions "$A" 20
	until_same "$A" "$B"
	"$sf" commit "$A" --settled >/dev/null
	cp "$A/t/r" "$DIR/r"
	before=$(head_of "$A")
	[ "$(ls "$A/.commits" | wc -l)" -ge 20 ]

	# Nothing is that old.
	run "$sf" gc "$A"
	[ "$status" = 0 ]
	[[ $output == "nothing to free:"* ]]
	dry=$(gc_json "$A" --keep 0 --dry-run | jq .commits)
	[ "$dry" -ge 18 ]
	[ "$("$sf" log "$A" | grep -c freed)" = 0 ]
	# Names that the kernel knows, and nobody has looked into.
	ls -l "$A/.commits" >/dev/null
	run "$sf" gc "$A" --keep 0
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "freed the content of $dry commits up to "* ]]
	[ "$(gc_json "$A" --keep 0 | jq .commits)" = 0 ]

	[ "$(head_of "$A")" = "$before" ]
	cmp "$A/t/r" "$DIR/r"
	[ "$(cat "$A/t/still")" = stays ]
	[ "$(ls "$A/.commits" | wc -l)" -le 4 ]
	[ "$(ls "$B/.commits" | wc -l)" -ge 20 ]
	old=$("$sf" log "$B" --json | jq -r 'select(.message == "v3").name')
	[ -e "$B/.commits/$old/t/r" ]
	[ ! -e "$A/.commits/$old" ]
	"$sf" log "$A" | grep -q ' freed  v3$'
	[ "$("$sf" log "$A" --json | jq -c 'select(.message == "v3") | [.freed, .rows]')" = '[true,null]' ]
	[ "$("$sf" log "$B" --json | jq -c 'select(.message == "v3") | [.freed, .rows]')" = '[false,1]' ]
	[ "$("$sf" status "$A" --json | jq -r .freed_up_to)" != null ]
	"$sf" status "$A" | grep -q '^freed '
	"$sf" verify "$A" | grep -q 'was freed by gc'
	"$sf" verify "$B"

	# Both go on, and what one does the other has.
	echo from B >"$B/t/r"
	echo from A >"$A/t/new"
	until_same "$A" "$B"
	[ "$(cat "$A/t/r")" = "from B" ]
	rm "$B/t/still"
	until_same "$A" "$B"
	"$sf" umount "$A"
	mount_a
	[ "$(cat "$A/t/new")" = "from A" ]
	"$sf" verify "$A"
}

@test "one sentence from each command that would need what was freed" {
	require_fuse
	# What is written is committed by whoever says so, with its message.
	mount_a --settle 3000
	mount_b
	versions "$A" 5
	until_same "$A" "$B"
	"$sf" tag "$A" old HEAD~4
	id=$("$sf" log "$A" --json | jq -r 'select(.message == "v2").id')
	until_same "$A" "$B"
	"$sf" commit "$A" --settled >/dev/null
	"$sf" gc "$A" --keep 0
	for c in "show $A $id t/r" "diff $A $id HEAD" "restore $A $id t/r" "restore $A old t/r"; do
		run "$sf" $c
		echo "$c: $output"
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == "swarmfs: "*"freed by gc"* ]]
	done
	"$sf" show "$A" "$id" | grep -q '^content  *freed by gc'
	[ ! -e "$A/.commits/old" ]
	[[ $(echo "$A"/.commits/*) != *"/old"* ]]
	"$sf" tag "$A" | grep -q old
	for c in "log $A t/r" "blame $A t/r"; do
		run --separate-stderr "$sf" $c
		echo "$c: $output, $stderr"
		[ "$status" = 0 ]
		[[ $stderr == "swarmfs: note: "*"freed by gc" ]]
	done
	# The other one can.
	[ "$("$sf" show "$B" "$id" t/r)" = "version 2" ]
}

large() { head -c 6000 /dev/zero | tr '\0' "$1"; }

@test "a conflict that is open keeps its bytes" {
	require_fuse
	mount_a
	mount_b
	mkdir "$A/t"
	echo base >"$A/t/r"
	large b >"$A/t/large"
	until_same "$A" "$B"
	"$sf" umount "$B"
	echo mine >"$A/t/r"
	large m >"$A/t/large"
	"$sf" commit "$A" -m mine
	"$sf" mount "$B" --store "$DIR/store-B" --no-peers
	echo theirs >"$B/t/r"
	large t >"$B/t/large"
	"$sf" commit "$B" -m theirs
	"$sf" umount "$B"
	mount_b
	until_same "$A" "$B"
	until_true 10 test -e "$A/.conflicts/t/r"
	won=$(cat "$A/t/r")
	echo x >"$A/t/other"
	until_same "$A" "$B"
	"$sf" commit "$A" --settled >/dev/null
	"$sf" gc "$A" --keep 0
	[ "$(cat "$A"/.conflicts/t/r/*/base)" = base ]
	[ "$(cat "$A"/.conflicts/t/r/*/won)" = "$won" ]
	[[ $(cat "$A"/.conflicts/t/r/*/lost) =~ ^(mine|theirs)$ ]]
	exec 5<"$(echo "$A"/.conflicts/t/large/*/lost)" 6<"$(echo "$A"/.conflicts/t/large/*/base)"
	rm -r "$A"/.conflicts/t/r/* "$A"/.conflicts/t/large/*
	until_same "$A" "$B"
	"$sf" commit "$A" --settled >/dev/null
	"$sf" gc "$A" --keep 0
	# Who has a version of a large row open reads on.
	[[ $(cat <&5) =~ ^(m{6000}|t{6000})$ ]]
	[ "$(cat <&6)" = "$(large b)" ]
	exec 5<&- 6<&-
	"$sf" verify "$A"
	[ "$(cat "$B/t/r")" = "$won" ]
}

@test "a snapshot that was only looked at does not hold up gc, one that is open does" {
	require_fuse
	mount_a --settle 3000
	versions "$A" 6
	looked=$("$sf" log "$A" --json | jq -r 'select(.message == "v2").name')
	[ "$(cat "$A/.commits/$looked/t/r")" = "version 2" ]
	ls -lR "$A/.commits/$looked" >/dev/null
	opened=$("$sf" log "$A" --json | jq -r 'select(.message == "v4").name')
	exec 5<"$A/.commits/$opened/t/r"
	[ "$(gc_json "$A" --keep 0 --sole | jq .held)" = true ]
	[ ! -e "$A/.commits/$looked" ]
	[ "$(cat <&5)" = "version 4" ]
	exec 5<&-
	[ "$(gc_json "$A" --keep 0 --sole | jq .held)" = false ]
	[ ! -e "$A/.commits/$opened" ]
	"$sf" verify "$A"
}

@test "a reader who went away does not count as one who has everything" {
	require_fuse
	mount_a --settle 3000
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$("$sf" invite "$A" --role reader | tail -n 1)"
	versions "$A" 4
	until_same "$A" "$B"
	"$sf" umount "$B"
	run "$sf" gc "$A" --keep 0
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == "swarmfs: this is the only store that is known to have the whole database: "*"--sole" ]]
	"$sf" gc "$A" --keep 0 --sole
	"$sf" verify "$A"
}

@test "the only store of a database is asked twice; who joins needs one that keeps all" {
	"$sf" init "$DIR/s" >/dev/null
	for i in 1 2 3; do
		printf '{"id":1,"n":%d}\n' "$i" | "$sf" import "$DIR/s" --table t -m "n$i" -
	done
	run "$sf" gc "$DIR/s" --keep 0
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == "swarmfs: this is the only store that is known to have the whole database: "*"--sole" ]]
	[ "$("$sf" status "$DIR/s" --json | jq -r .freed_up_to)" = null ]
	"$sf" gc "$DIR/s" --keep 0 --sole
	[ "$("$sf" log "$DIR/s" --json | jq -s '[.[] | select(.freed)] | length')" = 2 ]
	[ "$("$sf" show "$DIR/s" HEAD t/1.json)" = '{"id":1,"n":3}' ]
	"$sf" verify "$DIR/s"
}

@test "a span that is none" {
	run "$sf" gc "$DIR/s" --keep soon
	[ "$status" = 2 ]
	[[ ${lines[0]} == "swarmfs gc: --keep is a span such as "*"not 'soon'" ]]
}

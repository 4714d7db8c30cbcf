#!/usr/bin/env bats
# Who may do what: readers, writers and admins, and members who are taken out.

bats_require_minimum_version 1.5.0
load mounts

key_of() { "$sf" status "$1" --json | jq -r .key; }
role_of() { "$sf" status "$1" --json | jq -r .role; }
has_role() { [ "$(role_of "$1")" = "$2" ]; }
is_read_only() { ! touch "$1/t/probe" 2>"$DIR/said" && grep -q 'Read-only file system' "$DIR/said"; }

@test "members lists who is in, with role, rank and who let it in" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	run -0 "$sf" members "$A"
	[ "${#lines[@]}" -eq 2 ]
	[[ "$output" == *"admin   rank 0"*"(this store)"* ]]
	[ "$(cat "$A/.swarm/members")" = "$output" ]
	[ "$("$sf" members "$B" --json | jq -r 'select(.own) | "\(.role) \(.rank)"')" = "writer null" ]
	[ "$("$sf" members "$B" --json | jq -r 'select(.own) | .granted_by')" = "$(key_of "$A")" ]
	"$sf" members "$A" --set "$(key_of "$B" | cut -c 1-8)=admin"
	until_true 10 has_role "$B" admin
	[ "$("$sf" members "$B" --json | jq -r 'select(.own) | "\(.role) \(.rank)"')" = "admin 1" ]
	"$sf" invite "$B" >/dev/null # an admin can
	"$sf" members "$A" --set "$(key_of "$B")=writer"
	until_true 10 has_role "$B" writer
	run ! "$sf" invite "$B"
	echo still >"$B/t/r"
	until_true 10 grep -q still "$A/t/r"
}

@test "a reader sees everything and writes nothing, until it is made a writer" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo one >"$A/t/r"
	"$sf" mount "$B" --store "$DIR/store-B" --listen tcp://127.0.0.1:0 \
		--peer "$("$sf" invite "$A" --role reader | tail -n 1)"
	until_true 10 grep -q one "$B/t/r"
	has_role "$B" reader
	is_read_only "$B"
	run ! bash -c "echo two >>'$B/t/r'"
	run ! mkdir "$B/u"
	run ! rm "$B/t/r"
	run ! mv "$B/t/r" "$B/t/s"
	run ! chmod 600 "$B/t/r"
	[ "$(cat "$B/t/r")" = one ]
	"$sf" status "$B" | grep -q 'READ ONLY'
	[ "$("$sf" status "$B" --json | jq .writable)" = false ]
	echo two >"$A/t/r"
	until_true 10 grep -q two "$B/t/r"
	"$sf" members "$A" --set "$(key_of "$B")=writer"
	until_true 10 has_role "$B" writer
	echo three >"$B/t/r"
	until_true 10 grep -q three "$A/t/r"
}

@test "what a member signs after it was taken out counts nowhere, and it is told" {
	require_fuse
	local key url
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	echo seen >"$B/t/seen"
	until_same "$A" "$B"
	key=$(key_of "$B") url=$(url_of "$A")
	"$sf" umount "$A"
	"$sf" revoke "$DIR/store-A" "$key"
	# B does not know yet.
	echo late >"$B/t/late"
	echo late >>"$B/t/seen"
	until_true 10 settled "$B"
	"$sf" mount "$A" --store "$DIR/store-A" --listen "$url"
	until_true 30 has_role "$B" none
	until_true 10 is_read_only "$B"
	"$sf" status "$B" | grep -q REMOVED
	grep -q 'taken out' "$DIR/store-B/log"
	for m in "$A" "$B"; do
		until_true 10 test ! -e "$m/t/late"
		[ "$(cat "$m/t/seen")" = seen ]
	done
	echo new >"$A/t/new"
	until_true 10 settled "$A"
	[ ! -e "$B/t/new" ]
	"$sf" verify "$A"
	"$sf" verify "$B"
	# What it had written is there still, and the mount comes again, read-only.
	"$sf" umount "$B"
	"$sf" mount "$B" --store "$DIR/store-B"
	is_read_only "$B"
	[ "$(cat "$B/t/seen")" = seen ]
	"$sf" umount "$B"
	# It may come back, and what it does then counts.
	"$sf" members "$A" --set "$key=writer"
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$url"
	until_true 30 test -e "$B/t/new"
	echo back >"$B/t/back"
	until_true 10 test -e "$A/t/back"
	until_same "$A" "$B"
}

@test "a stolen key is taken out from its last good commit on" {
	require_fuse
	local good
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	echo good >"$B/t/r"
	until_true 10 settled "$B"
	until_same "$A" "$B"
	good=$("$sf" log "$A" --json | jq -r .id | head -n 1)
	echo bad >"$B/t/r"
	until_true 10 grep -q bad "$A/t/r"
	"$sf" revoke "$A" "$(key_of "$B")" --since "$good"
	until_true 10 grep -q good "$A/t/r"
	until_true 10 grep -q good "$B/t/r"
	"$sf" log "$A" --json | jq -r .outcome | grep -qx void
	"$sf" verify "$A"
}

@test "a floor ends what was written before and is not here" {
	require_fuse
	local url
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	url=$(url_of "$A")
	"$sf" umount "$A"
	echo away >"$B/t/away"
	until_true 10 settled "$B"
	"$sf" floor "$DIR/store-A"
	"$sf" mount "$A" --store "$DIR/store-A" --listen "$url"
	until_true 30 test ! -e "$B/t/away"
	[ ! -e "$A/t/away" ]
	echo after >"$B/t/after"
	until_true 10 test -e "$A/t/after"
	until_same "$A" "$B"
}

@test "what cannot be done is said in a sentence" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	run -1 "$sf" revoke "$B" "$(key_of "$A")"
	[[ "$output" == *"rank"* || "$output" == *"only an admin"* ]]
	run -1 "$sf" revoke "$A" "$(key_of "$A")"
	[[ "$output" == *"another admin"* ]]
	run -1 "$sf" revoke "$A" abcd
	[[ "$output" == *"swarmfs members"* ]]
	run -1 "$sf" members "$B" --set "$(key_of "$B")=admin"
	[[ "$output" == *"only an admin"* ]]
	run -1 "$sf" members "$A" --set "$(key_of "$B")=king"
	[[ "$output" == *"reader, writer or admin"* ]]
	run -1 "$sf" members "$A" --set "$(key_of "$B")"
	run -2 "$sf" invite "$A" --role king
	run -2 "$sf" revoke "$A" "$(key_of "$B")" --all --since HEAD
	run -1 "$sf" revoke "$A" "$(key_of "$B")" --since nothing
	run -1 "$sf" floor "$B"
}

@test "whom a revoked key had let in is named, and goes with the grant or by itself" {
	local heir later key before
	heir=$(printf '5%.0s' {1..64}) later=$(printf '6%.0s' {1..64})
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	"$sf" members "$A" --set "$(key_of "$B")=admin"
	until_true 10 has_role "$B" admin
	"$sf" members "$B" --set "$heir=writer"
	until_same "$A" "$B"
	before=$("$sf" log "$A" -n 1 --json | jq -r .id)
	"$sf" members "$B" --set "$later=reader"
	until_same "$A" "$B"
	key=$(key_of "$B")
	"$sf" umount "$B"
	[ "$("$sf" members "$A" --json | jq -r "select(.key == \"$heir\") | .granted_by")" = "$key" ]
	# What it let in after that commit goes with it; what before, stays.
	run --separate-stderr -0 "$sf" revoke "$A" "$key" --since "$before"
	[ "${#lines[@]}" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ "$stderr" == *"${heir:0:12}, a writer whom ${key:0:12} let in, stays a member"* ]]
	run -0 "$sf" members "$A"
	[[ "$output" == *"${heir:0:12}"* ]]
	[[ "$output" != *"${later:0:12}"* ]]
	run --separate-stderr -0 "$sf" revoke "$A" "$heir"
	[ -z "$stderr" ]
	run -0 "$sf" members "$A"
	[ "${#lines[@]}" -eq 1 ]
}

@test "a snapshot that was looked at shows what is void now no more" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_true 10 test -d "$B/t"
	echo b >"$B/t/x"
	until_same "$A" "$B"
	echo own >"$A/t/y"
	"$sf" commit "$A" -m y --settled --timeout 60s
	local snap number
	snap=$A/.commits/$(readlink "$A/.commits/latest")
	[ "$(ls "$snap/t" | tr '\n' ' ')" = "x y " ]
	number=$(stat -c %i "$snap")
	exec 9<"$snap/t"
	"$sf" revoke "$A" "$(key_of "$B")" --all
	until_true 10 test ! -e "$A/t/x"
	[ "$(ls "$snap/t")" = y ]
	[ ! -e "$snap/t/x" ]
	[ "$(stat -c %i "$snap")" != "$number" ]
	[ "$(ls -i "$A/.commits" | awk -v name="${snap##*/}" '$2 == name { print $1 }')" = "$(stat -c %i "$snap")" ]
	# Who has the old one open keeps it.
	[ "$(ls /proc/self/fd/9/ | tr '\n' ' ')" = "x y " ]
	exec 9<&-
}

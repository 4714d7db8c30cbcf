#!/usr/bin/env bats
# A store that was copied: each of the two ends up with a key of its own, and no work is lost.

load mounts

key_of() { "$sf" status "$1" --json | jq -r .key; }
other_keys() { [ "$(key_of "$1")" != "$(key_of "$2")" ]; }
copy_store() {
	until_true 10 not_mounted "$1"
	until_true 10 "$sf" verify "$DIR/store-$2"
	cp -a "$DIR/store-$2" "$DIR/store-$3"
}

@test "a copy that meets its original takes a new key; the work of both stays" {
	require_fuse
	local key
	mount_a
	mkdir "$A/t"
	echo before >"$A/t/r"
	key=$(key_of "$A")
	"$sf" umount "$A"
	copy_store "$A" A B
	mount_a
	echo original >"$A/t/original"
	"$sf" mount "$B" --store "$DIR/store-B"
	[ "$(key_of "$B")" = "$key" ]
	echo copy >"$B/t/copy"
	until_true 20 settled "$B"
	"$sf" umount "$B"
	until_true 10 not_mounted "$B"
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	until_true 20 test -e "$A/t/copy"
	until_same "$A" "$B"
	[ "$(key_of "$A")" = "$key" ]
	other_keys "$A" "$B"
	[ "$(cat "$B/t/original" "$B/t/copy")" = "$(cat "$A/t/original" "$A/t/copy")" ]
	# With its new key it is a member like any other.
	"$sf" umount "$B"
	until_true 10 not_mounted "$B"
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	echo more >"$B/t/more"
	until_true 20 test -e "$A/t/more"
	until_same "$A" "$B"
	"$sf" verify "$A"
	"$sf" verify "$B"
}

@test "two copies that never meet, but know the same peer, have two keys in the end" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	copy_store "$B" B C
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	echo b >"$B/t/b"
	until_true 20 test -e "$A/t/b"
	"$sf" umount "$B"
	until_true 10 not_mounted "$B"
	# The copy's work is signed with the same key, and was never seen.
	"$sf" mount "$C" --store "$DIR/store-C" --no-peers
	echo c >"$C/t/c"
	until_true 20 settled "$C"
	"$sf" umount "$C"
	until_true 10 not_mounted "$C"
	"$sf" mount "$C" --store "$DIR/store-C" --peer "$(url_of "$A")"
	until_true 20 test -e "$A/t/c"
	until_true 20 test -e "$C/t/b"
	# It has met commits by its key that it did not make. What lets the new key in may not be out before the old is used again.
	until_true 20 other_keys "$C" "$DIR/store-B"
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	until_true 30 other_keys "$B" "$C"
	until_true 30 test -e "$B/t/c"
	echo b2 >"$B/t/b2"
	echo c2 >"$C/t/c2"
	until_true 30 test -e "$A/t/b2"
	until_true 30 test -e "$A/t/c2"
	until_same "$A" "$B"
	until_same "$A" "$C"
	"$sf" verify "$A"
	"$sf" verify "$C"
}

@test "who is given its own address notices, and keeps its key" {
	local key url=ipc://$DIR/socket
	"$sf" init "$DIR/store-A" >/dev/null
	"$sf" serve "$DIR/store-A" --listen "$url" --peer "$url" &
	until_true 10 test -S "$DIR/store-A/control"
	key=$(key_of "$DIR/store-A")
	until_true 10 grep -q "the address is its own" "$DIR/store-A/log"
	[ "$(key_of "$DIR/store-A")" = "$key" ]
	stop_serving "$DIR/store-A"
}

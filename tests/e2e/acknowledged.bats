#!/usr/bin/env bats
# What programs were told on a disk that is mostly full holds after kill -9. SW_SEED and SW_SEEDS say which runs, and how many.

load mounts

@test "a full disk and kill -9: what was acknowledged is there, and what failed has not happened" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	local seed first=${SW_SEED:-$RANDOM}
	mkdir "$DIR/small"
	for seed in $(seq "$first" $((first + ${SW_SEEDS:-2} - 1))); do
		mount -t tmpfs -o size=12m tmpfs "$DIR/small"
		python3 "$BATS_TEST_DIRNAME/acknowledged.py" "$sf" "$A" "$DIR/small/s" "$seed" 8
		umount "$DIR/small"
	done
}

#!/usr/bin/env bats
# System calls on a mount do what they do on the file system of this machine: every case of tests/posix in both. What
# differs on purpose stands in tests/posix/exceptions.c.

load mounts

# A file system of the usual kind: on others, as on overlays, some calls differ that have no need to.
reference() {
	local dir
	for dir in "$DIR" /dev/shm; do
		case $(stat -f -c %T "$dir") in
		ext2/ext3 | tmpfs | xfs | btrfs)
			mktemp -d "$dir/reference.XXXXXX"
			return
			;;
		esac
	done
	skip "no ext4, xfs, btrfs or tmpfs to compare with"
}

differential() {
	local dir status=0
	dir=$(reference)
	"${SWARMFS_POSIX:?names the program of tests/posix}" "$A" "$dir" || status=$?
	rm -rf "$dir"
	return $status
}

@test "what the calls answer, and what comes of them" {
	require_fuse
	mount_a
	differential
	[ -z "$(ls -A "$A")" ]
	until_true 20 settled "$A"
	"$sf" verify "$A"
}

@test "the same while everything is committed at once" {
	require_fuse
	mount_a --settle 1
	differential
	until_true 20 settled "$A"
	"$sf" verify "$A"
}

@test "numbers, modes and times stay over a remount" {
	require_fuse
	mount_a
	mkdir -m 750 "$A/t" "$A/u"
	for i in $(seq 20); do echo "$i" >"$A/t/$i"; done
	chmod 600 "$A/t/7"
	touch -d '1969-12-31 23:59:58.5 UTC' "$A/t/8"
	touch -d '2001-02-03 04:05:06.000000007 UTC' "$A/t" "$A/u"
	"$sf" commit "$A" -m all
	local before
	list() { (cd "$A" && find . -printf '%p %i %y %m %n %s %b %T@\n' | sort); }
	before=$(list)
	# The root has no time of its own: it is there since it was mounted.
	before=$(sed '1d' <<<"$before")
	"$sf" umount "$A"
	mount_a
	diff <(echo "$before") <(list | sed 1d)
}

#!/usr/bin/env bats
# Living in a system: mount options, mount(8) and fstab, service managers.

load mounts

# as_installed COMMAND...: in a mount namespace of its own, where swarmfs is in a directory in which mount(8) looks for it.
as_installed() {
	unshare --mount sh -c 'mount -t tmpfs none /usr/local/sbin && ln -s "$0" /usr/local/sbin/swarmfs &&
		PATH=/usr/local/sbin:$PATH exec "$@"' "$sf" "$@" 3>&-
}
options_of() { awk -v m="$1" '$2 == m { print $4 }' /proc/self/mounts; }

@test "-o: what the kernel does, what swarmfs does, and what is for others" {
	require_fuse
	mount_a -o rw,noexec,nosuid,nodev,noatime,default_permissions,nofail,_netdev,user,x-systemd.automount,comment=x
	for o in rw noexec nosuid nodev noatime; do
		[[ ,$(options_of "$A"), == *,$o,* ]]
	done
	[ -z "$(ls -A "$A")" ]
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	"$sf" umount "$A"
	mount_a -o ro,show_control -o uid=12345,gid=54321
	[ "$(echo $(ls -A "$A"))" = ".commits .conflicts .swarm t" ]
	[ "$(stat -c '%u %g' "$A/t/r")" = "12345 54321" ]
	[ "$(cat "$A/t/r")" = 1 ]
	run bash -c "echo 2 >'$A/t/r'"
	[[ $output == *"Read-only file system"* ]]
}

@test "-o: options of the command, as a line of fstab has them" {
	require_fuse
	"$sf" mount "$A" -o "store=$DIR/store-A,listen=tcp://127.0.0.1:0,listen=ipc:///$DIR/sock,settle=50"
	[ "$("$sf" status "$A" --json | jq -r '.store, (.listen | length)' | tr '\n' ' ')" = "$DIR/store-A 2 " ]
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	"$sf" mount "$B" -o "store=$DIR/store-B,peer=$(ticket)"
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = 1 ]
}

@test "-o: what is unknown or cannot be is refused in one sentence" {
	local o
	for o in nosuch readonly=1 sotre=/x uid=me remount auto_unmount fsname=x show_contrl options=ro foreground=1 settle=x peer; do
		run "$sf" mount "$A" --store "$DIR/s" -o "$o"
		echo "$o -> $status: $output"
		[ "$status" = 2 ]
		[[ ${lines[0]} == "swarmfs mount: "* && ${lines[1]} == Usage* ]]
	done
	[[ $("$sf" mount "$A" -o show_contrl 2>&1) == *"unknown mount option 'show_contrl'; did you mean 'show_control'?"* ]]
	[[ $("$sf" mount "$A" -o sotre=/x 2>&1) == *"did you mean 'store'?"* ]]
	[ ! -e "$DIR/s" ]
}

@test "a store whose path has commas, backslashes and spaces is found by its mount" {
	require_fuse
	local s="$DIR/store-a,b\\x2d c"
	"$sf" mount "$A" --store "$s"
	[ "$("$sf" status "$A" --json | jq -r .store)" = "$s" ]
	"$sf" umount "$A"
	not_mounted "$A"
}

@test "mount(8) and a line of fstab" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root mounts by mount(8)"
	command -v mount.fuse3 >/dev/null || skip "mount.fuse3 is not installed"
	cat >"$DIR/fstab" <<-END
		$DIR/store-A $A fuse.swarmfs rw,listen=tcp://127.0.0.1:0,show_control,noatime,_netdev,nofail,x-systemd.requires=network.target 0 0
		none $B fuse.swarmfs store=$DIR/store-B,ro,noauto 0 0
	END
	cat >"$DIR/go" <<-'END'
		set -eux
		mount --fstab "$DIR/fstab" "$A"
		[ "$(swarmfs status "$A" --json | jq -r '.store, (.listen | length)' | tr '\n' ' ')" = "$DIR/store-A 1 " ]
		mkdir "$A/t"
		echo 1 >"$A/t/r"
		[ -e "$A/.swarm" ] && ls -A "$A" | grep -x .swarm
		swarmfs commit "$A" -m one
		pid=$(swarmfs status "$A" --json | jq .pid)
		umount "$A"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
		cp -a "$DIR/store-A" "$DIR/store-B"
		mount --fstab "$DIR/fstab" "$B"
		[ "$(cat "$B/t/r")" = 1 ]
		! touch "$B/t/r"
		swarmfs umount "$B"
		mount -t fuse.swarmfs "$DIR/store-A" "$A" -o allow_other
		[ "$(cat "$A/t/r")" = 1 ]
		swarmfs umount "$A"
		# What does not work says so, and mount(8) fails.
		! mount -t fuse.swarmfs "$DIR/store-A" "$A" -o nosuch 2>"$DIR/said"
		cat "$DIR/said"
		grep "unknown mount option 'nosuch'" "$DIR/said"
	END
	export DIR A B
	as_installed bash "$DIR/go"
}

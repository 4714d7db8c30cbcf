#!/usr/bin/env bats
# Living in a system: mount options, mount(8) and fstab, service managers.

load mounts

# as_installed COMMAND...: in a mount namespace of its own, where swarmfs is in a directory in which mount(8) looks for it.
as_installed() {
	unshare --mount sh -c 'mount -t tmpfs none /usr/local/sbin && ln -s "$0" /usr/local/sbin/swarmfs &&
		PATH=/usr/local/sbin:$PATH exec "$@"' "$sf" "$@" 3>&-
}
# A plain "!" does not fail a test.
not() { ! "$@"; }
# How many ports the process of a mount listens at.
ports_of() { ss -Hltnp | grep -c "pid=$(pid_of "$1"),"; }
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
	[[ $(echo "$A"/.[a-z]*) == "$A/.commits $A/.conflicts $A/.swarm"* ]]
	[ "$(stat -c '%u %g' "$A/t/r")" = "12345 54321" ]
	[ "$(cat "$A/t/r")" = 1 ]
	run bash -c "echo 2 >'$A/t/r'"
	[[ $output == *"Read-only file system"* ]]
}

@test "-o: options of the command, as a line of fstab has them" {
	require_fuse
	"$sf" mount "$A" -o "store=$DIR/store-A,listen=tcp://127.0.0.1:0,listen=ipc:///$DIR/sock,settle=50"
	[ "$("$sf" status "$A" --json | jq -r '.store, (.listen | length)' | tr '\n' ' ')" = "$DIR/store-A 2 " ]
	[ "$(ports_of "$A")" = 1 ]
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	"$sf" mount "$B" -o "store=$DIR/store-B,peer=$(ticket),ro"
	# Who was not told to listen lets nobody in.
	[ "$(ports_of "$B")" = 0 ]
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = 1 ]
	# Nothing is written there, but what others write arrives.
	echo 2 >"$A/t/r"
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = 2 ]
	not touch "$B/t/r"
}

@test "-o: what is unknown or cannot be is refused in one sentence" {
	local o
	for o in nosuch readonly=1 sotre=/x uid=me remount auto_unmount fsname=x show_contrl options=ro foreground foreground=1 no-peers=1 settle=x peer; do
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

@test "a user without rights mounts through fusermount3, with the store below the own data" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can be somebody else"
	dir_for_others
	cp "$sf" "$DIR/swarmfs"
	install -d -o 65534 -g 65534 "$DIR/m p" "$DIR/data"
	cat >"$DIR/go" <<-'END'
		set -eux
		cd "$DIR"
		./swarmfs mount "m p"
		mkdir "m p/t"
		echo 1 >"m p/t/r"
		[ "$(stat -c '%u %g' "m p/t/r")" = "65534 65534" ]
		./swarmfs commit "m p" -m one
		./swarmfs umount "m p"
	END
	export DIR
	run unshare --mount sh -c 'mknod -m 666 "$DIR/device" c 10 229 && mount --bind "$DIR/device" /dev/fuse || exit 77
		XDG_DATA_HOME=$DIR/data exec "$@"' sh "${NOBODY[@]}" sh "$DIR/go" 3>&-
	echo "$output"
	[ "$status" != 77 ] || skip "no device can be made here"
	[ "$status" = 0 ]
	[ "$("$sf" log "$DIR/data/swarmfs/tmp-${DIR#/tmp/}-m\\x20p" -n 1 --json | jq -r .message)" = one ]
}

@test "others get in with allow_other alone, and as far as permission bits let them" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can be somebody else"
	dir_for_others
	mkdir "$A"
	mount_a
	mkdir "$A/t"
	echo open >"$A/t/r"
	(umask 077 && echo closed >"$A/t/s")
	"$sf" commit "$A" -m rows
	may() { "${NOBODY[@]}" "$@" >/dev/null 2>&1; }
	not may ls "$A"
	"$sf" umount "$A"
	mount_a -o allow_other
	may cat "$A/t/r" "$A/.commits/HEAD/t/r" "$A/.swarm/metrics" "$A/.swarm/head"
	local path
	for path in "$A/t/s" "$A/.commits/HEAD/t/s" "$A/.commits/HEAD/.diff" "$A/.swarm/status" "$A/.swarm/events"; do not may cat "$path"; done
	for path in "$A/t/r" "$A/t/new" "$A/.swarm/commit"; do not may tee -a "$path" </dev/null; done
	for path in "$A/u" "$A/.txn/x"; do not may mkdir "$path"; done
	not may chmod 666 "$A/t/r"
	not may rm -f "$A/t/r"
	chmod 666 "$A/t/r"
	may tee -a "$A/t/r" <<<more
	[ "$(cat "$A/t/r")" = $'open\nmore' ]
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
		not() { ! "$@"; }
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
		not touch "$B/t/r"
		swarmfs umount "$B"
		mount -t fuse.swarmfs "$DIR/store-A" "$A" -o allow_other
		[ "$(cat "$A/t/r")" = 1 ]
		swarmfs umount "$A"
		# What does not work says so, and mount(8) fails.
		not mount -t fuse.swarmfs "$DIR/store-A" "$A" -o nosuch 2>"$DIR/said"
		cat "$DIR/said"
		grep "unknown mount option 'nosuch'" "$DIR/said"
	END
	export DIR A B
	as_installed bash "$DIR/go"
}

# What a service manager hears, a line for each datagram.
listen_to_notices() {
	cat >"$DIR/listen" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind("\0" + sys.argv[1][1:] if sys.argv[1][0] == "@" else sys.argv[1])
		print("listening", flush=True)
		while True:
		    print(s.recv(4096).decode().replace("\n", " "), flush=True)
	END
	python3 "$DIR/listen" "$1" >"$DIR/notices" 3>&- &
	LISTENER=$!
	until_true 10 grep -q listening "$DIR/notices"
}
noticed() { grep -q "$1" "$DIR/notices"; }

@test "a service manager hears of a mount's start and end" {
	require_fuse
	listen_to_notices "$DIR/notify"
	NOTIFY_SOCKET=$DIR/notify "$sf" mount -f "$A" --store "$DIR/store-A" 2>"$DIR/err" 3>&- &
	local mount=$!
	until_true 20 noticed READY=1
	noticed "^READY=1 MAINPID=$mount STATUS=serving $DIR/store-A at $A\$"
	is_mounted "$A"
	kill "$mount"
	wait "$mount"
	until_true 10 noticed "^STOPPING=1"
	not_mounted "$A"
	kill "$LISTENER"
}

@test "a service manager hears of a peer that waits for its database, of failures, and through a name without a file" {
	listen_to_notices "@$DIR/notify"
	"$sf" serve "$DIR/gone" --listen tcp://127.0.0.1:0
	local ticket peer
	ticket=$("$sf" invite "$DIR/gone" | tail -n 1)
	stop_serving "$DIR/gone"
	NOTIFY_SOCKET=@$DIR/notify "$sf" serve -f "$DIR/s" --peer "$ticket" 2>"$DIR/err" 3>&- &
	peer=$!
	until_true 20 noticed "^STATUS=waiting for the database"
	not noticed READY
	kill "$peer"
	not wait "$peer"
	until_true 10 noticed "^STATUS=stopped before the database had arrived"
	NOTIFY_SOCKET=@$DIR/notify "$sf" serve -f "$DIR/t" 2>"$DIR/err" 3>&- &
	peer=$!
	until_true 20 noticed "^READY=1 MAINPID=$peer STATUS=serving $DIR/t\$"
	kill "$peer"
	wait "$peer"
	kill "$LISTENER"
	# Without anybody to hear it is the same.
	NOTIFY_SOCKET=$DIR/nobody "$sf" init "$DIR/u"
	NOTIFY_SOCKET=$DIR/nobody "$sf" serve "$DIR/u" 2>"$DIR/err"
	grep "cannot be reached at NOTIFY_SOCKET=$DIR/nobody" "$DIR/err"
}

units=$BATS_TEST_DIRNAME/../../contrib/systemd

@test "the units are understood by systemd, and closed as far as they can be" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	[ "$(id -u)" = 0 ] || skip "swarmfs can be shown as installed by root only"
	cp "$units/swarmfs@.service" "$DIR/swarmfs@mnt-db.service"
	cp "$units/swarmfs-peer@.service" "$DIR/swarmfs-peer@db.service"
	local unit
	for unit in swarmfs@mnt-db swarmfs-peer@db; do
		run as_installed systemd-analyze verify --man=no "$DIR/$unit.service"
		echo "$output"
		[ "$status" = 0 ]
		# Of what it says about other units of the machine nothing is ours.
		[[ $output != *swarmfs* ]]
	done
	# Out of 10 points of exposure, tenfold.
	systemd-analyze security --offline=true --threshold=15 "$DIR/swarmfs-peer@db.service"
	systemd-analyze security --offline=true --threshold=45 "$DIR/swarmfs@mnt-db.service"
	# These would hide the mount from everybody else.
	not grep -E '^(Protect(System|Home|Kernel.*|ControlGroups|Proc|Clock)|Private.*|DynamicUser|(Read|Inacc|Exec|Bind).*Paths|TemporaryFileSystem|MountFlags|Root.*)=' \
		"$units/swarmfs@.service"
}

# command_of UNIT INSTANCE PATH STATE: what ExecStart says, with these in it.
command_of() { sed -n 's/^ExecStart=//p' "$units/$1" | sed "s|%i|$2|g; s|%f|$3|g; s|%S|$4|g; s|\$OPTIONS|${OPTIONS-}|"; }

# bounded UNIT: runs the words behind it with the capabilities that the unit leaves to root.
bounded() {
	local set
	set=$(sed -n 's/^CapabilityBoundingSet=//p' "$units/$1" | tr ' ' '\n' | sed 's/^CAP_/+/' | tr '[:upper:]\n' '[:lower:],' | sed 's/,*$//; s/^+$//')
	shift
	[ "$(id -u)" = 0 ] || exec "$@"
	exec setpriv --no-new-privs --bounding-set "-all${set:+,$set}" "$@"
}

@test "the commands of the units start what they say, with as many rights as these leave them" {
	require_fuse
	listen_to_notices "$DIR/notify"
	local command pid
	mkdir "$DIR/state" "$DIR/state/swarmfs-peer" "$DIR/state/swarmfs-peer/db"
	command=$(OPTIONS="--listen tcp://127.0.0.1:0" command_of swarmfs-peer@.service db /db "$DIR/state")
	# shellcheck disable=SC2086 # the command is words, as it is for systemd
	NOTIFY_SOCKET=$DIR/notify bounded swarmfs-peer@.service ${command/swarmfs/"$sf"} 2>"$DIR/err" 3>&- &
	pid=$!
	until_true 20 noticed "^READY=1 MAINPID=$pid STATUS=serving $DIR/state/swarmfs-peer/db\$"
	command=$(OPTIONS="--store $DIR/store-A --peer $("$sf" invite "$DIR/state/swarmfs-peer/db" | tail -n 1)" command_of swarmfs@.service x "$A" "$DIR")
	# shellcheck disable=SC2086
	NOTIFY_SOCKET=$DIR/notify bounded swarmfs@.service ${command/swarmfs/"$sf"} 2>"$DIR/err" 3>&- &
	until_true 20 noticed "^READY=1 MAINPID=$! STATUS=serving $DIR/store-A at $A\$" || { cat "$DIR/err"; false; }
	[ "$(id -u)" != 0 ] || grep -q '^CapBnd:.*0000000000200000$' "/proc/$!/status"
	same_head "$A" "$DIR/state/swarmfs-peer/db"
	"$sf" umount "$A"
	kill "$pid" "$LISTENER"
	wait "$pid"
}

@test "--log-level" {
	"$sf" serve "$DIR/s" --log-level error --listen tcp://127.0.0.1:0
	local ticket
	ticket=$("$sf" invite "$DIR/s" | tail -n 1)
	"$sf" serve "$DIR/t" --peer "$ticket" --log-level debug
	until_true 10 same_head "$DIR/s" "$DIR/t"
	not grep info "$DIR/s/log"
	stop_serving "$DIR/s"
	until_true 10 grep warning "$DIR/t/log"
	stop_serving "$DIR/t"
	run "$sf" serve "$DIR/t" --log-level loud
	[ "$status" = 2 ]
	[[ $output == *"--log-level is 'error', 'warning', 'info' or 'debug', not 'loud'"* ]]
}

#!/usr/bin/env bats
# Conflicts of two peers that were apart: seen and resolved on either.

load mounts

# Two stores of one database that do not talk: both had what is in t. Options are for the first mount.
setup_apart() {
	require_fuse
	mount_a "$@"
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
	"$sf" mount "$point" --store "$store" --no-peers
	"$@"
	"$sf" commit "$point" >/dev/null
	"$sf" umount "$point"
}

# B listens (mount_b_alone), and A finds it (join_a OPTION...).
mount_b_alone() { "$sf" mount "$B" --store "$DIR/store-B" --no-peers --listen tcp://127.0.0.1:0; }
join_a() {
	mount_a --peer "$(url_of "$B")" "$@"
	until_same "$A" "$B"
}
join() {
	mount_b_alone
	join_a
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
		"discard $DIR/s" "reapply $DIR/s t" "reapply $DIR/s t/r t/s" "discard $DIR/s t/r --json" "show $DIR/s t/r --side left" "show $DIR/s t/r --side won --json" "list $DIR/s --side won" "list $DIR/s a b" list ''; do
		# shellcheck disable=SC2086 # words
		run conflicts $words
		[ "$status" = 2 ]
	done
}

# The same record, as a directory.
dir_of() { echo "$1/.conflicts/$(name_of "$1")"; }

@test "a record is a directory, on both" {
	setup_conflict
	local a b
	a=$(dir_of "$A") b=$(dir_of "$B")
	[ "$(ls "$A/.conflicts")" = t ]
	[ "$(ls "$A/.conflicts/t")" = r ]
	[ "$(ls "$a")" = $'about\nbase\nlost\nwon' ]
	[ "$(find "$B/.conflicts" | wc -l)" = 8 ]
	[ "$(cat "$a/base")" = base ]
	[ "$(cat "$a/lost")" = mine ]
	[ "$(cat "$a/won")" = theirs ]
	[ "$(cat "$a/about")" = "$(conflicts show "$A" t/r)" ]
	diff -r "$A/.conflicts" "$B/.conflicts"
	[ "$(stat -c %s "$a/lost")" = 4 ]
	[ "$(stat -c %h "$a" "$A/.conflicts")" = $'1\n1' ]
	# The row goes on, and with it what won; who has that open keeps it.
	exec 9<"$b/won"
	echo "theirs, edited" >"$A/t/r"
	until_same "$A" "$B"
	[ "$(cat <&9)" = theirs ]
	exec 9<&-
	[ "$(cat "$b/won")" = "theirs, edited" ]
	[ "$(cat "$a/won")" = "theirs, edited" ]
	# By name only, unless asked for.
	[ "$(ls -A "$A")" = t ]
	"$sf" umount "$A"
	"$sf" mount "$A" --store "$DIR/store-A" -o show_control
	[ "$(ls -A "$A" | tr '\n' ' ')" = ".commits .conflicts .swarm .txn t " ]
	listed_as_they_are "$A"
}

@test "nothing else can be done there" {
	setup_conflict
	local a
	a=$(dir_of "$A")
	python3 - "$A" "$a" <<'PY'
import errno, os, sys
mnt, record = sys.argv[1:]
def fails(number, f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == number, (f, args, e)
    else:
        raise AssertionError((f, args))
write = lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
fails(errno.EROFS, write, record + "/lost")
fails(errno.EROFS, write, record + "/about")
fails(errno.EROFS, os.truncate, record + "/won", 0)
fails(errno.EROFS, os.utime, record + "/won")
fails(errno.EROFS, os.chmod, record, 0o700)
fails(errno.EPERM, write, record + "/new")
fails(errno.EPERM, write, mnt + "/.conflicts/t/r/new")
fails(errno.EPERM, os.mkdir, mnt + "/.conflicts/u")
fails(errno.EPERM, os.mkdir, record + "/d")
fails(errno.EPERM, os.symlink, "x", record + "/l")
fails(errno.EPERM, os.rename, mnt + "/t/c.json", record + "/lost")
fails(errno.EPERM, os.rename, record + "/lost", record + "/more")
fails(errno.EPERM, os.rename, record, mnt + "/.conflicts/t/x")
fails(errno.EPERM, os.rmdir, mnt + "/.conflicts")
fails(errno.EXDEV, os.rename, record + "/lost", mnt + "/t/other")
fails(errno.EXDEV, os.rename, record + "/base", mnt + "/t/r")
fails(errno.ENOTEMPTY, os.rmdir, mnt + "/.conflicts/t")
fails(errno.ENOTEMPTY, os.rmdir, mnt + "/.conflicts/t/r")
fails(errno.ENOTEMPTY, os.rmdir, record)
fails(errno.ENOENT, os.rmdir, record[:-1])
fails(errno.ENOENT, os.rmdir, mnt + "/.conflicts/u")
fails(errno.ENOENT, os.stat, mnt + "/.conflicts/t/c.json")
fails(errno.ENOENT, os.stat, mnt + "/.conflicts/t/r/0123456789ab")
fails(errno.ENOENT, os.stat, record[:-1])
fails(errno.ENOENT, os.stat, record + "/other")
# What is removed in part is there again for whoever looks again.
os.unlink(record + "/lost")
fails(errno.ENOENT, os.stat, record + "/lost")
fails(errno.ENOENT, os.unlink, record + "/lost")
os.unlink(record + "/about")
fails(errno.ENOTEMPTY, os.rmdir, record)
assert sorted(os.listdir(record)) == ["about", "base", "lost", "won"]
assert open(record + "/lost").read() == "mine"
PY
	[ "$(conflicts list "$A" | wc -l)" = 1 ]
	# A copy is a copy.
	mv "$a/lost" "$A/t/other"
	[ "$(cat "$A/t/other")" = mine ]
	[ "$(conflicts list "$A" | wc -l)" = 1 ]
}

@test "rm -r discards, for everybody and for ever" {
	setup_conflict
	local a
	a=$(dir_of "$A")
	rm -r "$a"
	[ ! -e "$a" ]
	[ ! -e "$A/.conflicts/t" ]
	[ "$(ls "$A/.conflicts")" = "" ]
	[ "$("$sf" log "$A" --json -n 1 | jq -r .message)" = "discarded the conflict of t/r with ${a##*/}" ]
	until_same "$A" "$B"
	[ "$(ls "$B/.conflicts")" = "" ]
	[ "$(cat "$B/t/r")" = theirs ]
	run conflicts discard "$B" "t/r/${a##*/}"
	[ "$status" = 1 ]
	"$sf" verify "$A"
}

@test "rm -r of a row, of a table, and of all" {
	setup_apart
	on A bash -c "for i in 1 2 3 4; do mkdir -p $A/t\$i; echo mine >$A/t\$i/a; echo mine >$A/t\$i/b; done"
	on B bash -c "for i in 1 2 3 4; do mkdir -p $B/t\$i; echo theirs >$B/t\$i/a; echo theirs >$B/t\$i/b; done"
	join
	[ "$(conflicts list "$B" | wc -l)" = 8 ]
	[ "$(ls "$B/.conflicts" | tr '\n' ' ')" = "t1 t2 t3 t4 " ]
	[ "$(ls "$B/.conflicts/t2" | tr '\n' ' ')" = "a b " ]
	rm -r "$B/.conflicts/t1/a"
	[ "$(ls "$B/.conflicts/t1")" = b ]
	rm -r "$B/.conflicts/t2"
	[ "$(ls "$B/.conflicts" | tr '\n' ' ')" = "t1 t3 t4 " ]
	python3 -c "import shutil; shutil.rmtree('$B/.conflicts/t3')"
	until_same "$A" "$B"
	[ "$(conflicts list "$A" | wc -l)" = 3 ]
	rm -r "$A"/.conflicts/*
	until_same "$A" "$B"
	[ "$(conflicts list "$B")" = "" ]
	[ "$(cat "$A/t1/a")" = theirs ]
}

@test "mv of what was lost onto the row writes it again" {
	setup_conflict
	local a
	a=$(dir_of "$A")
	cat "$A/t/r" "$B/t/r" >/dev/null # cached
	mv "$a/lost" "$A/t/r"
	[ "$(cat "$A/t/r")" = mine ]
	[ "$(stat -c %s "$A/t/r")" = 4 ]
	[ ! -e "$a" ]
	until_same "$A" "$B"
	until_true 5 grep -x mine "$B/t/r"
	[ "$(conflicts list "$B")" = "" ]
	[ "$("$sf" log "$B" --json -n 1 | jq -r .message)" = "reapplied the conflict of t/r with ${a##*/}" ]
	[ "$("$sf" log "$B" --json -n 1 | jq -r .rows)" = 1 ]
	# The row is a row like any other.
	echo more >>"$A/t/r"
	until_same "$A" "$B"
	until_true 5 grep -x minemore "$B/t/r"
	"$sf" verify "$B"
}

@test "mv onto a row that was deleted, and onto one that is being written" {
	setup_apart
	on A put "$A/t/r" mine
	on A put "$A/t/gone" mine
	on B rm "$B/t/gone"
	on B put "$B/t/r" theirs
	join
	[ ! -e "$A/t/gone" ]
	mv -n "$A"/.conflicts/t/gone/*/lost "$A/t/gone"
	[ "$(cat "$A/t/gone")" = mine ]
	mv -n "$A"/.conflicts/t/r/*/lost "$A/t/r"
	[ "$(cat "$A/t/r")" = theirs ]
	python3 - "$A/t/r" "$A"/.conflicts/t/r/*/lost <<'PY'
import errno, os, sys
row, lost = sys.argv[1:]
fd = os.open(row, os.O_WRONLY)
os.write(fd, b"not closed yet")
try:
    os.rename(lost, row)
    raise AssertionError("renamed")
except OSError as e:
    assert e.errno == errno.EBUSY, e
os.close(fd)
PY
	mv "$A"/.conflicts/t/r/*/lost "$A/t/r"
	[ "$(cat "$A/t/r")" = mine ]
	until_same "$A" "$B"
	[ "$(conflicts list "$B")" = "" ]
}

@test "reapply and discard by command, on a mount and on a store" {
	setup_apart
	on A put "$A/t/c.json" '{"x":2,"y":2}'
	on A rm "$A/t/gone"
	on A put "$A/t/r" mine
	on B put "$B/t/c.json" '{"x":3,"y":1}'
	on B put "$B/t/gone" 'still here'
	on B put "$B/t/r" theirs
	join
	local id
	id=$(conflicts reapply "$A" t/c.json -m 'x was right')
	[ "$("$sf" log "$A" --json -n 1 | jq -r '.id, .message' | tr '\n' ' ')" = "$id x was right " ]
	until_true 5 grep -xF '{"x":2,"y":2}' "$A/t/c.json"
	conflicts reapply "$B" t/gone
	until_true 5 bash -c "! test -e '$B/t/gone'"
	until_same "$A" "$B"
	[ "$(name_of "$A" | cut -d/ -f1,2)" = t/r ]
	"$sf" umount "$B"
	conflicts discard "$DIR/store-B" t/r t/r
	[ "$(conflicts list "$DIR/store-B")" = "" ]
	"$sf" umount "$A"
	conflicts discard "$DIR/store-A" "$(name_of "$DIR/store-A")" # the same on both sides
	join
	[ "$(conflicts list "$A")" = "" ]
	[ "$(cat "$A/t/r")" = theirs ]
	"$sf" verify "$A"
}

@test "bytes of any kind, and large ones" {
	setup_apart
	head -c 2097152 /dev/urandom >"$DIR/large"
	printf 'a\0b\xff\xfe\n\n' >"$DIR/binary"
	on A cp "$DIR/large" "$A/t/r"
	on A cp "$DIR/binary" "$A/t/gone"
	on B put "$B/t/r" small
	on B cp "$DIR/large" "$B/t/gone"
	join
	cmp "$DIR/large" "$B"/.conflicts/t/r/*/lost
	cmp "$DIR/binary" "$A"/.conflicts/t/gone/*/lost
	cmp "$DIR/large" "$A"/.conflicts/t/gone/*/won
	conflicts show "$B" t/r --side lost | cmp - "$DIR/large"
	tail -c 5 "$A"/.conflicts/t/r/*/lost | cmp - <(tail -c 5 "$DIR/large")
	mv "$B"/.conflicts/t/r/*/lost "$B/t/r"
	cmp "$DIR/large" "$B/t/r"
	mv "$A"/.conflicts/t/gone/*/lost "$A/t/gone"
	cmp "$DIR/binary" "$A/t/gone"
	until_same "$A" "$B"
	until_true 5 cmp "$DIR/large" "$A/t/r"
	until_true 5 cmp "$DIR/binary" "$B/t/gone"
	"$sf" verify "$A"
}

@test "discarded on one side, edited on the other; reapplied on both" {
	setup_apart
	on A put "$A/t/r" mine
	on A put "$A/t/gone" mine
	on B put "$B/t/r" theirs
	on B put "$B/t/gone" theirs
	join
	"$sf" umount "$A"
	"$sf" umount "$B"
	on A bash -c "rm -r $A/.conflicts/t/r/* && mv $A/.conflicts/t/gone/*/lost $A/t/gone"
	on B bash -c "echo edited >$B/t/r && mv $B/.conflicts/t/gone/*/lost $B/t/gone"
	join
	[ "$(conflicts list "$A")" = "" ]
	[ "$(conflicts list "$B")" = "" ]
	[ "$(cat "$A/t/r")" = edited ]
	[ "$(cat "$B/t/gone")" = mine ]
	"$sf" umount "$A"
	"$sf" umount "$B"
	# A reapply that loses is a conflict of its own.
	on A put "$A/t/r" mine
	on B put "$B/t/r" theirs
	join
	"$sf" umount "$A"
	"$sf" umount "$B"
	on A bash -c "mv $A/.conflicts/t/r/*/lost $A/t/r"
	on B put "$B/t/r" 'theirs again'
	join
	[ "$(cat "$A/t/r")" = 'theirs again' ]
	[ "$(conflicts show "$B" t/r --side lost)" = mine ]
	[ "$(conflicts list "$B" | wc -l)" = 1 ]
	"$sf" verify "$B"
}

# Six conflicts that A hears of when it joins.
setup_six() {
	setup_apart
	on A bash -c "for i in 1 2 3 4 5 6; do echo mine >$A/t/r\$i; done"
	on B bash -c "for i in 1 2 3 4 5 6; do echo theirs >$B/t/r\$i; done"
	mount_b_alone
}

# program TEXT: an executable script.
program() {
	printf '#!/bin/bash\n%s\n' "$1" >"$DIR/program"
	chmod +x "$DIR/program"
	echo "$DIR/program"
}

@test "events and counters" {
	setup_apart
	on A put "$A/t/r" mine
	on A put "$A/t/gone" mine
	on B put "$B/t/r" theirs
	on B put "$B/t/gone" theirs
	mount_b_alone
	read_events "$B"
	join_a
	until_true 10 bash -c "[ \$(grep -c '\"event\":\"conflict\"' '$DIR/events') = 2 ]"
	local name
	name=$(conflicts list "$B" t/r --json | jq -r .commit)
	[ "$(jq -r 'select(.event == "conflict" and .row == "r") | [.change, .table, .commit] | join(" ")' "$DIR/events")" = "added t $name" ]
	[ "$("$sf" status "$B" --json | jq -r '.conflicts, .conflicts_added, .conflicts_resolved' | tr '\n' ' ')" = "2 2 0 " ]
	"$sf" status "$B" | grep -q '^conflicts 2'
	conflicts discard "$A" t/r
	until_true 10 bash -c "[ \$(grep -c '\"event\":\"conflict\"' '$DIR/events') = 3 ]"
	[ "$(jq -r 'select(.event == "conflict" and .row == "r") | .change' "$DIR/events" | tail -n 1)" = resolved ]
	[ "$("$sf" status "$B" --json | jq -r '.conflicts, .conflicts_added, .conflicts_resolved' | tr '\n' ' ')" = "1 2 1 " ]
	stop_reading
	[ "$(grep -vc '^{' "$DIR/events")" = 0 ]
	jq -e . "$DIR/events" >/dev/null
}

@test "--on-conflict: once for each, with the facts, and the swarm does not wait" {
	setup_six
	join_a --on-conflict "$(program "echo \"\$# \$1 \$2 \$3\" >>$DIR/started
		env | grep ^SWARMFS_ | sort >$DIR/env-\$2
		until [ -e $DIR/go ]; do sleep 0.02; done
		[ \$2 != r3 ] || exit 5
		echo \$2 >>$DIR/done")"
	# All six are here, and four programs run.
	[ "$(conflicts list "$A" | wc -l)" = 6 ]
	until_true 10 bash -c "[ \$(wc -l <'$DIR/started') = 4 ]"
	echo more >"$B/t/more"
	until_same "$A" "$B"
	[ "$(wc -l <"$DIR/started")" = 4 ]
	touch "$DIR/go"
	until_true 10 bash -c "[ \$(wc -l <'$DIR/done') = 5 ]"
	until_true 10 grep -q 'conflict of t/r3: the --on-conflict program failed with exit code 5' "$DIR/store-A/log"
	[ "$(sort "$DIR/started")" = "$(conflicts list "$A" --json | jq -r '"3 \(.table) \(.row) \(.commit)"' | sort)" ]
	local id
	id=$(conflicts list "$A" t/r1 --json | jq -r .commit)
	[ "$(sed -n 's/^SWARMFS_CONFLICT=//p' "$DIR/env-r1")" = "$A/.conflicts/t/r1/${id:0:12}" ]
	[ "$(sed -n 's/^SWARMFS_COMMIT=//p' "$DIR/env-r1")" = "$id" ]
	grep -x SWARMFS_OUTCOME=applied "$DIR/env-r1"
	[ "$(cut -d= -f1 "$DIR/env-r1" | grep -v '^SWARMFS$' | wc -l)" = 9 ]
}

@test "--on-conflict: a program that does not end, one that is missing, and a peer without a mount" {
	setup_six
	join_a --on-conflict "$(program "echo \$\$ >>$DIR/pids
		trap '' TERM
		while :; do sleep 0.1; done")"
	until_true 10 bash -c "[ \$(wc -l <'$DIR/pids') = 4 ]"
	"$sf" umount "$A"
	local pid
	while read -r pid; do ends "$pid"; done <"$DIR/pids"
	run "$sf" mount "$A" --store "$DIR/store-A" --on-conflict "$DIR/none"
	[ "$status" = 1 ]
	[[ $output == *"cannot run the --on-conflict program $DIR/none"* ]]
	"$sf" umount "$B"
	# A new one for a peer that serves only, which also has a program that PATH does not have.
	on B put "$B/t/r" theirs
	on A put "$A/t/r" mine
	mount_b_alone
	"$sf" serve "$DIR/store-A" --peer "$(url_of "$B")" --on-conflict no-such-program
	pid=$(pid_of "$DIR/store-A")
	until_true 10 grep -q 'the conflict of t/r: cannot run the --on-conflict program no-such-program' "$DIR/store-A/log"
	until_same "$DIR/store-A" "$B"
	kill "$pid"
	until_true 10 ends "$pid"
}

@test "--on-conflict: a program that reads in the mount does not keep it from being unmounted; others do, and it is run again" {
	setup_apart
	on A bash -c "echo -n mine >$A/t/r; echo -n mine >$A/t/gone"
	on B bash -c "echo -n theirs >$B/t/r; echo -n theirs >$B/t/gone"
	mount_b_alone
	join_a --on-conflict "$(program "exec 5<\$SWARMFS_MOUNT/t/\$2
		echo \$\$ >>$DIR/pids
		while :; do sleep 0.1; done")"
	until_true 10 bash -c "[ \$(wc -l <'$DIR/pids') = 2 ]"
	exec 6<"$A/t/c.json"
	run "$sf" umount "$A"
	exec 6<&-
	[ "$status" = 1 ]
	[[ $output == *"$A is busy"* ]]
	local pid
	while read -r pid; do ends "$pid"; done <"$DIR/pids"
	# The next conflict finds it running again.
	"$sf" umount "$B"
	on B put "$B/t/c.json" '"theirs"' &
	put "$A/t/c.json" '"mine"'
	"$sf" commit "$A" -m again
	wait $!
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	until_true 20 bash -c "[ \$(wc -l <'$DIR/pids') = 3 ]"
	"$sf" umount "$A"
	while read -r pid; do ends "$pid"; done <"$DIR/pids"
}

@test "--on-conflict: names that look like options come so that they are none, and exactly in the environment" {
	require_fuse
	mount_a
	mkdir "$A/-t"
	echo base >"$A/-t/--help"
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	"$sf" umount "$A"
	on A put "$A/-t/--help" mine
	on B put "$B/-t/--help" theirs
	mount_b_alone
	join_a --on-conflict "$(program "echo \"\$1 \$2 \$SWARMFS_TABLE \$SWARMFS_ROW \$(cat \$SWARMFS_MOUNT/\$1/\$2)\" >$DIR/ran.new
		mv $DIR/ran.new $DIR/ran")"
	until_true 10 test -e "$DIR/ran"
	[ "$(cat "$DIR/ran")" = "./-t ./--help -t --help theirs" ]
}

# Kill a clone between two of its durable writes, so that a part of the commits is there.
clone_a_part() {
	local i n all
	all=$(count_of "$A")
	for ((i = 10; i < 400; i++)); do
		rm -rf "$DIR/store-C"
		env "${FAULTS[@]}" KILL_AT=$i \
			"$sf" clone "$(ticket)" "$DIR/store-C" >"$DIR/out" 2>&1 && break
		[ -e "$DIR/store-C/data.mdb" ] && n=$(count_of "$DIR/store-C") && [ "$n" -gt 0 ] && [ "$n" -lt "$all" ] && return
	done
	echo "no clone was interrupted with a part of the $all commits"
	return 1
}

@test "--on-conflict: nor for what comes when a clone that was interrupted goes on" {
	setup_conflict
	for i in $(seq 20); do
		head -c 2000000 /dev/urandom >"$A/t/big$i"
		"$sf" commit "$A" -m "$i"
	done
	clone_a_part
	"$sf" serve "$DIR/store-C" --peer "$(url_of "$A")" \
		--on-conflict "$(program "echo \$2 >>$DIR/ran")"
	# It was up only when all was there.
	[ "$(count_of "$DIR/store-C")" -ge "$(count_of "$A")" ]
	[ "$(conflicts list "$DIR/store-C" | wc -l)" = 1 ]
	[ ! -e "$DIR/ran" ]
}

conflicts_are() { [ "$(conflicts list "$1" | wc -l)" = "$2" ]; }

@test "--on-conflict: in a mount the program finds what it is told of, also when the conflict came first" {
	setup_six
	touch "$DIR/hold"
	env "${FAULTS[@]}" HOLD_MOUNT="$DIR/hold" "$sf" mount "$A" --store "$DIR/store-A" --peer "$(url_of "$B")" \
		--on-conflict "$(program "cat \$SWARMFS_CONFLICT/lost >>$DIR/lost 2>&1")" 3>&- &
	until_true 10 conflicts_are "$DIR/store-A" 6
	not_mounted "$A"
	rm "$DIR/hold"
	wait $!
	until_true 10 bash -c "[ \$(wc -l <'$DIR/lost') = 6 ]"
	[ "$(sort -u "$DIR/lost")" = mine ]
}

@test "--on-conflict: not for what a clone finds when it arrives" {
	setup_conflict
	"$sf" mount "$C" --store "$DIR/store-C" --peer "$(ticket)" --on-conflict "$(program "echo \$2 >>$DIR/ran")"
	until_same "$B" "$C"
	[ "$(conflicts list "$C" | wc -l)" = 1 ]
	[ ! -e "$DIR/ran" ]
}

@test "--conflict drop: what crosses is dropped whole, the same on both, and kept" {
	setup_apart --conflict drop
	on A put "$A/t/r" mine
	on A put "$A/t/c.json" '{"x":2,"y":1}'
	on B bash -c "echo -n theirs >$B/t/r; echo -n theirs >$B/t/new; echo '{\"x\":1,\"y\":2}' >$B/t/c.json"
	mount_b_alone
	join_a --conflict drop --on-conflict "$(program "echo \$SWARMFS_OUTCOME >>$DIR/outcomes")"
	[ "$("$sf" status "$B" --json | jq -r .conflict_mode)" = drop ]
	for m in "$A" "$B"; do
		[ "$(cat "$m/t/r")" = mine ]
		[ "$(cat "$m/t/new")" = theirs ] # written at the same time, and not touched
		[ "$(cat "$m/t/c.json")" = '{"x":2,"y":1}' ] # whole rows, also where columns would do
		[ "$(conflicts list "$m" --json | jq -r '"\(.row) \(.outcome)"')" = $'c.json dropped\nr dropped' ]
		[ "$("$sf" log "$m" --json --table t --row r -n 1 | jq -r '.outcome, .mode, .rows' | tr '\n' ' ')" = "dropped strict 1 " ]
		[ "$(cat "$m"/.conflicts/t/r/*/lost)" = theirs ]
		grep -x 'outcome    dropped' "$m"/.conflicts/t/r/*/about
		grep -x 'outcome    dropped' "$m/.commits/$(conflicts list "$m" t/r --json | jq -r .name)/.commit"
	done
	until_true 10 bash -c "[ \$(wc -l <'$DIR/outcomes') = 2 ]"
	[ "$(sort -u "$DIR/outcomes")" = dropped ]
	mv "$A"/.conflicts/t/r/*/lost "$A/t/r"
	[ "$(cat "$A/t/r")" = theirs ]
	rm -r "$B/.conflicts/t/c.json"
	until_same "$A" "$B"
	[ "$(conflicts list "$A")" = "" ]
	"$sf" verify "$A"
	"$sf" umount "$A"
	run "$sf" mount "$A" --store "$DIR/store-A" --conflict merge
	[ "$status" = 1 ]
	[[ $output == *"was made with --conflict drop"* ]]
}

@test "--conflict drop: an edit that is under way when another comes" {
	require_fuse
	mount_a --conflict drop
	mkdir "$A/t"
	echo base >"$A/t/r"
	mount_b
	until_same "$A" "$B"
	exec 9>"$A/t/r" # emptied, and nothing of it is written yet
	echo theirs >"$B/t/r"
	"$sf" commit "$B" >/dev/null
	until_true 10 bash -c "[ \$('$sf' log '$A' --json --table t --row r | wc -l) = 2 ]"
	echo mine >&9
	exec 9>&-
	until_true 10 test -e "$A/.conflicts/t/r"
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = theirs ]
	until_true 5 grep -x theirs "$A/t/r"
	[ "$(cat "$B"/.conflicts/t/r/*/lost)" = mine ]
	[ "$("$sf" status "$B" --json | jq -r .diverged)" = 0 ]
	"$sf" verify "$B"
}

@test "an edit that was under way when another came merges, or wins" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo base >"$A/t/r"
	mount_b
	until_same "$A" "$B"
	exec 9>"$A/t/r"
	echo theirs >"$B/t/r"
	"$sf" commit "$B" >/dev/null
	until_true 10 bash -c "[ \$('$sf' log '$A' --json --table t --row r | wc -l) = 2 ]"
	echo mine >&9
	exec 9>&-
	until_true 10 test -e "$A/.conflicts/t/r"
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = mine ]
	[ "$(cat "$B"/.conflicts/t/r/*/lost)" = theirs ]
}

@test "who may not read a row, or look into its table, sees nothing of it in its conflicts or in what a commit changed" {
	setup_conflict
	local record
	record=$(dir_of "$A")
	chmod 640 "$A/t/r"
	chmod 750 "$A/t"
	until_same "$A" "$B"
	[ "$(stat -c %a "$A/.conflicts/t" "$A/.conflicts/t/r" "$record" | tr '\n' ' ')" = "750 750 750 " ]
	[ "$(stat -c %a "$record/won" "$record/about" | tr '\n' ' ')" = "640 600 " ]
	[ "$(stat -c %a "$A/.commits/latest/t" "$A/.commits/latest/t/r" "$A/.commits/latest/.diff" | tr '\n' ' ')" = "750 640 400 " ]
	# Whose table it is can always remove it.
	chmod 0 "$A/t"
	[ "$(stat -c %a "$A/.conflicts/t" "$record" | tr '\n' ' ')" = "700 700 " ]
	chmod 755 "$A/t"
	rm -r "$record"
}

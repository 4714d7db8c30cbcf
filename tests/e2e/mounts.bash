# Verbs for tests that mount. Each test has its own directory, mounts and stores; what it started ends with
# it, by mount point or process id. Waits are for conditions, with a deadline.

setup() {
	DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/mounts.XXXXXX")
	A=$DIR/A B=$DIR/B C=$DIR/C
	mkdir "$A" "$B" "$C"
	sf=${SWARMFS:?names the binary}
}

teardown() {
	local m
	# What a test that failed has left behind.
	for m in $(jobs -p); do
		kill -9 "$m" 2>/dev/null || true
	done
	for m in $(awk -v dir="$DIR/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts); do
		# A test may have left a program in it, or the mount dead.
		for _ in 1 2 3; do
			! is_mounted "$m" || "$sf" umount "$m" || umount -l "$m" || fusermount3 -uz "$m" || true
		done
	done
	for m in "$DIR"/*/control; do
		[ ! -S "$m" ] || stop_serving "${m%/control}"
	done
	! mountpoint -q "$DIR/small" || umount "$DIR/small" || true
	if [ "${BATS_TEST_COMPLETED-}" != 1 ]; then
		for m in "$DIR"/store-*/log; do
			[ ! -s "$m" ] || { echo "== $m"; tail -n 40 "$m"; }
		done
	fi
	rm -rf "$DIR"
}

# Whatever process serves the store ends; none is fine too.
stop_serving() {
	local pid
	pid=$(pid_of "$1" 2>/dev/null) || true
	[[ $pid != [0-9]* ]] || ! kill "$pid" || until_true 20 ends "$pid"
}

# The directory of the test is root's alone; this makes one instead that others may look into.
dir_for_others() {
	rmdir "$A" "$B" "$C" "$DIR"
	DIR=$(mktemp -d /tmp/mounts.XXXXXX)
	A=$DIR/A
	chmod 755 "$DIR"
}
# What runs a command as somebody without rights.
# shellcheck disable=SC2034 # by those who load this
NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)

# A mount test may be skipped only where mounting cannot work; tests/run checks that.
require_fuse() {
	[ -c /dev/fuse ] && [ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "no usable /dev/fuse"
	command -v fusermount3 >/dev/null || skip "fusermount3 for /dev/fuse is not installed"
}

is_mounted() { grep -q " $1 fuse" /proc/self/mounts; }
not_mounted() { ! is_mounted "$1"; }

# A deadline says what a quiet machine needs many times over. One that runs much else at once gets as many times that.
PATIENCE=4

# until_true SECONDS COMMAND...
until_true() {
	local end=$((SECONDS + $1 * PATIENCE))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "did not become true: $*"
			return 1
		fi
		sleep 0.02
	done
}

# What env sets for a process that tests/preload/faults.c is loaded into; a sanitizer would insist on coming first.
# shellcheck disable=SC2034 # by those who load this
FAULTS=(LD_PRELOAD="${SWARMFS_FAULTS-}" ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0")

# With --settle 60000 nothing is committed but by `swarmfs commit`, by fsync and at the end: for tests that say what a commit holds.
mount_a() { "$sf" mount "$A" --store "$DIR/store-A" --listen tcp://127.0.0.1:0 "$@"; }
ticket() { "$sf" invite "$A" | tail -n 1; }
mount_b() { "$sf" mount "$B" --store "$DIR/store-B" --listen tcp://127.0.0.1:0 --peer "$(ticket)" "$@"; }

# status_says TARGET REGEX: its groups, out of what status says. These are asked so often that jq, which takes ten times as long to
# start as status takes to answer, was a third of all the time.
status_says() { [[ $("$sf" status "$1" --json) =~ $2 ]] && echo "${BASH_REMATCH[*]:1}"; }
head_of() { status_says "$1" '"head":\{"count":([0-9]+),"line":"([0-9a-f]+)","root":"([0-9a-f]+)"\}'; }
count_of() { status_says "$1" '"head":\{"count":([0-9]+),'; }
url_of() { status_says "$1" '"listen":\["([^"]+)"'; }
pid_of() { status_says "$1" '"pid":([0-9]+|null),'; }
same_head() {
	local head
	head=$(head_of "$1") && [ "$head" = "$(head_of "$2")" ]
}
# Everything written is committed, and nothing more comes by itself.
settled() { [ "$(status_says "$1" '"pending":([0-9]+),')" = 0 ]; }
until_same() { until_true 20 settled "$1" && until_true 20 settled "$2" && until_true 30 same_head "$1" "$2"; }

# read_events MOUNT: what happens there from now on goes to DIR/events; READER is who reads it.
read_events() {
	cat "$1/.swarm/events" >"$DIR/events" 3>&- &
	READER=$!
	until_true 10 has_open "$READER" "$1/.swarm/events"
}
has_open() { [ "$(find "/proc/$1/fd" -lname "$2" | wc -l)" = 1 ]; }
stop_reading() {
	kill "$READER"
	wait "$READER" || true
}

# was_kept TABLE FILE: each row that the file names is there, with its own name in a line.
was_kept() {
	echo "$(wc -l <"$2") rows were closed"
	(cd "$1" && xargs cat <"$2") | diff "$2" -
}

# listed_as_they_are DIRECTORY: there and below, listings tell the type and number that stat does, of "." and ".." as well, and links are those that a directory
# has with so many in it, or one.
listed_as_they_are() {
	python3 - "$1" <<'PY'
import ctypes, os, stat, sys

libc = ctypes.CDLL(None)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]

def dots(d):
    found, p = {}, libc.opendir(os.fsencode(d))
    while len(found) < 2 and (e := libc.readdir(p)):
        found[ctypes.string_at(e + 19)] = ctypes.c_uint64.from_address(e).value
    libc.closedir(p)
    return found[b"."], found[b".."]

def walk(d):
    entries = list(os.scandir(d))
    for e in entries:
        told = e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False), e.is_symlink(), e.inode()
        st = os.lstat(e.path)
        assert told == (stat.S_ISDIR(st.st_mode), stat.S_ISREG(st.st_mode), stat.S_ISLNK(st.st_mode), st.st_ino), (e.path, told)
    below = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
    assert os.stat(d).st_nlink in (1, 2 + len(below)), (d, os.stat(d).st_nlink)
    for path in below:
        assert dots(path) == (os.lstat(path).st_ino, os.stat(d).st_ino), path
        walk(path)
walk(sys.argv[1])
PY
}

# Whether nothing looks on from inside: a sanitizer has memory of its own, keeps what is freed, and takes its time. It finds what it
# looks for in a part of the rows that others are tested with.
is_plain() { ! grep -q -e __asan_init -e __tsan_init "$sf"; }
plain_or() { if is_plain; then echo "$1"; else echo "$2"; fi; }

# ends PID: the process is gone, or waits to be reaped by somebody else.
ends() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

#!/usr/bin/env bats
# The command line: help, exit codes, and bad input. Each failure is one sentence with its cause and what to do.

load mounts

# fails CODE PATTERN COMMAND...: it exits with CODE, and says one sentence that matches PATTERN.
fails() {
	local code=$1 pattern=$2
	shift 2
	run "$@"
	echo "$* -> $status: $output"
	[ "$status" = "$code" ]
	[[ $output =~ $pattern ]]
	[[ $output != *"Sanitizer"* ]]
	# A usage error may be followed by the usage; a failure is one line.
	[ "$code" != 1 ] || [ "${#lines[@]}" = 1 ]
}

@test "help for everything, on standard output" {
	local commands
	commands=$("$sf" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
	[ "$(wc -w <<<"$commands")" -ge 15 ]
	for c in $commands; do
		run "$sf" "$c" --help
		[ "$status" = 0 ]
		[[ $output == *"swarmfs $c"* ]]
	done
	[[ $("$sf" --version) == *[0-9].[0-9]* ]]
	[ "$("$sf" version)" = "$("$sf" --version)" ]
}

@test "usage errors exit with 2" {
	fails 2 "unknown command 'moutn'.*mount" "$sf" moutn
	fails 2 "unknown option|unrecognized|invalid" "$sf" log --no-such-option "$DIR"
	fails 2 . "$sf"
	fails 2 . "$sf" log
	fails 2 . "$sf" mount
	fails 2 "ticket" "$sf" clone tcp://127.0.0.1:1 "$DIR/x"
	fails 2 "settle" "$sf" mount "$A" --settle soon
	fails 2 "conflict" "$sf" init "$DIR/x" --conflict maybe
	fails 2 "expires" "$sf" invite "$DIR" --expires never
	[ ! -e "$DIR/x" ]
}

@test "stores that are missing, none, in use, of the future, or whose key is not private" {
	fails 1 "no store|does not exist" "$sf" log "$DIR/none"
	fails 1 "nor a store.*swarmfs init" "$sf" log "$DIR"
	"$sf" init "$DIR/s" >/dev/null
	fails 1 "holds a store already" "$sf" init "$DIR/s"
	chmod 644 "$DIR/s/key"
	fails 1 "can be read by others.*chmod 600" "$sf" log "$DIR/s"
	chmod 600 "$DIR/s/key"
	echo nonsense >"$DIR/key"
	cp "$DIR/s/key" "$DIR/key.good"
	cp "$DIR/key" "$DIR/s/key"
	fails 1 "does not hold a key" "$sf" log "$DIR/s"
	cp "$DIR/key.good" "$DIR/s/key"
	"$sf" log "$DIR/s" >/dev/null
	head -c 8192 /dev/urandom >"$DIR/s/data.mdb"
	fails 1 "data.mdb" "$sf" log "$DIR/s"
}

@test "a store that a process has is used through it, or refused by its name" {
	"$sf" serve "$DIR/s" --listen tcp://127.0.0.1:0
	local pid
	pid=$(pid_of "$DIR/s")
	fails 1 "in use by process $pid|is in use" "$sf" serve "$DIR/s"
	"$sf" log "$DIR/s" >/dev/null
	kill "$pid"
	until_true 10 ends "$pid"
	"$sf" log "$DIR/s" >/dev/null
}

@test "mount points that are missing, files, or in use" {
	require_fuse
	fails 1 "does not exist.*mkdir" "$sf" mount "$DIR/none" --store "$DIR/s"
	echo x >"$DIR/file"
	fails 1 "not a directory" "$sf" mount "$DIR/file" --store "$DIR/s"
	[ ! -e "$DIR/s" ]
	mount_a
	fails 1 "mounted on $A already" "$sf" mount "$A" --store "$DIR/s2"
	fails 1 "in use by process" "$sf" mount "$B" --store "$DIR/store-A"
	fails 1 "neither mounted" "$sf" umount "$B"
	(cd "$A" && fails 1 "busy" "$sf" umount "$A")
}

@test "a store that the mount would hide is refused, however it is named" {
	require_fuse
	local s
	ln -s "$A" "$DIR/link"
	mkdir -p "$A/deep" "$DIR/AB"
	cd "$A/deep"
	for s in "$A" "$A/store" "$A/deep/../x/y" "$DIR/link/store/x" ../store .; do
		run timeout 60 "$sf" mount "$DIR/link" --store "$s"
		[ "$status" = 1 ]
		[[ $output == *"the store $s would be hidden by what is mounted on $A; "* ]]
	done
	cd /
	[ "$(find "$A" | wc -l)" = 2 ]
	# Of names that only begin like that nothing is hidden.
	"$sf" mount "$A" --store "$A/deep/../../AB/store"
	"$sf" umount "$A"
}

@test "addresses and tickets that are none" {
	fails 1 "ticket" "$sf" serve "$DIR/s" --peer swarmfs1-AAAA
	fails 1 "ticket" "$sf" clone swarmfs1-AAAA "$DIR/s"
	fails 1 "ticket" "$sf" serve "$DIR/s" --peer tcp://127.0.0.1:1
	"$sf" init "$DIR/s" >/dev/null
	fails 1 "127.0.0.1|address|url|URL" "$sf" serve "$DIR/s" --listen nonsense
	fails 1 "no process serves" "$sf" invite "$DIR/s"
	"$sf" serve "$DIR/s" --listen tcp://127.0.0.1:0
	local port pid ticket
	pid=$(pid_of "$DIR/s")
	port=$(url_of "$DIR/s" | sed 's/.*://')
	ticket=$("$sf" invite "$DIR/s" | tail -n 1)
	"$sf" init "$DIR/other" >/dev/null
	fails 1 "in use|use" "$sf" serve "$DIR/other" --listen "tcp://127.0.0.1:$port"
	fails 1 "ticket is for the database" "$sf" serve "$DIR/other" --peer "$ticket"
	"$sf" clone "$ticket" "$DIR/copy"
	fails 1 "used already" "$sf" clone "$ticket" "$DIR/copy2"
	kill "$pid"
	until_true 10 ends "$pid"
}

@test "names of commits and input that are none" {
	"$sf" init "$DIR/s" >/dev/null
	fails 1 "no commit 'ffff'" "$sf" show "$DIR/s" ffff
	fails 1 "only 1 commits" "$sf" show "$DIR/s" HEAD~7
	fails 1 "No such file" "$sf" import "$DIR/s" "$DIR/none.csv"
	printf '{"id":"a/b"}\n' >"$DIR/rows.jsonl"
	fails 1 "a/b" "$sf" import "$DIR/s" --table t "$DIR/rows.jsonl"
	printf '[{"id":1},' >"$DIR/rows.json"
	fails 1 "rows.json" "$sf" import "$DIR/s" --table t "$DIR/rows.json"
	"$sf" verify "$DIR/s"
}

@test "verify finds a flipped byte" {
	"$sf" init "$DIR/s" >/dev/null
	for i in $(seq 200); do echo "{\"id\":$i,\"text\":\"find-me-$i\"}"; done >"$DIR/rows.jsonl"
	"$sf" import "$DIR/s" --table t "$DIR/rows.jsonl"
	"$sf" verify "$DIR/s"
	# In the changeset, or in the tree: both are hashed.
	LC_ALL=C sed -i 's/find-me-77"/find-mE-77"/' "$DIR/s/data.mdb"
	fails 1 "commit|record|tree" "$sf" verify "$DIR/s"
}

@test "long work shows how it goes on a terminal, and nothing in a pipe" {
	"$sf" init "$DIR/s" >/dev/null
	seq 1000 | awk '{ printf "{\"id\":%d}\n", $1 }' >"$DIR/rows.jsonl"
	on_a_terminal() { script -qec "$*" /dev/null </dev/null 3>&-; }
	# Rows are counted, not the table.
	on_a_terminal "$sf" import "$DIR/s" --table t "$DIR/rows.jsonl" | grep "^.\?$(wc -l <"$DIR/rows.jsonl") rows \.\.\."
	on_a_terminal "$sf" verify "$DIR/s" | grep "checking $DIR/s \.\.\."
	sed -i 's/}/,"n":1}/' "$DIR/rows.jsonl"
	"$sf" import "$DIR/s" --table t "$DIR/rows.jsonl" >/dev/null 2>"$DIR/said"
	"$sf" verify "$DIR/s" >/dev/null 2>>"$DIR/said"
	[ ! -s "$DIR/said" ]
}

error_of() { "$sf" status "$1" --json | jq -r .error; }
has_error() { [ -n "$(error_of "$1")" ]; }
has_no_error() { [ -z "$(error_of "$1")" ]; }

has_room() { [ "$(df -k --output=avail "$DIR/small" | tail -n 1)" -gt 6000 ]; }

# Whether the store has its reserve still: something that it does now and then may just have found the disk full, and the filler has
# taken what it gave back. With room there is one again, without a commit.
fill_all_but_700_kib() {
	head -c 20000000 /dev/zero >"$DIR/small/filler" 2>/dev/null || true
	truncate -s -716800 "$DIR/small/filler"
	[ -e "$DIR/small/s/reserve" ]
}

@test "a full disk: ENOSPC, nothing lost, and it goes on when there is room" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	mkdir "$DIR/small"
	mount -t tmpfs -o size=8m tmpfs "$DIR/small"
	"$sf" mount "$A" --store "$DIR/small/s"
	mkdir "$A/t"
	echo before >"$A/t/before"
	"$sf" commit "$A" -m before
	[ -e "$DIR/small/s/reserve" ]
	# A row that cannot fit is refused to whoever writes it, and leaves nothing.
	head -c 20000000 /dev/zero >"$DIR/big"
	run cp "$DIR/big" "$A/t/big"
	[ "$status" = 1 ]
	[[ $output == *"No space left on device"* ]]
	rm -f "$A/t/big"
	until_true 10 has_room # the kernel releases it later
	# Somebody else fills the disk: a row still fits into the journal, but not also into the store, where few pages
	# are free. The reserve makes its commit possible.
	head -c 512000 /dev/urandom >"$DIR/tight"
	until fill_all_but_700_kib; do
		rm "$DIR/small/filler"
		until_true 10 [ -e "$DIR/small/s/reserve" ]
	done
	cp "$DIR/tight" "$A/t/tight"
	until_true 10 test ! -e "$DIR/small/s/reserve"
	until_true 10 settled "$A"
	cmp "$DIR/tight" "$A/.commits/latest/t/tight"
	grep "the disk is full" "$DIR/small/s/log"
	# Then it is full in earnest. What close() accepted is kept in the journal; status and the log say why. (The quiet time is
	# long, so that no commit takes some of the rows that fill the journal.)
	"$sf" umount "$A"
	"$sf" mount "$A" --store "$DIR/small/s" --settle 3000
	head -c 20000000 /dev/zero >>"$DIR/small/filler" 2>/dev/null || true
	truncate -s -32768 "$DIR/small/filler"
	python3 - "$A/t" >"$DIR/closed" <<'PY'
import errno, os, sys

for i in range(2000):
    try:
        fd = os.open(f"{sys.argv[1]}/{i}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"%d\n" % i)
        os.close(fd)
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        break
    print(i)
PY
	[ "$(wc -l <"$DIR/closed")" -gt 0 ]
	until_true 10 has_error "$A"
	error_of "$A" | grep "No space left on device; make room"
	run "$sf" commit "$A" -m now
	[ "$status" = 1 ]
	[[ $output == *"No space left on device; make room"* ]]
	[ "$(cat "$A/t/before")" = before ]
	# There is room again.
	rm "$DIR/small/filler"
	until_true 20 settled "$A"
	until_true 5 has_no_error "$A"
	was_kept "$A/.commits/latest/t" "$DIR/closed"
	echo after >"$A/t/after"
	"$sf" commit "$A" -m after
	[ -e "$DIR/small/s/reserve" ]
	"$sf" verify "$A"
	"$sf" umount "$A"
}

@test "a full disk: what the store keeps for it is there again when somebody has made room" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	mkdir "$DIR/small"
	mount -t tmpfs -o size=8m tmpfs "$DIR/small"
	head -c 6000000 /dev/zero >"$DIR/small/filler"
	"$sf" mount "$A" --store "$DIR/small/s"
	[ ! -e "$DIR/small/s/reserve" ]
	rm "$DIR/small/filler"
	until_true 10 [ -e "$DIR/small/s/reserve" ]
	"$sf" umount "$A"
}

@test "a full disk: what close() accepted gets into commits, though there is no room for it twice" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	mkdir "$DIR/small" "$DIR/rows"
	mount -t tmpfs -o size=12m tmpfs "$DIR/small"
	# No commit comes by itself: it is in the journal, and has to go into the store.
	"$sf" mount "$A" --store "$DIR/small/s" --settle 60000
	mkdir "$A/t"
	for i in $(seq 60); do head -c 30000 /dev/urandom >"$DIR/rows/$i"; done
	cp "$DIR"/rows/* "$A/t"
	cat /dev/zero >"$DIR/small/filler" 2>/dev/null || true
	[ "$(df -k --output=avail "$DIR/small" | tail -n 1)" -eq 0 ]
	"$sf" commit "$A" -m all
	[ "$("$sf" status "$A" --json | jq .pending)" = 0 ]
	diff -r "$DIR/rows" "$A/.commits/latest/t"
	"$sf" umount "$A"
	"$sf" mount "$A" --store "$DIR/small/s"
	diff -r "$DIR/rows" "$A/t"
	"$sf" verify "$A"
	"$sf" umount "$A"
}

@test "a full disk: rows and tables can be removed, one after the other, and stay so" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	local pid
	mkdir "$DIR/small"
	mount -t tmpfs -o size=8m tmpfs "$DIR/small"
	"$sf" mount "$A" --store "$DIR/small/s"
	mkdir "$A/t"
	for i in $(seq 600); do echo "$i" >"$A/t/$i"; done
	mkdir "$A/of" "$A"/empty{1..200}
	touch "$A/of/"{1..20}
	"$sf" commit "$A" -m before
	until_true 10 settled "$A"
	"$sf" umount "$A"
	# No commit comes by itself while they are removed; the journal has room for a few dozen.
	"$sf" mount "$A" --store "$DIR/small/s" --settle 60000
	cat /dev/zero >"$DIR/small/filler" 2>/dev/null || true
	[ "$(df -k --output=avail "$DIR/small" | tail -n 1)" -eq 0 ]
	run rmdir "$A"/empty*
	echo "$output"
	[ "$status" = 0 ]
	run rm "$A"/t/[1-5]??
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ls "$A/t" | wc -l)" = 100 ]
	run rmdir "$A/of"
	[[ $output == *"not empty"* ]]
	rm "$A/of/"*
	rmdir "$A/of"
	[ "$(ls "$A")" = t ]
	pid=$(pid_of "$A")
	kill -9 "$pid"
	until_true 10 ends "$pid"
	rm "$DIR/small/filler"
	"$sf" mount "$A" --store "$DIR/small/s"
	[ "$(ls "$A")" = t ]
	[ "$(ls "$A/t" | wc -l)" = 100 ]
	"$sf" verify "$A"
	"$sf" umount "$A"
}

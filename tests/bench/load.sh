#!/bin/bash
# usage: load.sh [--rows K] [--bytes B] [--pin]
#
# Loading and listing a table of many small rows: through the mount with cp -r and with a tight loop
# in C, by swarmfs import of JSON Lines, then ls -f, ls, ls -l and grep -r on a fresh mount, the last two twice. Beside it,
# in the same run: the minimal in-memory FUSE file system, the file system below with sync,
# and an import into SQLite.
#
#   --rows K   rows (100000)
#   --bytes B  bytes of a row (100)
#   --pin      client and file system on one CPU
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rows=100000 bytes=100
while (($#)); do
	case $1 in
	--rows | --bytes)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	--pin) pin=(taskset -c 1) ;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq fusermount3 sqlite3 taskset
need_swarmfs
bench_begin bench_minfs bench_writer
print_context

line() {
	local rate

	rate=$(awk -v s="$2" -v n="$rows" 'BEGIN { print (s > 0 ? n / s : 0) }')
	printf '%-52s %10s %12.0f\n' "$1" "$2" "$rate"
}

timed() {
	local what=$1 seconds

	shift
	seconds=$(seconds_of "${pin[@]}" "$@") || die "failed: $*"
	line "$what" "$seconds"
}

# What a listing prints must be all rows, or its time means nothing.
list_all() {
	local what=$1 dir=$2 count begin end

	shift 2
	begin=$(date +%s%N)
	count=$("${pin[@]}" ls "$@" "$dir" | grep -c '\.json$') || true
	end=$(date +%s%N)
	((count == rows)) || die "$what: $count rows listed of $rows"
	line "$what" "$(awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f", ns / 1e9 }')"
}

# The second time the kernel knows the names, and may know what stat tells.
list_four() {
	list_all "$1: ls -f" "$2" -f
	list_all "$1: ls" "$2"
	list_all "$1: ls -l" "$2" -l
	list_all "$1: ls -l again" "$2" -l
}

# Every row is read, and the pattern is in none of them.
grep_all() {
	local what=$1 dir=$2 begin end status=0

	begin=$(date +%s%N)
	"${pin[@]}" grep -r 'no row has this' "$dir" >/dev/null || status=$?
	end=$(date +%s%N)
	((status == 1)) || die "$what: grep ended with $status"
	line "$what" "$(awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f", ns / 1e9 }')"
}

look_at() {
	list_four "$1" "$2"
	grep_all "$1: grep -r" "$2"
	grep_all "$1: grep -r again" "$2"
}

writer() {
	timed "$1" "$BENCH_BIN/bench_writer" create "$2" --rows "$rows" --bytes "$bytes"
}

"$BENCH_BIN/bench_writer" create "$tmp/source" --rows "$rows" --bytes "$bytes" --json >/dev/null
"$BENCH_BIN/bench_writer" lines "$tmp/rows.jsonl" --rows "$rows" --bytes "$bytes"
sync -f "$tmp"

printf '%-52s %10s %12s\n' "what ($rows rows of $bytes bytes)" seconds "rows/s"

# ---- references ----
timed "plain directory: cp -r, then sync" \
	bash -c "cp -r \"\$1\" \"\$2\" && sync -f \"\$2\"" bash "$tmp/source" "$tmp/copy"
look_at "plain directory" "$tmp/copy"
start_minfs "$tmp/minfs"
timed "minimal FUSE: cp -r" cp -r "$tmp/source" "$tmp/minfs/copied"
writer "minimal FUSE: C loop" "$tmp/minfs/written"
stop_mount "$tmp/minfs"
start_minfs "$tmp/minfs" -o "prefill=$rows"
look_at "minimal FUSE" "$tmp/minfs/cold-list"
stop_mount "$tmp/minfs"
printf '%s\n' 'PRAGMA journal_mode=WAL;' 'PRAGMA synchronous=FULL;' \
	'CREATE TABLE lines(line TEXT);' '.mode ascii' '.separator "\037" "\n"' \
	".import $tmp/rows.jsonl lines" 'CREATE TABLE rows(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;' \
	"INSERT INTO rows SELECT line ->> '\$.id', line FROM lines;" >"$tmp/import.sql"
timed "sqlite3 .import of JSON Lines" sqlite3 "$tmp/sqlite.db" ".read $tmp/import.sql"

# ---- swarmfs ----
start_swarmfs "$tmp/mnt" "$tmp/store"
timed "swarmfs: cp -r" cp -r "$tmp/source" "$tmp/mnt/copied"
timed "swarmfs: commit of what is left" "$SWARMFS" commit "$tmp/mnt" -m copied
writer "swarmfs: C loop" "$tmp/mnt/written"
timed "swarmfs: commit of what is left" "$SWARMFS" commit "$tmp/mnt" -m written
begin=$(date +%s%N)
if import_lines "$tmp/mnt" imported "$tmp/rows.jsonl" >"$tmp/import.log" 2>&1; then
	end=$(date +%s%N)
	line "swarmfs import of JSON Lines" \
		"$(awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f", ns / 1e9 }')"
else
	echo "swarmfs import failed: $(tail -1 "$tmp/import.log")"
fi
# Writing has filled the kernel's caches: list what a new mount has never seen.
stop_mount "$tmp/mnt"
start_swarmfs "$tmp/mnt" "$tmp/store"
look_at "swarmfs" "$tmp/mnt/copied"

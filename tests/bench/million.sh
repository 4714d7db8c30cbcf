#!/bin/bash
# usage: million.sh [--rows K] [--rounds R]
#
# How soon the mount of a store with very many rows is usable, and in how much memory: from the start of `swarmfs mount` until it
# returns, until one row in the middle of the table has been read, and until a listing has its first entry. The store is made by
# `swarmfs import`. Beside it, by turns: the same of a store with one row, a mount of the minimal in-memory FUSE file
# system, and opening the LMDB file below with mdb_stat. `cold` is with the store's pages out of memory. At the end the whole
# table is listed, with and without attributes: what the kernel knows of a row costs the process something, too, until it forgets it.
#
#   --rows K     rows (1000000)
#   --rounds R   turns (5)
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rows=1000000 rounds=5
while (($#)); do
	case $1 in
	--rows | --rounds)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq fusermount3 mdb_stat
need_swarmfs
bench_begin bench_minfs bench_writer
print_context

# begin, then took NAME FIGURE: milliseconds since then, into a file of that name.
begin() { began=$(date +%s%N); }
took() {
	awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f\n", ns / 1e6 }' >>"$tmp/$1.$2"
}
figure() { if [[ -s $tmp/$1.$2 ]]; then median <"$tmp/$1.$2"; else echo -; fi; }

# resident PID: KiB of its own, and with the pages of files.
resident() { awk '/^RssAnon/ { anon = $2 } /^VmRSS/ { all = $2 } END { print anon, all }' "/proc/$1/status"; }

out_of_memory() { dd of="$1/data.mdb" oflag=nocache conv=notrunc,fdatasync count=0 status=none; }

# run_turn NAME STORE ROW
run_turn() {
	local name=$1 store=$2 row=$3 anon all first

	begin
	start_swarmfs_only "$tmp/mnt" "$store"
	took "$name" mount
	cat "$tmp/mnt/t/$row" >/dev/null
	took "$name" row
	read -r first < <(ls -U "$tmp/mnt/t" 2>/dev/null)
	took "$name" entry
	[[ -n $first ]] || die "$name: nothing was listed"
	note_pid "$tmp/mnt"
	read -r anon all < <(resident "${bench_pid_of[$tmp/mnt]}")
	echo "$anon" >>"$tmp/$name.anon"
	echo "$all" >>"$tmp/$name.all"
	stop_mount "$tmp/mnt"
}

# make_store STORE ROWS
make_store() {
	"$BENCH_BIN/bench_writer" lines "$tmp/rows.jsonl" --rows "$2"
	"$SWARMFS" init "$1" >/dev/null
	begin
	import_lines "$1" t "$tmp/rows.jsonl" >/dev/null
	took import "$2"
	rm "$tmp/rows.jsonl"
}

make_store "$tmp/one" 1
make_store "$tmp/many" "$rows"
echo "# import of $rows rows took $(figure import "$rows") ms; the store has $(du -m "$tmp/many/data.mdb" | cut -f1) MiB"

for ((round = 0; round < rounds; round++)); do
	begin
	mdb_stat -n "$tmp/many/data.mdb" >/dev/null
	took lmdb mount
	begin
	start_minfs "$tmp/mnt"
	took minimal mount
	stop_mount "$tmp/mnt"
	run_turn one "$tmp/one" 0.json
	out_of_memory "$tmp/many"
	run_turn cold "$tmp/many" $((rows / 2)).json
	run_turn warm "$tmp/many" $((rows / 2)).json
done

# line LABEL NAME
line() {
	printf '%-34s %10s %10s %10s %12s %10s\n' "$1" "$(figure "$2" mount)" "$(figure "$2" row)" "$(figure "$2" entry)" \
		"$(figure "$2" anon)" "$(figure "$2" all)"
}
printf '%-34s %10s %10s %10s %12s %10s\n' "ms from the start until" mounted "a row" "an entry" "RssAnon KiB" "RSS KiB"
line "LMDB file of $rows rows, opened" lmdb
line "minimal FUSE, empty" minimal
line "swarmfs, 1 row" one
line "swarmfs, $rows rows, cold" cold
line "swarmfs, $rows rows" warm

start_swarmfs "$tmp/mnt" "$tmp/many"
show_resident() {
	local anon all

	read -r anon all < <(resident "${bench_pid_of[$tmp/mnt]}")
	echo "# $1: RssAnon $anon KiB, RSS $all KiB"
}
# list_all OPTION
list_all() {
	local count

	begin
	ls "$1" "$tmp/mnt/t" >"$tmp/listing"
	took list "x$1"
	count=$(grep -c '\.json$' "$tmp/listing") || true
	((count == rows)) || die "ls $1: $count rows listed of $rows"
	show_resident "ls $1 of all took $(figure list "x$1") ms, then"
}
list_all -f
list_all -l
if [[ -w /proc/sys/vm/drop_caches ]]; then
	echo 2 >/proc/sys/vm/drop_caches
	sleep 2
	show_resident "2 s after the kernel was made to forget them"
fi

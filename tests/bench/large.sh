#!/bin/bash
# usage: large.sh [--rounds R] [--mib M]
#
# Sequential writing and reading of one large row, on swarmfs beside the same on a minimal in-memory FUSE file
# system and on the file system below. They take turns; the ratio to the minimal one is the median of the ratios of each turn. The row is
# committed before it is read, and the pages that the kernel has of it are dropped; it is then read twice, and what was read
# once must not ask the file system again. At last it is read with a store of which no page is in memory, as after a start of
# the machine: the file below is always read from the disk.
#
#   --rounds R   turns (3)
#   --mib M      size of the row in MiB (1024); the minimal file system keeps it in memory
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=3 mib=1024
while (($#)); do
	case $1 in
	--rounds | --mib)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq fusermount3
need_swarmfs
bench_begin bench_minfs bench_large
print_context

# run_turn NAME FILE [PID]: write, make it clean, read twice.
run_turn() {
	local name=$1 file=$2 pid=${3:-}

	"$BENCH_BIN/bench_large" write "$file" --mib "$mib" --json >"$tmp/write.json"
	case $name in
	swarmfs) commit_all "$tmp/mnt" ;;
	below) sync -f "$file" ;;
	esac
	"$BENCH_BIN/bench_large" read "$file" --json ${pid:+--pid "$pid"} >"$tmp/read.json"
	jq -c -s add "$tmp/write.json" "$tmp/read.json" >>"$tmp/$name.jsonl"
}

for ((round = 0; round < rounds; round++)); do
	mkdir "$tmp/below"
	run_turn below "$tmp/below/row"
	rm -r "$tmp/below"
	start_minfs "$tmp/mnt"
	mkdir "$tmp/mnt/t"
	run_turn minfs "$tmp/mnt/t/row"
	stop_mount "$tmp/mnt"
	start_swarmfs "$tmp/mnt" "$tmp/store"
	mkdir "$tmp/mnt/t"
	run_turn swarmfs "$tmp/mnt/t/row" "${bench_pid_of[$tmp/mnt]}"
	stop_mount "$tmp/mnt"
	dd of="$tmp/store/data.mdb" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	start_swarmfs "$tmp/mnt" "$tmp/store"
	"$BENCH_BIN/bench_large" read "$tmp/mnt/t/row" --json >>"$tmp/cold.jsonl"
	stop_mount "$tmp/mnt"
	rm -rf "$tmp/store"
done

printf '%-26s %14s %14s %14s %8s\n' "MiB/s ($mib MiB)" "below" minimal swarmfs "of minimal"
for op in write read read_again; do
	printf '%-26s %14.0f %14.0f %14.0f %8.2f\n' "${op//_/ }" \
		"$(field "$tmp/below.jsonl" ".$op")" "$(field "$tmp/minfs.jsonl" ".$op")" \
		"$(field "$tmp/swarmfs.jsonl" ".$op")" \
		"$(ratios "$tmp/swarmfs.jsonl" ".$op" "$tmp/minfs.jsonl" ".$op")"
done
printf '%-26s %14.0f %14s %14.0f %8s\n' "read, from the disk" \
	"$(field "$tmp/below.jsonl" .read)" - "$(field "$tmp/cold.jsonl" .read)" -
echo "# FUSE requests of reading again: $(field "$tmp/swarmfs.jsonl" '.requests_of_read_again')"

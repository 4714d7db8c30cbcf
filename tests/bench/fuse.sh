#!/bin/bash
# usage: fuse.sh [--rounds R] [--n N] [--entries M] [--many L] [--pin] [--only-reference]
#
# Latency of each file operation on swarmfs beside the same on a minimal in-memory FUSE file
# system. The two take turns on fresh mounts; the ratio is the median of the ratios of each
# turn, so that a slow minute of the machine does not end up on one side.
#
#   --rounds R        turns (3)
#   --n N             operations per figure and turn (1000)
#   --entries M       entries of the tables that are listed (10000)
#   --many L          rows of a committed table whose names are listed (1000; 100000 take a while to load)
#   --pin             client and file system on one CPU, which takes out wake-ups across CPUs
#   --only-reference  leave swarmfs out
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=3 n=1000 entries=10000 many=1000 with_swarmfs=1
while (($#)); do
	case $1 in
	--rounds | --n | --entries | --many)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	--pin) pin=(taskset -c 1) ;;
	--only-reference) with_swarmfs=0 ;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done
((entries >= n)) || entries=$n
((many >= n)) || many=$n

need_tools jq fusermount3 taskset
((with_swarmfs)) && need_swarmfs
bench_begin bench_minfs bench_fuse bench_writer
print_context

# A mount of its own for each turn: only names that it has never looked up are cold.
run_turn() {
	"${pin[@]}" "$BENCH_BIN/bench_fuse" "$1" --cold cold --n "$n" --entries "$entries" --json
}

if ((with_swarmfs)); then
	start_swarmfs "$tmp/mnt" "$tmp/store"
	"$BENCH_BIN/bench_writer" create "$tmp/mnt/cold" --rows "$many" --json >/dev/null
	"$BENCH_BIN/bench_writer" create "$tmp/mnt/cold-list" --rows "$entries" --json >/dev/null
	commit_all "$tmp/mnt"
	stop_mount "$tmp/mnt"
fi
for ((round = 0; round < rounds; round++)); do
	start_minfs "$tmp/mnt" -o "prefill=$many,prefill_list=$entries"
	run_turn "$tmp/mnt" >>"$tmp/minfs.jsonl"
	stop_mount "$tmp/mnt"
	((with_swarmfs)) || continue
	start_swarmfs "$tmp/mnt" "$tmp/store"
	run_turn "$tmp/mnt" >>"$tmp/swarmfs.jsonl"
	stop_mount "$tmp/mnt"
done

printf '%-26s %14s %14s %8s\n' "operation (n=$n)" "minimal us" "swarmfs us" ratio
jq -r 'keys_unsorted[]' "$tmp/minfs.jsonl" | awk '!seen[$0]++' | while read -r op; do
	if ((with_swarmfs)); then
		printf '%-26s %14.1f %14.1f %8.2f\n' "${op//_/ }" \
			"$(field "$tmp/minfs.jsonl" ".$op.p50")" \
			"$(field "$tmp/swarmfs.jsonl" ".$op.p50")" \
			"$(ratios "$tmp/swarmfs.jsonl" ".$op.p50" "$tmp/minfs.jsonl" ".$op.p50")"
	else
		printf '%-26s %14.1f %14s %8s\n' "${op//_/ }" \
			"$(field "$tmp/minfs.jsonl" ".$op.p50")" - -
	fi
done
echo "# listings: the whole table is one operation; it has $many entries for 'readdir committed', else $entries"

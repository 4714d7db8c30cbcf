#!/bin/bash
# usage: commit.sh [--rounds R] [--n N] [--rows K] [--pin]
#
# Latency of a durable single-row commit, write + fsync of an existing row of 100 bytes through
# the mount, beside one synchronous LMDB put on the same file system in the same run; then
# commits per second from 1, 4 and 16 concurrent writers, which may share a flush.
#
#   --rounds R  turns (3)
#   --n N       commits per figure and turn (1000)
#   --rows K    rows in the table (10000)
#   --pin       client and file system on one CPU
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=3 n=1000 rows=10000
while (($#)); do
	case $1 in
	--rounds | --n | --rows)
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
((rows >= 16)) || rows=16

need_tools jq fusermount3 taskset
need_swarmfs
bench_begin bench_lmdb bench_writer
print_context

start_swarmfs "$tmp/mnt" "$tmp/store"
"$BENCH_BIN/bench_writer" create "$tmp/mnt/rows" --rows "$rows" --json >/dev/null
commit_all "$tmp/mnt"

for ((round = 0; round < rounds; round++)); do
	"${pin[@]}" "$BENCH_BIN/bench_lmdb" "$tmp" --n "$n" --json >>"$tmp/lmdb.jsonl"
	for writers in 1 4 16; do
		"${pin[@]}" "$BENCH_BIN/bench_writer" commit "$tmp/mnt/rows" --rows "$rows" \
			--n "$n" --writers "$writers" --seed $((round * 100 + writers)) --json \
			>>"$tmp/writers-$writers.jsonl"
	done
done

printf '%-36s %10s %10s %12s\n' "what (n=$n)" "p50 ms" "p99 ms" "per second"
for op in append_fdatasync_4096 lmdb_put_100 lmdb_put_4000; do
	printf '%-36s %10.3f %10.3f %12s\n' "${op//_/ }" \
		"$(field "$tmp/lmdb.jsonl" ".$op.p50")" "$(field "$tmp/lmdb.jsonl" ".$op.p99")" -
done
for writers in 1 4 16; do
	f=$tmp/writers-$writers.jsonl
	printf '%-36s %10.3f %10.3f %12.0f\n' "swarmfs commit, $writers writers" \
		"$(field "$f" .open_write_fsync_close.p50)" \
		"$(field "$f" .open_write_fsync_close.p99)" "$(field "$f" .commits_per_s)"
	printf '%-36s %10.3f %10.3f %12s\n' "  of which fsync" \
		"$(field "$f" .fsync.p50)" "$(field "$f" .fsync.p99)" -
done
f=$tmp/writers-1.jsonl
printf '# one commit / one LMDB put of 100 bytes: %.2f\n' \
	"$(ratios "$f" .open_write_fsync_close.p50 "$tmp/lmdb.jsonl" .lmdb_put_100.p50)"

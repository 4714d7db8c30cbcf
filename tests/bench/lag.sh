#!/bin/bash
# usage: lag.sh [--rounds R] [--n N] [--keep-open] [--pin]
#
# Time from the beginning of fsync on a row of one mount until another mount, its peer over
# loopback TCP, shows the new bytes. Beside it, in the same run, what nobody can avoid: a raw
# TCP round trip of 200 bytes, and an append with fdatasync on the file system of the stores.
#
#   --rounds R   turns (3)
#   --n N        rows per turn (500)
#   --keep-open  the reader keeps the row open; otherwise it opens it for every look
#   --pin        everything on one CPU
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=3 n=500 lag_options=()
while (($#)); do
	case $1 in
	--rounds | --n)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	--keep-open) lag_options+=(--keep-open) ;;
	--pin) pin=(taskset -c 1) ;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq fusermount3 taskset
need_swarmfs
bench_begin bench_lag bench_tcp bench_lmdb
print_context

start_swarmfs "$tmp/a" "$tmp/store-a" --listen tcp://127.0.0.1:0
start_swarmfs "$tmp/b" "$tmp/store-b" --peer "$("$SWARMFS" invite "$tmp/a" | tail -1)"

for ((round = 0; round < rounds; round++)); do
	"${pin[@]}" "$BENCH_BIN/bench_tcp" --n 5000 --json >>"$tmp/tcp.jsonl"
	"${pin[@]}" "$BENCH_BIN/bench_lmdb" "$tmp" --n "$n" --json >>"$tmp/disk.jsonl"
	"${pin[@]}" "$BENCH_BIN/bench_lag" "$tmp/a" "$tmp/b" --n "$n" --timeout-ms 30000 \
		"${lag_options[@]}" --json >>"$tmp/lag.jsonl"
done

printf '%-30s %9s %9s %9s %9s\n' "what (n=$n), ms" p50 p90 p99 max
print_line() {
	local q

	printf '%-30s' "$1"
	for q in p50 p90 p99 max; do
		printf ' %9.3f' "$(field "$2" ".$3.$q")"
	done
	echo
}
print_line "tcp round trip, 200 bytes" "$tmp/tcp.jsonl" tcp_round_trip_200
print_line "append 4 KiB + fdatasync" "$tmp/disk.jsonl" append_fdatasync_4096
print_line "LMDB put, 100 bytes" "$tmp/disk.jsonl" lmdb_put_100
print_line "fsync on the writing mount" "$tmp/lag.jsonl" fsync
print_line "visible after fsync begin" "$tmp/lag.jsonl" visible_after_fsync_begin
print_line "visible after fsync end" "$tmp/lag.jsonl" visible_after_fsync_end
printf '# one look of the reader took %.1f us; medians over %d turns, max too\n' \
	"$(field "$tmp/lag.jsonl" .mean_poll_us)" "$rounds"

#!/bin/bash
# usage: converge.sh [--rounds R] [--max M] [--history N] [--versions V] [--svg FILE]
#
# How long five peers that were apart need until all are equal, for 50 commits between them (which
# has a limit of 50 ms) and for 10, 100, 1,000, ...; and what a single commit costs that comes late, or on
# top, by the length of the history that it enters, and by how often its row was written before. Beside it,
# in the same run: a round trip over TCP, one synchronous LMDB put, and, around every round, an append of 4 KiB
# with fdatasync on the same file system, since a busy disk that others share moves all of these.
#
#   --rounds R    turns; the median and the worst are shown (5)
#   --max M       the largest number of crossing commits (10000)
#   --history N   the longest history (100000)
#   --versions V  the most often that the row was written (10000)
#   --svg FILE    also draw them as curves (needs gnuplot)
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=5 max=10000 history=100000 versions=10000 svg=
while (($#)); do
	case $1 in
	--rounds | --max | --history | --versions)
		need_number "$1" "${2:-}"
		declare "${1#--}=$2"
		shift
		;;
	--svg)
		[[ -n ${2:-} ]] || usage_error "--svg wants a file name"
		svg=$2
		shift
		;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq
[[ -z $svg ]] || need_tools gnuplot
bench_begin bench_swarm bench_fold bench_tcp bench_lmdb
print_context

# disk FILE: one line more, the median of an append with fdatasync, now.
disk() {
	"$BENCH_BIN/bench_lmdb" --n 30 --json "$tmp" >"$tmp/disk.json"
	field "$tmp/disk.json" .append_fdatasync_4096.p50 >>"$1"
}

# The swarm's bench makes its stores below TMPDIR.
counts=(50)
for ((m = 10; m <= max; m *= 10)); do
	counts+=("$m")
done
mapfile -t counts < <(printf '%s\n' "${counts[@]}" | sort -g)
for m in "${counts[@]}"; do
	for ((round = 0; round < rounds; round++)); do
		disk "$tmp/disk.$m"
		TMPDIR=$tmp "$BENCH_BIN/bench_swarm" 0 0 "$m" |
			sed -n 's/^crossing .* in \([0-9.]*\) ms.*/\1/p' >>"$tmp/ms.$m"
	done
	echo "$m $(median <"$tmp/ms.$m") $(sort -g "$tmp/ms.$m" | tail -n 1) $(median <"$tmp/disk.$m")" >>"$tmp/converge.dat"
done

# fold NAME OPTION...: what commits cost in one kind of history.
fold() {
	local name=$1 round

	shift
	for ((round = 0; round < rounds; round++)); do
		disk "$tmp/disk.$name"
		"$BENCH_BIN/bench_fold" "$@" --json "$tmp" >>"$tmp/fold.$name"
		rm -rf "$tmp"/fold-* "$tmp/reference"*
	done
}

for ((n = 100; n <= history; n *= 10)); do
	fold "$n" --commits "$n"
	echo "$n $(field "$tmp/fold.$n" .late.p50) $(field "$tmp/fold.$n" .forward.p50)" \
		"$(field "$tmp/fold.$n" .lmdb_put_100.p50) $(median <"$tmp/disk.$n")" >>"$tmp/fold.dat"
done
for ((v = 10; v <= versions; v *= 10)); do
	fold "row-$v" --commits "$((v < 10000 ? 10000 : v))" --versions "$v"
	echo "$v $(field "$tmp/fold.row-$v" .crossing.p50) $(field "$tmp/fold.row-$v" .again.p50)" \
		"$(field "$tmp/fold.row-$v" .late.p50) $(median <"$tmp/disk.row-$v")" >>"$tmp/row.dat"
done
"$BENCH_BIN/bench_tcp" --json >"$tmp/tcp.json"

printf 'medians of %d rounds\n\n' "$rounds"
printf '%-34s %12s %12s %18s %18s\n' "commits of 5 peers, crossing" "ms" "worst, ms" "us per commit" "4 KiB synced, ms"
awk '{ printf "%-34d %12.1f %12.1f %18.1f %18.3f\n", $1, $2, $3, $2 * 1000 / $1, $4 }' "$tmp/converge.dat"
printf '\n%-34s %12s %12s %12s %18s\n' "history of so many commits" "late, ms" "on top, ms" "LMDB put, ms" "4 KiB synced, ms"
awk '{ printf "%-34d %12.3f %12.3f %12.3f %18.3f\n", $1, $2, $3, $4, $5 }' "$tmp/fold.dat"
printf '\n%-34s %12s %12s %12s %18s\n' "row written so often before" "crossing 3" "on conflict" "crossing all" "4 KiB synced, ms"
awk '{ printf "%-34d %12.3f %12.3f %12.3f %18.3f\n", $1, $2, $3, $4, $5 }' "$tmp/row.dat"
printf '\n# TCP round trip: %s ms\n' "$(jq -r 'first(.[]).p50' "$tmp/tcp.json")"

[[ -z $svg ]] || gnuplot <<END
set terminal svg size 1350,400 background rgb "white"
set output "$svg"
set multiplot layout 1,3
set logscale xy
set grid
set key bottom right
set xlabel "crossing commits of 5 peers"
set ylabel "ms until all are equal"
plot "$tmp/converge.dat" using 1:2 with linespoints title "measured", \\
	$(awk 'NR == 1 { printf "%g", $2 / $1 }' "$tmp/converge.dat") * x with lines dashtype 2 title "in proportion"
set xlabel "commits in the history"
set ylabel "ms for one commit more"
plot "$tmp/fold.dat" using 1:2 with linespoints title "late", \\
	"" using 1:3 with linespoints title "on top", \\
	"" using 1:4 with lines dashtype 2 title "one LMDB put"
set xlabel "versions of the row before"
plot "$tmp/row.dat" using 1:2 with linespoints title "crossing 3 of them", \\
	"" using 1:3 with linespoints title "on top of a conflict", \\
	"" using 1:4 with linespoints title "crossing all"
END

#!/bin/bash
# usage: converge.sh [--rounds R] [--max M] [--history N] [--svg FILE]
#
# How long five peers that were apart need until all are equal, for 10, 100, 1,000, ... commits
# between them, and what a single commit costs that comes late, or on top, by the length of
# the history that it enters. Beside it, in the same run: a round trip over TCP, and one
# synchronous LMDB put on the same file system.
#
#   --rounds R    turns; medians are shown (3)
#   --max M       the largest number of crossing commits (10000)
#   --history N   the longest history (100000)
#   --svg FILE    also draw both as curves (needs gnuplot)
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

rounds=3 max=10000 history=100000 svg=
while (($#)); do
	case $1 in
	--rounds | --max | --history)
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
bench_begin bench_swarm bench_fold bench_tcp
print_context

# The swarm's bench makes its stores below TMPDIR.
for ((m = 10; m <= max; m *= 10)); do
	for ((round = 0; round < rounds; round++)); do
		TMPDIR=$tmp "$BENCH_BIN/bench_swarm" 0 0 "$m" |
			sed -n 's/^crossing .* in \([0-9]*\) ms.*/\1/p'
	done | median >"$tmp/ms.$m"
	echo "$m $(<"$tmp/ms.$m")" >>"$tmp/converge.dat"
done
for ((n = 100; n <= history; n *= 10)); do
	for ((round = 0; round < rounds; round++)); do
		"$BENCH_BIN/bench_fold" --commits "$n" --json "$tmp" >>"$tmp/fold.$n"
		rm -rf "$tmp/fold-$n" "$tmp/reference"*
	done
	echo "$n $(field "$tmp/fold.$n" .late.p50) $(field "$tmp/fold.$n" .forward.p50)" \
		"$(field "$tmp/fold.$n" .lmdb_put_100.p50)" >>"$tmp/fold.dat"
done
"$BENCH_BIN/bench_tcp" --json >"$tmp/tcp.json"

printf '%-34s %12s %18s\n' "commits of 5 peers, crossing" "ms" "us per commit"
awk '{ printf "%-34d %12d %18.1f\n", $1, $2, $2 * 1000 / $1 }' "$tmp/converge.dat"
printf '\n%-34s %12s %12s %12s\n' "history of so many commits" "late, ms" "on top, ms" "LMDB put, ms"
awk '{ printf "%-34d %12.3f %12.3f %12.3f\n", $1, $2, $3, $4 }' "$tmp/fold.dat"
printf '\n# TCP round trip: %s ms\n' "$(jq -r 'first(.[]).p50' "$tmp/tcp.json")"

[[ -z $svg ]] || gnuplot <<END
set terminal svg size 900,400 background rgb "white"
set output "$svg"
set multiplot layout 1,2
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
END

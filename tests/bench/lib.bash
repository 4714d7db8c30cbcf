# What the benchmark scripts share: finding the programs, mounting, cleaning up, arithmetic.
#
# A script sources this, reads its options, and calls bench_begin. From then on $tmp is a
# directory of its own, and whatever ends the script, its mounts are unmounted, its
# processes are gone and $tmp is removed. Nothing is ever ended by name.
# shellcheck shell=bash

bench_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
SWARMFS=${SWARMFS:-$bench_root/build/release/swarmfs}
BENCH_BIN=${BENCH_BIN:-$bench_root/build/release/tests/bench}

tmp=
pin=()            # put before a command: nothing, or taskset -c 1
bench_mounts=()   # mount points to unmount, oldest first
declare -A bench_pid_of=()

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

usage_error() {
	echo "${0##*/}: $*; see --help" >&2
	exit 2
}

# The comment at the head of the script is its help.
print_help() {
	awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
}

# need_number OPTION VALUE
need_number() {
	[[ $2 =~ ^[1-9][0-9]*$ ]] || usage_error "$1 wants a positive number, not '$2'"
}

need_tools() {
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "$tool is missing; install it and try again"
	done
}

need_swarmfs() {
	[[ -x $SWARMFS ]] || die "no swarmfs at $SWARMFS; build the release preset or set SWARMFS"
	SWARMFS=$(realpath -- "$SWARMFS")
}

bench_begin() {
	local program

	for program in "$@"; do
		[[ -x $BENCH_BIN/$program ]] ||
			die "no $program in $BENCH_BIN; build the release preset or set BENCH_BIN"
	done
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/swarmfs-bench.XXXXXX")
	trap bench_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

bench_end() {
	local i

	set +e
	for ((i = ${#bench_mounts[@]} - 1; i >= 0; i--)); do
		stop_mount "${bench_mounts[i]}"
	done
	# Never reach through something that is still mounted.
	if ! grep -qF " $tmp/" /proc/self/mounts; then
		rm -rf --one-file-system -- "$tmp"
	else
		echo "${0##*/}: something is still mounted below $tmp; left as it is" >&2
	fi
}

is_mounted() {
	grep -qF " $1 " /proc/self/mounts
}

# A process nobody has waited for yet is gone all the same.
is_running() {
	local stat

	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	[[ ${stat##*) } != Z* ]]
}

# wait_until SECONDS COMMAND...: tries again until it succeeds or the time is over.
wait_until() {
	local deadline=$((SECONDS + $1))

	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

is_gone() {
	! is_running "$1"
}

# start_minfs MNT [OPTION...]
start_minfs() {
	local mnt=$1

	shift
	mkdir -p "$mnt"
	"${pin[@]}" "$BENCH_BIN/bench_minfs" "$@" "$mnt" </dev/null >"$tmp/mount.log" 2>&1 ||
		die "bench_minfs did not mount: $(cat "$tmp/mount.log")"
	bench_mounts+=("$mnt")
}

# start_swarmfs MNT STORE [OPTION...]
start_swarmfs() {
	start_swarmfs_only "$@"
	note_pid "$1"
}

# The same and no more: note_pid MNT comes later.
start_swarmfs_only() {
	local mnt=$1 store=$2

	shift 2
	mkdir -p "$mnt"
	# The daemon must not inherit our output, or a pipe after this script would never end.
	"${pin[@]}" "$SWARMFS" mount "$mnt" --store "$store" "$@" \
		</dev/null >"$tmp/mount.log" 2>&1 ||
		die "swarmfs did not mount: $(cat "$tmp/mount.log")"
	bench_mounts+=("$mnt")
}

note_pid() {
	bench_pid_of[$1]=$("$SWARMFS" status "$1" --json | jq -r '.pid // empty') || true
}

# Unmounts what start_* mounted, and waits for its process.
stop_mount() {
	local mnt=$1 pid=${bench_pid_of[$1]:-} m
	local rest=()

	if is_mounted "$mnt" && [[ -n $pid ]]; then
		"$SWARMFS" umount "$mnt" </dev/null >/dev/null 2>&1 || true
	fi
	if is_mounted "$mnt" && ! wait_until 5 fusermount3 -u "$mnt" 2>/dev/null; then
		is_mounted "$mnt" && fusermount3 -u -z "$mnt"
	fi
	if [[ -n $pid ]] && ! wait_until 30 is_gone "$pid"; then
		echo "${0##*/}: process $pid did not end after umount; ending it" >&2
		kill "$pid" 2>/dev/null || true
		wait_until 5 is_gone "$pid" || true
	fi
	for m in "${bench_mounts[@]}"; do
		[[ $m == "$mnt" ]] || rest+=("$m")
	done
	bench_mounts=("${rest[@]}")
	unset "bench_pid_of[$mnt]"
}

# Commits what was written. A new name waits out its quiet time first.
commit_all() {
	sleep 0.5
	"$SWARMFS" commit "$1" -m bench </dev/null >/dev/null
}

# import_lines MNT TABLE FILE: the only place that knows how import is called.
import_lines() {
	"$SWARMFS" import "$1" "$3" --table "$2" --key id </dev/null
}

# seconds_of COMMAND...: wall-clock seconds; what the command prints is dropped, its errors are not.
seconds_of() {
	local begin end

	begin=$(date +%s%N)
	"$@" >/dev/null || return
	end=$(date +%s%N)
	awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f\n", ns / 1e9 }'
}

# median: of the numbers on standard input, one a line.
median() {
	sort -g | awk '{ v[NR] = $1 }
		END { if (NR) printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# field FILE PATH: the median over the JSON objects in FILE of one figure.
field() {
	jq -r "$2 // empty" "$1" | median
}

# ratio A B: A / B with two digits, or a dash.
ratio() {
	awk -v a="${1:-0}" -v b="${2:-0}" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'
}

# ratios FILE_A PATH_A FILE_B PATH_B: the median of A/B pair by pair, run by run.
ratios() {
	paste <(jq -r "$2" "$1") <(jq -r "$4" "$3") |
		awk '$2 > 0 { printf "%.6f\n", $1 / $2 }' | median
}

# Where the figures come from: they mean little without it.
print_context() {
	echo "# $(uname -sr), $(nproc) CPUs, $(df --output=fstype "$tmp" | tail -1) on $tmp," \
		"load $(cut -d' ' -f1-3 /proc/loadavg)${pin[*]:+, pinned: ${pin[*]}}"
}

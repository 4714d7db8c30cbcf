# Verbs for tests of a swarm: N mounts of one database, numbered from 1. Peer 1 made it and lets the others in. Each dials 1, and
# when it comes again also the one before it. A peer keeps its address as long as the test lasts.

load mounts

N=${NR_INSTANCES:-5}
URL=() # where each peer listens

point() { echo "$DIR/$1"; }
store() { echo "$DIR/store-$1"; }
json_of() { "$sf" status "$(point "$1")" --json; }

# with_clock FILE: peers started from now on have a wall clock that is ahead by the seconds in FILE.
LOADED=()
with_clock() { LOADED=("${FAULTS[@]}" CLOCK_AHEAD="$1"); }
# with_disk FILE: and a disk that answers with the errno in FILE, 0 for none.
with_disk() { LOADED=("${FAULTS[@]}" FAIL_WRITES="$1"); }

# start_peer I [OPTION...]: mount peer I.
start_peer() {
	local i=$1
	shift
	# After a crash the dead mount is still there, and nothing else can be done with it than mounting.
	is_mounted "$(point "$i")" || mkdir -p "$(point "$i")"
	env "${LOADED[@]}" "$sf" mount "$(point "$i")" --store "$(store "$i")" --listen "${URL[i]-tcp://127.0.0.1:0}" "$@"
	URL[i]=$(url_of "$(point "$i")")
}

# start_peer_alone I [OPTION...]: mount it so that it neither dials nor is dialled.
start_peer_alone() { "$sf" mount "$(point "$1")" --store "$(store "$1")" --no-peers "${@:2}"; }
stop_peer() { "$sf" umount "$(point "$1")"; }

# first_start I: peer I comes for the first time.
first_start() {
	local i=$1
	shift
	if [ "$i" -eq 1 ]; then
		start_peer 1 "$@"
	else
		start_peer "$i" --peer "$("$sf" invite "$(point 1)" | tail -n 1)" "$@"
	fi
}

# restart_peer I [OPTION...]: it is not running, and was here before. The address of who is down is dialled until it is up.
restart_peer() {
	local i=$1 dial=()
	shift
	[ "$i" -lt 2 ] || dial+=(--peer "${URL[1]}")
	[ "$i" -lt 3 ] || dial+=(--peer "${URL[i - 1]}")
	start_peer "$i" "${dial[@]}" "$@"
}

# start_swarm [OPTION...]: N peers with a table t that is empty, all with the same head.
start_swarm() {
	local i
	require_fuse
	for i in $(seq "$N"); do
		first_start "$i" "$@"
		[ "$i" -ne 1 ] || mkdir "$(point 1)/t"
	done
	until_converged $(seq "$N")
}

heads_of() {
	local i
	for i in "$@"; do
		head_of "$(point "$i")" || echo "no answer from peer $i"
	done | sort | uniq -c
}
nothing_pending() { settled "$(point "$1")"; }
one_head() { [ "$(heads_of "$@" 2>/dev/null | wc -l)" = 1 ]; }

# until_converged I...: everything written is committed, and these peers have the same head. Else says how they stand.
until_converged() {
	local i
	for i in "$@"; do
		until_true 30 nothing_pending "$i" || { say_how_they_stand "$@"; return 1; }
	done
	until_true 60 one_head "$@" || { say_how_they_stand "$@"; return 1; }
}

say_how_they_stand() {
	local i status
	echo "these peers did not converge: $*"
	for i in "$@"; do
		if status=$(json_of "$i" 2>&1); then
			jq -r --arg i "$i" '
				"peer \($i) answers: count \(.head.count), pending \(.pending), held \(.held), refused \(.refused)" +
				(if .error != "" then ", error: \(.error)" else "" end),
				(.peers[] | "    \(.address) \(.state), lacks \(.lag_commits)" +
					(if .error != "" then ", error: \(.error)" else "" end))' <<<"$status"
		else
			echo "peer $i does not answer: $status"
		fi
	done
	echo "heads, by how many peers have them:"
	heads_of "$@" 2>/dev/null
}

# What is settled is a matter of who has heard of whom.
log_of() { "$sf" log "$(point "$1")" --json | jq -c 'del(.settled)'; }
ids_of() { log_of "$1" | jq -r .id; }
# same_on_all I... -- COMMAND...: it says the same of each, with the peer's number as the last argument.
same_on_all() {
	local first='' i peers=()
	while [ "$1" != -- ]; do
		peers+=("$1")
		shift
	done
	shift
	for i in "${peers[@]}"; do
		"$@" "$i" >"$DIR/said-$i"
		[ -n "$first" ] || first=$i
		diff "$DIR/said-$first" "$DIR/said-$i" || { echo "peer $i differs from $first: $*"; return 1; }
	done
	[ -s "$DIR/said-$first" ]
}

#!/usr/bin/env bats
# Swarms of NR_INSTANCES mounts (5 by default) over loopback.

load swarm

put() { printf '%s' "$2" >"$1"; }
# All peers write at once, each rows of its own and all the same one.
write_at_once() {
	local i round pids=()
	for i in $(seq "$N"); do
		for round in 1 2; do
			put "$(point "$i")/t/row-$i-$round" "$i $round"
			put "$(point "$i")/t/shared" "$i $round"
		done &
		pids+=($!)
	done
	wait "${pids[@]}"
}
rows_of() { (cd "$(point "$1")/t" && grep -r . . | sort); }
reads() { [ "$(cat "$(point "$1")/t/$2")" = "$3" ]; }

@test "Integration: a database is made, peers join and converge, a late one gets all" {
	local late=$((N + 1))
	start_swarm
	put "$(point 1)/t/a" one
	put "$(point "$N")/t/b" two
	until_converged $(seq "$N")
	first_start "$late"
	until_converged $(seq "$late")
	reads "$late" a one
	reads "$late" b two
	same_on_all $(seq "$late") -- rows_of
	same_on_all $(seq "$late") -- ids_of
	"$sf" verify "$(point "$late")"
}

@test "SequentialWritesPropagation: what each in turn writes, all others read" {
	local i j
	start_swarm
	for i in $(seq "$N"); do
		put "$(point "$i")/t/r" "from $i"
		for j in $(seq "$N"); do
			until_true 30 reads "$j" r "from $i"
		done
	done
	until_converged $(seq "$N")
	[ "$("$sf" conflicts list "$(point 1)" | wc -l)" = 0 ]
}

@test "ConcurrentWrites: all write at once, and nobody's rows are lost" {
	local i
	start_swarm
	write_at_once
	until_converged $(seq "$N")
	for i in $(seq "$N"); do
		reads 1 "row-$i-2" "$i 2"
	done
	same_on_all $(seq "$N") -- rows_of
}

snapshot_names() { ls "$(point "$1")/.commits"; }
@test "CommitOrderConsistency: the same commits in the same order everywhere" {
	start_swarm
	write_at_once
	until_converged $(seq "$N")
	same_on_all $(seq "$N") -- log_of
	same_on_all $(seq "$N") -- snapshot_names
	# The newest first, by time and counter; a parent stands behind its children.
	log_of 1 | jq -r .name | cut -c 1-25 >"$DIR/stamps"
	sort -r "$DIR/stamps" | diff "$DIR/stamps" -
	log_of 1 | jq -es 'to_entries | (map({(.value.id): .key}) | add) as $at |
		all(.key as $k | .value.parents[] | $at[.] > $k)'
}

@test "LinearNoMergeCommits: crossing histories add no commits of their own" {
	local i before
	start_swarm
	before=$(count_of "$(point 1)")
	for i in $(seq "$N"); do
		stop_peer "$i"
	done
	for i in $(seq "$N"); do
		start_peer_alone "$i" --settle 60000
		put "$(point "$i")/t/shared" "$i"
		"$sf" commit "$(point "$i")" -m "from $i" >/dev/null
		stop_peer "$i"
	done
	for i in $(seq "$N"); do
		restart_peer "$i"
	done
	until_converged $(seq "$N")
	[ "$(count_of "$(point 1)")" = $((before + N)) ]
	# Every commit is somebody's work; none only ties others together.
	log_of 1 | jq -es 'all(.mode == "control" or .rows + .tables > 0)'
	[ "$(log_of 1 | jq -r 'select(.message != "").message' | sort | head -n "$N" | wc -l)" = "$N" ]
}

# Every snapshot's rows and facts, one in a line.
snapshot_hashes() {
	local names
	mapfile -t names < <(log_of "$1" | jq -r .name)
	(cd "$(point "$1")/.commits" && {
		find "${names[@]}" -type f ! -name .commit ! -name .diff
		printf '%s/.commit\n' "${names[@]}"
	} | LC_ALL=C sort | xargs -d '\n' sha256sum)
}
@test "HashStabilityAcrossPeers: every snapshot is the same everywhere, also after a restart" {
	local before
	start_swarm
	write_at_once
	until_converged $(seq "$N")
	same_on_all $(seq "$N") -- snapshot_hashes
	before=$(head_of "$(point "$N")")
	stop_peer "$N"
	restart_peer "$N"
	[ "$(head_of "$(point "$N")")" = "$before" ]
	same_on_all 1 "$N" -- snapshot_hashes
}

dropped_of() { log_of "$1" | jq -r 'select(.outcome == "dropped").id'; }
lost_of() { cat "$(point "$1")"/.conflicts/t/r/*/lost; }
told_of() { grep -q "^t r $(dropped_of "$1")$" "$DIR/told-$1"; }
@test "ConflictDropMarkedApplied: of two that cross the same is dropped everywhere, and its content kept" {
	local i
	require_fuse
	"$sf" init "$(store 1)" --conflict drop
	start_swarm
	put "$(point 1)/t/r" base
	until_converged $(seq "$N")
	for i in $(seq "$N"); do
		stop_peer "$i"
		printf '#!/bin/sh\necho "$@" >>%s\n' "$DIR/told-$i" >"$DIR/tell-$i"
		chmod +x "$DIR/tell-$i"
	done
	for i in 1 2; do
		start_peer_alone "$i"
		put "$(point "$i")/t/r" "from $i"
		"$sf" commit "$(point "$i")" >/dev/null
		stop_peer "$i"
	done
	for i in $(seq "$N"); do
		restart_peer "$i" --on-conflict "$DIR/tell-$i"
	done
	until_converged $(seq "$N")
	same_on_all $(seq "$N") -- dropped_of
	[ "$(dropped_of 1 | wc -l)" = 1 ]
	# The later one saw what the earlier one replaced; its author's row went back to the earlier one's.
	reads 2 r "from 1"
	for i in $(seq "$N"); do
		[ "$(lost_of "$i")" = "from 2" ]
		until_true 20 told_of "$i"
	done
}

# fresh_copy: peer 2 as it was when it was stopped, under the name of peer x.
fresh_copy() {
	rm -rf "$(store x)"
	cp -a "$(store 2)" "$(store x)"
}
@test "ReplayCrashSafety: killed at each durable write of a replay, nothing is torn and all is got" {
	local n=0 survived=no pid
	N=2
	start_swarm
	stop_peer 2
	python3 - "$(point 1)/t" <<'PY'
import os, sys
for i in range(4):
    with open(f"{sys.argv[1]}/r", "wb") as f:
        f.write(os.urandom(400000))
        f.flush()
        os.fsync(f.fileno())
PY
	until_true 30 nothing_pending 1
	mkdir "$(point x)"
	while [ $survived = no ]; do
		n=$((n + 1))
		[ $n -lt 1000 ]
		fresh_copy
		env "${FAULTS[@]}" KILL_AT=$n "$sf" mount -f "$(point x)" --store "$(store x)" --peer "${URL[1]}" \
			>"$DIR/log-x" 2>&1 &
		pid=$!
		until_true 60 dead_or_done "$pid"
		if ends "$pid"; then
			wait "$pid" || true
			"$sf" verify "$(store x)" >/dev/null
			! is_mounted "$(point x)" || umount -l "$(point x)"
			"$sf" mount "$(point x)" --store "$(store x)" --peer "${URL[1]}" 2>/dev/null
			until_converged 1 x
		else
			survived=yes
		fi
		stop_peer x
	done
	echo "died at $((n - 1)) durable writes"
	# One transaction alone has three: pages, flush, root.
	[ $n -gt 3 ]
}
dead_or_done() { ends "$1" || one_head 1 x; }

held_of() { json_of "$1" | jq -r .held; }
holds_one() { [ "$(held_of "$1")" -ge 1 ]; }
holds_none() { [ "$(held_of "$1")" = 0 ]; }
# The last peer writes alone, an hour ahead of the others; nobody else runs.
write_tomorrow() {
	local i
	: "${SWARMFS_FAULTS:?names faults.so}"
	echo 0 >"$DIR/ahead"
	start_swarm
	for i in $(seq "$N"); do
		stop_peer "$i"
	done
	before=$(head_of "$(store 1)")
	echo 3600 >"$DIR/far-ahead"
	with_clock "$DIR/far-ahead"
	restart_peer "$N"
	put "$(point "$N")/t/r" tomorrow
	"$sf" commit "$(point "$N")" >/dev/null
	with_clock "$DIR/ahead"
}

@test "FutureSkewRejection: a commit of a fast clock is held back, and then enters everywhere" {
	local i before
	write_tomorrow
	# Of two clocks that differ, either may be wrong: it stays with its author.
	restart_peer 1
	until_true 30 holds_one "$N"
	[ "$(head_of "$(point 1)")" = "$before" ]
	[ ! -e "$(point 1)/t/r" ]
	echo 3600 >"$DIR/ahead"
	for i in $(seq 2 $((N - 1))); do
		restart_peer "$i"
	done
	until_converged $(seq "$N")
	reads 1 r tomorrow
	until_true 30 holds_none "$N"
}

@test "FutureSkewRejection: among many who know the time it is signed again, and nobody waits" {
	local i before
	write_tomorrow
	for i in $(seq $((N - 1))); do
		restart_peer "$i"
	done
	until_converged $(seq "$N")
	reads 1 r tomorrow
	grep -q "signed again" "$(store "$N")/log"
	until_true 30 holds_none "$N"
	# It is told that its clock is off, and says so; the others are not.
	grep -E "the clock of this machine is 3[56][0-9]{2} s ahead of those of its peers; set it$" "$(store "$N")/log"
	"$sf" status "$(point "$N")" | grep -E "^clock     this machine's is 3[56][0-9]{2} s ahead of those of its peers; set it$"
	[ "$("$sf" status "$(point 1)" | grep -c '^clock ')" = 0 ]
}

@test "MissingAdvertRepair: who was killed when a commit was told of gets it without another write" {
	local i pid
	start_swarm
	for i in $(seq 2 "$N"); do
		pid=$(pid_of "$(point "$i")")
		kill -9 "$pid"
		until_true 10 ends "$pid"
	done
	put "$(point 1)/t/r" unheard
	"$sf" commit "$(point 1)" >/dev/null
	for i in $(seq 2 "$N"); do
		restart_peer "$i"
	done
	until_converged $(seq "$N")
	reads "$N" r unheard
}

# burst: peer 1 commits its row 50 times, one after the other.
burst() {
	local before
	before=$(count_of "$(point 1)")
	python3 - "$(point 1)/t/r" <<'PY'
import os, sys
for i in range(50):
    with open(sys.argv[1], "w") as f:
        f.write(str(i))
        f.flush()
        os.fsync(f.fileno())
PY
	until_true 30 nothing_pending 1
	[ "$(count_of "$(point 1)")" -ge $((before + 50)) ]
}
batches_of() { json_of "$1" | jq -r .batches; }
@test "DebounceBatching: a burst of commits is one replay batch" {
	local before pid
	N=2
	start_swarm
	put "$(point 1)/t/r" base
	until_converged 1 2
	stop_peer 2
	burst
	restart_peer 2
	until_converged 1 2
	[ "$(batches_of 2)" = 1 ]
	# Of who is connected, and busy meanwhile: what was sent at once, and all the rest.
	before=$(batches_of 2)
	pid=$(pid_of "$(point 2)")
	kill -STOP "$pid"
	(burst) || { kill -CONT "$pid"; false; } # or nothing could unmount it
	kill -CONT "$pid"
	until_converged 1 2
	[ "$(batches_of 2)" -le $((before + 2)) ]
}

has_error() { [ "$(json_of "$1" | jq -r .error)" != "" ]; }
@test "a convergence that fails says which peers answer, their errors, and how heads are distributed" {
	N=4
	start_swarm
	stop_peer 2
	stop_peer 3
	stop_peer 4
	start_peer_alone 3
	put "$(point 3)/t/r" alone
	"$sf" commit "$(point 3)" >/dev/null
	echo 0 >"$DIR/errno"
	with_disk "$DIR/errno"
	restart_peer 4
	echo 5 >"$DIR/errno"
	put "$(point 4)/t/r" refused || true
	until_true 10 has_error 4
	PATIENCE=0 run until_converged 1 2 3 4
	echo 0 >"$DIR/errno"
	echo "$output"
	[ "$status" = 1 ]
	grep -x 'these peers did not converge: 1 2 3 4' <<<"$output"
	grep -x 'peer 1 answers: count 5, pending 0, held 0, refused 0' <<<"$output"
	grep 'peer 2 does not answer: .* neither mounted nor a store' <<<"$output"
	grep -x 'peer 3 answers: count 6, pending 0, held 0, refused 0' <<<"$output"
	grep 'peer 4 answers: count 5, pending .*, error: .*Input/output error' <<<"$output"
	[ "$(grep -cE '^ +tcp://[0-9.:]+ [a-z-]+, lacks [0-9]+' <<<"$output")" -ge 2 ]
	sed '1,/^heads, by how many peers have them:$/d' <<<"$output" | sort >"$DIR/heads"
	grep -xE ' +2 5 [0-9a-f]+ [0-9a-f]+' "$DIR/heads"
	grep -xE ' +1 6 [0-9a-f]+ [0-9a-f]+' "$DIR/heads"
	grep -xE ' +1 no answer from peer 2' "$DIR/heads"
	[ "$(wc -l <"$DIR/heads")" = 3 ]
}

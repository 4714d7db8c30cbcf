#!/usr/bin/env bats
# What is settled, with mounts over loopback.

load swarm

N=3
put() { printf '%s' "$2" >"$1"; }
key_of() { json_of "$1" | jq -r .key; }
settled_of() { json_of "$1" | jq -r .settled.count; }
all_settled() { json_of "$1" | jq -e '.settled.count == .head.count and .settled.waits_for == []' >/dev/null; }
waits_for() { json_of "$1" | jq -e --arg key "$2" '[.settled.waits_for[].key] == [$key]' >/dev/null; }

@test "what all have seen is settled; one who is away holds it up, and is named" {
	local away id i
	start_swarm
	for i in 1 2 3; do
		until_true 30 all_settled "$i"
	done
	put "$(point 1)/t/a" one
	"$sf" commit "$(point 1)" --settled --timeout 60s # which may have nothing to commit any more
	id=$("$sf" log "$(point 1)" --json -n 1 | jq -r .id)
	[ "$(head -n 1 "$(point 1)/.swarm/settled")" = "$(settled_of 1) $id" ]
	"$sf" log "$(point 1)" --json | jq -es 'all(.settled)'
	[ "$("$sf" log "$(point 1)" | grep -c ' settled ')" = "$(count_of "$(point 1)")" ]

	away=$(key_of 3)
	stop_peer 3
	put "$(point 1)/t/a" two
	run "$sf" commit "$(point 1)" -m later --settled --timeout 2s
	[ "$status" = 1 ]
	[[ "$output" == *"not settled: waiting for ${away:0:12} (last heard of "* ]]
	until_true 30 waits_for 1 "$away"
	until_true 30 waits_for 2 "$away"
	"$sf" status "$(point 2)" | grep -q "^waits for ${away:0:12} (last heard of"
	grep -q "^$away 20" "$(point 1)/.swarm/settled"
	"$sf" log "$(point 1)" --json -n 1 | jq -e '.settled | not'
	[ "$("$sf" log "$(point 1)" -n 1 | grep -c ' settled ')" = 0 ]

	# Somebody waits meanwhile.
	"$sf" commit "$(point 2)" --settled --timeout 120s 3>&- &
	restart_peer 3
	wait $!
	for i in 1 2 3; do
		until_true 30 all_settled "$i"
	done
	"$sf" verify "$(point 1)"
}

@test "what is settled stays so over a restart, and a newcomer does not unsettle it" {
	local before
	start_swarm
	until_true 30 all_settled 1
	before=$(settled_of 1)
	stop_peer 2
	stop_peer 3
	stop_peer 1
	start_peer 1
	[ "$(settled_of 1)" -ge "$before" ]
	first_start 4
	until_converged 1 4
	[ "$(settled_of 1)" -ge "$before" ]
	"$sf" status "$(store 2)" --json | jq -e --argjson n "$before" '.settled.count >= 1 and .settled.count <= $n'
}

@test "a commit in a database of one member is settled at once; without a process for the store nobody can be heard" {
	require_fuse
	first_start 1
	mkdir "$(point 1)/t"
	put "$(point 1)/t/a" one
	"$sf" commit "$(point 1)" --settled --timeout 60s
	all_settled 1
	first_start 2
	until_converged 1 2
	stop_peer 2
	stop_peer 1
	printf '[{"id":"b"}]' | "$sf" import "$(store 1)" --table t --key id -
	run "$sf" commit "$(store 1)" --settled
	[ "$status" = 1 ]
	[[ "$output" == *"not settled: "*"no process serves the store"* ]]
	run "$sf" commit "$(store 1)" --timeout 3s
	[ "$status" = 2 ]
	run "$sf" commit "$(store 1)" --settled --timeout soon
	[ "$status" = 2 ]
}

# Case 17 of the rules. What peer 2 writes alone first comes to stand before what peer 1 writes after it.
@test "case 17: an open snapshot stays as it is when a late commit slips below it, and its name leads to the new state" {
	local name
	export N=2 # for the verbs of swarm.bash
	start_swarm
	put "$(point 1)/t/r" one
	until_converged 1 2
	stop_peer 2
	start_peer_alone 2
	put "$(point 2)/t/late" late
	"$sf" commit "$(point 2)"
	stop_peer 2
	put "$(point 1)/t/r" two
	"$sf" commit "$(point 1)"
	name=$("$sf" log "$(point 1)" --json -n 1 | jq -r .name)
	"$sf" log "$(point 1)" --json -n 1 | jq -e '.settled | not'

	cd "$(point 1)/.commits/$name"
	exec 7<t/r
	[ "$(ls t)" = r ]
	restart_peer 2
	until_converged 1 2
	# Who has it open sees what was there.
	[ "$(cat <&7)" = two ]
	exec 7<&-
	[ "$(ls t)" = r ]
	[ ! -e t/late ]
	# By its name it is what it is now.
	cd "$BATS_TEST_DIRNAME"
	[ "$(ls "$(point 1)/.commits/$name/t")" = $'late\nr' ]
	[ "$(cat "$(point 1)/.commits/$name/t/late")" = late ]
	diff -r "$(point 1)/.commits/$name" "$(point 2)/.commits/$name"
	until_true 30 all_settled 1
}

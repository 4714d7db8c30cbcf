#!/usr/bin/env bats
# Starting in the background: what the waiting command says and how it can be interrupted.

load mounts
sf=${SWARMFS:?names the binary}

# A ticket of a peer that is gone, so that whoever uses it waits.
dead_ticket() {
	"$sf" serve "$DIR/gone" --listen tcp://127.0.0.1:0
	"$sf" invite "$DIR/gone" | tail -n 1
	kill "$(pid_of "$DIR/gone")"
}

not() { ! "$@"; }
owner_of() { cat "$1/lock"; }
has_three_commits() { [ "$(count_of "$DIR/s")" -ge 3 ]; }
asks() { grep -q unix_stream "/proc/$1/wchan"; }
owns() { [ "$(owner_of "$2")" = "$1" ]; }
has_owner() { [ -s "$1/lock" ] && kill -0 "$(owner_of "$1")"; }

@test "a daemon keeps nothing open of whoever started it" {
	(
		exec 9>"$DIR/held"
		flock -n 9
		"$sf" serve "$DIR/s"
	)
	flock -n "$DIR/held" true
	local pid
	pid=$(owner_of "$DIR/s")
	for fd in 0 1; do [ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ]; done
	[ "$(readlink "/proc/$pid/fd/2")" = "$DIR/s/log" ]
	[ "$(readlink "/proc/$pid/cwd")" = / ]
	[ "$(pid_of "$DIR/s")" = "$pid" ]
	kill "$pid"
	until_true 10 ends "$pid"
	[ "$(pid_of "$DIR/s")" = null ]
}

@test "interrupting the command that waits ends what it started" {
	local ticket pid
	ticket=$(dead_ticket)
	"$sf" serve "$DIR/s" --peer "$ticket" &
	local waiting=$!
	until_true 10 has_owner "$DIR/s"
	pid=$(owner_of "$DIR/s")
	[ "$pid" != "$waiting" ]
	kill "$waiting"
	until_true 10 ends "$pid"
}

@test "who dies before what it started can ask to hear of that ends it all the same" {
	local ticket
	ticket=$(dead_ticket)
	# cat ends when neither of them has the pipe any more.
	cat >"$DIR/go" <<-'END'
		env "${@:4}" ORPHANED=1 "$1" serve "$2" --peer "$3" 2>&1 | cat
		exit "${PIPESTATUS[0]}"
	END
	run timeout 50 bash "$DIR/go" "$sf" "$DIR/s" "$ticket" "${FAULTS[@]}"
	echo "$status $output"
	[ "$status" = 137 ]
	[ ! -e "$DIR/s" ]
}

@test "programs that it runs are waited for, also when its parent ignored theirs" {
	"$sf" init "$DIR/s"
	run env --ignore-signal=CHLD "$sf" serve "$DIR/s" --on-conflict "$(command -v false)"
	echo "$output"
	[ "$status" = 0 ]
	local pid
	pid=$(owner_of "$DIR/s")
	# SIGCHLD is the 17th signal.
	[ $((0x$(sed -n 's/^SigIgn:\t//p' "/proc/$pid/status") >> 16 & 1)) = 0 ]
	kill "$pid"
	until_true 10 ends "$pid"
}

has_waited() { [ "$(sed -n 's/^voluntary_ctxt_switches:\t//p' "/proc/$1/status")" -gt 5 ]; }

@test "a start waits for a command that has the store for a moment, and not for one who serves it" {
	"$sf" init "$DIR/s"
	flock "$DIR/s/lock" bash -c 'until [ -e "$0" ]; do sleep 0.02; done' "$DIR/go" 3>&- &
	local holder=$! peer
	until_true 10 not flock -n "$DIR/s/lock" true
	"$sf" serve "$DIR/s" -f 2>"$DIR/err" 3>&- &
	peer=$!
	until_true 10 has_waited "$peer"
	touch "$DIR/go"
	wait "$holder"
	until_true 10 test -S "$DIR/s/control"
	[ "$(pid_of "$DIR/s")" = "$peer" ]
	run "$sf" serve "$DIR/s"
	[ "$status" = 1 ]
	[[ $output == *"is in use by process $peer; stop it, or name its mount point instead" ]]
	kill "$peer"
	wait "$peer"
}

@test "a start waits for the end of a process that is being killed, which can still be connected to" {
	"$sf" serve "$DIR/s"
	local pid peer
	pid=$(owner_of "$DIR/s")
	# What does not answer is not known to serve, and the kernel connects to it.
	kill -STOP "$pid"
	"$sf" serve "$DIR/s" -f 2>"$DIR/err" 3>&- &
	peer=$!
	until_true 10 asks "$peer"
	kill -9 "$pid"
	until_true 10 owns "$peer" "$DIR/s"
	until_true 10 test -S "$DIR/s/control"
	kill "$peer"
	wait "$peer"
}

@test "in the foreground a signal ends the wait for a database, and the same command goes on" {
	local ticket status=0
	ticket=$(dead_ticket)
	"$sf" serve "$DIR/s" --peer "$ticket" -f 2>"$DIR/err" &
	local waiting=$!
	until_true 10 has_owner "$DIR/s"
	kill "$waiting"
	wait "$waiting" || status=$?
	[ "$status" = 1 ]
	grep "stopped before the database had arrived" "$DIR/err"
	# The peer is back.
	"$sf" serve "$DIR/gone" --listen tcp://127.0.0.1:0
	ticket=$("$sf" invite "$DIR/gone" | tail -n 1)
	"$sf" serve "$DIR/s" --peer "$ticket"
	until_true 20 same_head "$DIR/s" "$DIR/gone"
	kill "$(owner_of "$DIR/s")" "$(owner_of "$DIR/gone")"
}

@test "a start that dies is reported" {
	local ticket status=0
	ticket=$(dead_ticket)
	"$sf" serve "$DIR/s" --peer "$ticket" 2>"$DIR/err" &
	local waiting=$!
	until_true 10 has_owner "$DIR/s"
	kill -9 "$(owner_of "$DIR/s")"
	wait "$waiting" || status=$?
	[ "$status" = 1 ]
	grep "ended by signal 9" "$DIR/err"
}

@test "SIGTERM ends a peer in bounded time, with clients connected and nothing lost" {
	"$sf" serve "$DIR/s" --listen tcp://127.0.0.1:0
	local pid n
	pid=$(owner_of "$DIR/s")
	# One sends rows for ever.
	(seq 1 100000000 | sed 's/.*/{"id":&}/' | "$sf" import "$DIR/s" --table t - >"$DIR/out" 2>&1) 3>&- &
	local sender=$!
	until_true 20 has_three_commits
	kill "$pid"
	until_true 15 ends "$pid"
	wait "$sender" || true
	cat "$DIR/out"
	"$sf" verify "$DIR/s"
	n=$(count_of "$DIR/s")
	[ "$n" -ge 3 ]
}

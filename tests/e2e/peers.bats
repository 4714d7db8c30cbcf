#!/usr/bin/env bats
# Several mounts of one database.

load mounts

@test "an edit on either side is seen on the other, with the same history" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo '{"a":1}' >"$A/t/r.json"
	mount_b
	until_true 10 test -e "$B/t/r.json"
	[ "$(cat "$B/t/r.json")" = '{"a":1}' ]
	echo '{"a":2}' >"$B/t/r.json"
	until_true 10 grep -q 2 "$A/t/r.json"
	rm "$A/t/r.json"
	until_true 10 bash -c "! test -e '$B/t/r.json'"
	until_same "$A" "$B"
	[ "$(ls "$A/.commits")" = "$(ls "$B/.commits")" ]
	"$sf" verify "$B"
}

@test "both write at once, also one row, also its columns: same head, no column lost" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo '{"a":0,"b":0}' >"$A/t/r.json"
	mount_b
	until_same "$A" "$B"
	for i in $(seq 10); do
		sed -i "s/\"a\":[0-9]*/\"a\":$i/" "$A/t/r.json" &
		sed -i "s/\"b\":[0-9]*/\"b\":$i/" "$B/t/r.json" &
		echo "$i" >"$A/t/mine" &
		echo "$i" >"$B/t/mine" &
		wait
		until_same "$A" "$B"
	done
	[ "$(cat "$A/t/r.json")" = '{"a":10,"b":10}' ]
	[ "$(cat "$B/t/r.json")" = '{"a":10,"b":10}' ]
	[ "$(cat "$A/t/mine")" = 10 ]
	"$sf" verify "$A"
	"$sf" verify "$B"
}

@test "three in a chain converge, a peer that was down catches up, a late joiner gets all" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
	# C knows only B, which no admin is: the creator's ticket with B's address.
	local b_url
	b_url=$(url_of "$B")
	echo early >"$A/t/early"
	local t
	t=$("$sf" invite "$A" | tail -n 1)
	"$sf" mount "$C" --store "$DIR/store-C" --peer "$t"
	until_same "$A" "$C"
	"$sf" umount "$C"
	until_true 10 bash -c "! grep -q ' $C fuse' /proc/self/mounts"
	echo while-down >"$A/t/down"
	until_same "$A" "$B"
	"$sf" mount "$C" --store "$DIR/store-C" --peer "$b_url"
	until_same "$B" "$C"
	[ "$(cat "$C/t/down")" = while-down ]
	echo from-c >"$C/t/c"
	until_same "$B" "$C"
	until_true 20 test -e "$A/t/c"
	until_same "$A" "$C"
}

@test "kill -9 in the middle of writes, 20 times: what was closed is there" {
	require_fuse
	mount_a
	mkdir "$A/t"
	"$sf" commit "$A" -m table >/dev/null
	mount_b
	local round pid writer b_url
	# A has another port each time it comes back, so it is A that dials.
	b_url=$(url_of "$B")
	for round in $(seq 20); do
		pid=$(pid_of "$A")
		# Each name goes to the list only after its close() has returned without an error, which a shell
		# would not notice.
		python3 - "$A/t" "$round" "$DIR/closed" <<'PY' &
import os, sys
table, round, closed = sys.argv[1:]
with open(closed, "a", buffering=1) as out:
    for i in range(1, 1001):
        try:
            fd = os.open(f"{table}/{round}-{i}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.write(fd, f"{round}-{i}\n".encode())
            os.close(fd)
        except OSError:
            break
        out.write(f"{round}-{i}\n")
PY
		writer=$!
		until_true 10 grep -q "^$round-$((round * 3))$" "$DIR/closed"
		kill -9 "$pid"
		wait "$writer" || true
		until_true 10 ends "$pid"
		mount_a --peer "$b_url"
	done
	was_kept "$A/t" "$DIR/closed"
	"$sf" verify "$A"
	until_same "$A" "$B"
	[ "$(wc -l </proc/self/mounts)" -ge 1 ] && [ "$(grep -c " $A fuse" /proc/self/mounts)" = 1 ]
}

@test "no row text travels in clear" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root may capture packets"
	command -v tcpdump >/dev/null || skip "tcpdump is not installed"
	mount_a
	mkdir "$A/t"
	local port
	port=$(url_of "$A" | sed 's/.*://')
	tcpdump -i lo -s 0 -U --immediate-mode -w "$DIR/capture" "tcp port $port" 2>"$DIR/tcpdump" &
	local dump=$!
	until_true 10 grep -q listening "$DIR/tcpdump"
	mount_b
	echo "the-secret-text-of-a-row" >"$A/t/row-with-a-telling-name"
	until_true 10 test -e "$B/t/row-with-a-telling-name"
	until_same "$A" "$B"
	until_true 10 bash -c "[ \$(stat -c %s '$DIR/capture') -gt 1000 ]"
	kill "$dump"
	wait "$dump" || true
	[ "$(stat -c %s "$DIR/capture")" -gt 1000 ]
	run grep -ac -e the-secret-text -e telling-name "$DIR/capture"
	[ "$output" = 0 ]
}

@test "garbage and cut frames at the port: refused, and the peer lives on" {
	require_fuse
	mount_a -f >"$DIR/log" 2>&1 &
	until_true 10 is_mounted "$A"
	mkdir "$A/t"
	local port
	port=$(url_of "$A" | sed 's/.*://')
	for i in $(seq 20); do
		head -c $((i * 37)) /dev/urandom >"/dev/tcp/127.0.0.1/$port" || true
		printf '\0\0\0\40half' >"/dev/tcp/127.0.0.1/$port" || true
		printf '\377\377\377\377' >"/dev/tcp/127.0.0.1/$port" || true
	done
	until_true 10 grep -q 'refused' "$DIR/log"
	mount_b
	echo alive >"$A/t/r"
	until_true 10 test -e "$B/t/r"
}

# The kernel holds a directory while it asks for a name in it, and what it is told about that directory waits for the answer.
@test "SIGTERM while names are looked up in a table that others change: the process ends" {
	require_fuse
	mount_a
	mkdir "$A/t"
	mount_b
	until_true 30 test -d "$B/t"
	local pid writer lookers=() i
	pid=$(pid_of "$A")
	for i in $(seq 0 99); do echo "$i" >"$B/t/r$i"; done
	until_true 30 test -s "$A/t/r99"
	python3 - "$B/t" 3>&- <<'PY' &
import itertools, sys

for i in itertools.count():
    for row in range(100):
        with open(f"{sys.argv[1]}/r{row}", "w") as f:
            f.write(str(i))
PY
	writer=$!
	for i in 1 2 3 4; do
		# Until the mount is gone.
		python3 - "$A/t" "$i" 3>&- <<'PY' &
import itertools, os, sys

for n in itertools.count():
    try:
        os.stat(f"{sys.argv[1]}/none-{sys.argv[2]}-{n}")
    except FileNotFoundError:
        pass
    except OSError:
        break
PY
		lookers+=($!)
	done
	# It has written, and it has come.
	i=$(count_of "$A")
	more_than() { [ "$(count_of "$A")" -gt "$1" ]; }
	until_true 30 more_than "$i"
	i=
	kill -TERM "$pid"
	until_true 30 ends "$pid" || i=hung
	# Without them what hung goes on.
	kill -9 "$writer" "${lookers[@]}" || true
	[ "$i" != hung ]
	until_true 10 not_mounted "$A"
	mount_a
	"$sf" verify "$A"
}

# peers_of TARGET: address and state of each.
peers_of() { "$sf" peers "$1" --json | jq -r '"\(.address) \(.state)"' | sort; }
is_met() { peers_of "$1" | grep in-sync; }
has_peers() { [ "$(peers_of "$1")" = "$2" ]; }

@test "a store remembers where its peers are, until it is told to forget them" {
	require_fuse
	mount_a
	mkdir "$A/t"
	local url down=tcp://127.0.0.1:1
	url=$("$sf" status "$A" --json | jq -r '.listen[0]')
	# Of a ticket the address that led somewhere; one that leads nowhere now when it was given by itself.
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$("$sf" invite "$A" --address "$url" --address "$down" | tail -n 1)"
	until_same "$A" "$B"
	"$sf" umount "$B"
	has_peers "$DIR/store-B" "$url remembered"
	"$sf" peers "$DIR/store-B" | grep -F "remembered  not dialled now  $url"
	"$sf" status "$DIR/store-B" | grep -F "$url"
	# It finds them again by itself, and once more when it is down for longer.
	echo 1 >"$A/t/r"
	"$sf" commit "$A" -m 1
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$down"
	until_same "$A" "$B"
	[ "$(cat "$B/t/r")" = 1 ]
	has_peers "$B" "$(printf '%s\n' "$down backoff" "$url in-sync" | sort)" ||
		has_peers "$B" "$(printf '%s\n' "$down connecting" "$url in-sync" | sort)"
	# For once it is left alone, and says whom it could ask.
	"$sf" umount "$B"
	"$sf" mount "$B" -o "store=$DIR/store-B,no-peers"
	has_peers "$B" "$(printf '%s remembered\n' "$down" "$url" | sort)"
	"$sf" umount "$B"
	# One that is forgotten while it is connected is hung up on; the other one in the store alone.
	"$sf" mount "$B" --store "$DIR/store-B"
	until_true 20 is_met "$A"
	"$sf" peers "$B" --forget "$url"
	until_true 10 has_peers "$A" ""
	peers_of "$B" | grep -F "$down"
	! peers_of "$B" | grep -F "$url" || false
	"$sf" umount "$B"
	"$sf" peers "$DIR/store-B" --forget "$down"
	has_peers "$DIR/store-B" ""
	[ "$("$sf" peers "$DIR/store-B")" = "no peers" ]
	run "$sf" peers "$DIR/store-B" --forget "$down"
	[ "$status" = 1 ]
	[[ $output == *"no peer is remembered at the address '$down'"* ]]
	# Who is given again is remembered again, once.
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$url" --peer "$url"
	until_same "$A" "$B"
	"$sf" peers "$B" --forget "$url"
	"$sf" umount "$B"
	has_peers "$DIR/store-B" ""
}

#!/usr/bin/env bats
# Joining without a ticket: somebody asks, an admin looks at the key and approves it.

bats_require_minimum_version 1.5.0
load mounts

key_of() { status_says "$1" '"key":"([0-9a-f]{64})","role"'; }
# address_of TARGET: where others ask.
address_of() { "$sf" approve "$1" | sed -n 's/.* join \(.*\) STORE$/\1/p'; }
requests_of() { "$sf" approve "$1" --json; }
n_requests() { status_says "$1" '"requests":([0-9]+),'; }
asks_at() { requests_of "$1" | grep -q "\"key\":\"$2\""; }

# The database, at the store A.
serve_a() {
	"$sf" serve "$DIR/store-A" --listen tcp://127.0.0.1:0
	address=$(address_of "$DIR/store-A")
}
# begin_join STORE [OPTION...]: it asks in the background; ASKING is its process, KEY its key.
begin_join() {
	"$sf" join "$address" "$DIR/$1" "${@:2}" >"$DIR/said-$1" 2>&1 3>&- &
	ASKING=$!
	until_true 10 grep -q 'waiting for an admin' "$DIR/said-$1"
	KEY=$(sed -n 's/^The key of this store is \([0-9a-f]*\)$/\1/p' "$DIR/said-$1")
	[ "${#KEY}" = 64 ]
}
# joined STORE: the command that asked has ended well.
joined() {
	wait "$ASKING" || { cat "$DIR/said-$1"; return 1; }
	grep -q "^$DIR/$1 holds the database now: " "$DIR/said-$1"
}

@test "who asks is listed, approved by the first digits of the key, and mounts; writes flow both ways" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo one >"$A/t/one"
	address=$(address_of "$A")
	[[ $address == "$(url_of "$A")#$("$sf" status "$A" --json | jq -r .database).$(key_of "$A")" ]]
	begin_join store-B --message $'Bob, from \e[31mthe office\n\xe2\x80\xae'
	[ "$(n_requests "$A")" = 1 ]
	"$sf" status "$A" | grep -q '^requests  1 '
	run -0 "$sf" approve "$A"
	[[ ${lines[0]} == "$KEY  20"*"  tcp://127.0.0.1:"*'  Bob, from \x1b[31mthe office\n\xe2\x80\xae' ]]
	[ "$(requests_of "$A" | jq -r '.key, .message, .was_removed')" = "$KEY"$'\nBob, from \e[31mthe office\n\xe2\x80\xae\nfalse' ]
	# Nothing is there, and nothing can be done there.
	[ "$(head_of "$DIR/store-B" | cut -d ' ' -f 1)" = 0 ]
	run -0 "$sf" approve "$A" "${KEY:0:16}"
	[[ $output == "$KEY is let in as writer" ]]
	joined store-B
	[ "$(n_requests "$A")" = 0 ]
	"$sf" members "$A" | grep -q "^$KEY  writer"
	"$sf" mount "$B" --store "$DIR/store-B" --peer "$(url_of "$A")"
	[ "$(cat "$B/t/one")" = one ]
	echo two >"$B/t/two"
	until_true 10 grep -q two "$A/t/two"
	echo three >"$A/t/three"
	until_true 10 grep -q three "$B/t/three"
	until_same "$A" "$B"
	# Once more is fine, and asks nobody.
	"$sf" umount "$B"
	run -0 "$sf" join "$address" "$DIR/store-B"
	[[ $output == "$DIR/store-B holds the database now: "* ]]
	# The store has the address where it asked, too.
	"$sf" mount "$B" --store "$DIR/store-B"
	echo four >"$B/t/four"
	until_true 10 grep -q four "$A/t/four"
}

@test "as what it is let in is for the admin to say" {
	serve_a
	begin_join b
	"$sf" approve "$DIR/store-A" "$KEY" --role reader
	joined b
	[ "$("$sf" status "$DIR/b" --json | jq -r .role)" = reader ]
	begin_join c
	"$sf" approve "$DIR/store-A" "$KEY" --role admin
	joined c
	[ "$("$sf" status "$DIR/c" --json | jq -r .role)" = admin ]
	run -1 "$sf" approve "$DIR/store-A" "$KEY"
	[[ $output == *"a member already, a"*"members --set"* ]]
}

@test "who is rejected is told at once, and again, until an admin lets it in after all" {
	serve_a
	begin_join b
	"$sf" approve "$DIR/store-A" "${KEY:0:20}" --reject
	wait "$ASKING" && false
	grep -q '^swarmfs: joining was refused: the request was rejected there$' "$DIR/said-b"
	[ "$(n_requests "$DIR/store-A")" = 0 ]
	run -1 "$sf" join "$address" "$DIR/b"
	[[ $output == *"rejected there"* ]]
	run -1 "$sf" approve "$DIR/store-A" "${KEY:0:20}"
	[[ $output == *"no key that asks here begins with '${KEY:0:20}'"* ]]
	run -1 "$sf" approve "$DIR/store-A" "$KEY" --reject
	[[ $output == *"does not ask here"* ]]
	"$sf" approve "$DIR/store-A" "$KEY"
	"$sf" join "$address" "$DIR/b"
}

@test "kill -9 of who waits: the same command goes on with the same key" {
	local key
	serve_a
	begin_join b
	key=$KEY
	kill -9 "$ASKING"
	wait "$ASKING" || true
	# The request stays, and is the same.
	asks_at "$DIR/store-A" "$key"
	begin_join b
	[ "$KEY" = "$key" ]
	[ "$(n_requests "$DIR/store-A")" = 1 ]
	kill -9 "$ASKING"
	wait "$ASKING" || true
	# It may be let in while it is away.
	"$sf" approve "$DIR/store-A" "$key"
	run -0 timeout 60 "$sf" join "$address" "$DIR/b"
	[[ $output == *"holds the database now: 2 commits" ]]
	"$sf" verify "$DIR/b"
}

@test "the peer that keeps the request may end and come again; a mount of what never arrived says what to do" {
	serve_a
	begin_join b
	kill -9 "$(pid_of "$DIR/store-A")"
	"$sf" serve "$DIR/store-A" --listen "${address%#*}"
	until_true 30 asks_at "$DIR/store-A" "$KEY"
	"$sf" approve "$DIR/store-A" "$KEY"
	joined b
	begin_join c --timeout 1s
	wait "$ASKING" && false
	grep -q '^swarmfs: no admin has let this key in yet; the same command goes on waiting$' "$DIR/said-c"
	run -1 "$sf" serve "$DIR/c"
	[[ $output == *"waits for a database that never arrived"*"swarmfs join"* ]]
	run -1 "$sf" serve "$DIR/new" --peer "${address%#*}"
	[[ $output == *"swarmfs join"* ]]
	run -2 "$sf" serve "$DIR/new" --peer "$address"
	[[ $output == *"swarmfs join ADDRESS STORE"* ]]
}

@test "a member that was taken out does not come back by asking" {
	local key
	serve_a
	begin_join b
	key=$KEY
	"$sf" approve "$DIR/store-A" "$key"
	joined b
	"$sf" revoke "$DIR/store-A" "$key"
	"$sf" import "$DIR/store-A" - --table t <<<'{"id":1}'
	# With its key: it learns that it was taken out, asks, and waits.
	"$sf" serve "$DIR/b" --peer "${address%#*}"
	until_true 20 bash -c "[ \"\$('$sf' status '$DIR/b' --json | jq -r .role)\" = none ]"
	stop_serving "$DIR/b"
	begin_join b
	[ "$KEY" = "$key" ]
	[ "$(requests_of "$DIR/store-A" | jq .was_removed)" = true ]
	"$sf" approve "$DIR/store-A" | grep -q "^$key .*(was taken out of the database)$"
	[ "$("$sf" status "$DIR/b" --json | jq -r .role)" = none ]
	[ "$(count_of "$DIR/b")" = 3 ]
	kill "$ASKING"
	wait "$ASKING" || true
	# With another one it is anybody.
	begin_join c
	[ "$KEY" != "$key" ]
	[ "$(count_of "$DIR/c")" = 0 ]
	kill "$ASKING"
	wait "$ASKING" || true
	"$sf" approve "$DIR/store-A" "$key"
	run -0 timeout 60 "$sf" join "$address" "$DIR/b"
	[ "$("$sf" status "$DIR/b" --json | jq -r .role)" = writer ]
	[ "$(count_of "$DIR/b")" -ge 5 ]
}

@test "who is no admin lists requests and lets nobody in; an admin does so elsewhere, by the whole key" {
	serve_a
	"$sf" serve "$DIR/b" --listen tcp://127.0.0.1:0 --peer "$("$sf" invite "$DIR/store-A" | tail -n 1)"
	address=$(address_of "$DIR/b")
	begin_join c
	asks_at "$DIR/b" "$KEY"
	[ -z "$(requests_of "$DIR/store-A")" ]
	run -1 "$sf" approve "$DIR/b" "${KEY:0:16}"
	[ "$output" = "swarmfs: only an admin can let others in, and the key of this store is none; an admin can do it at any peer, with: swarmfs approve TARGET $KEY" ]
	run -1 "$sf" approve "$DIR/store-A" "${KEY:0:16}"
	[[ $output == *"a whole key needs no request"* ]]
	"$sf" approve "$DIR/store-A" "$KEY"
	joined c
	[ "$(n_requests "$DIR/b")" = 0 ]
}

@test "another database, another peer, and addresses that are none" {
	local other key
	serve_a
	other=$address
	"$sf" serve "$DIR/other" --listen tcp://127.0.0.1:0
	address="$(url_of "$DIR/other")#${other#*#}"
	run -1 timeout 60 "$sf" join "$address" "$DIR/b"
	[[ $output == *"does not know this database"* ]]
	key=$(key_of "$DIR/other")
	address="${other%.*}.$key"
	run -1 timeout 60 "$sf" join "$address" "$DIR/c"
	[[ $output == *"has another key than the address names"* ]]
	# The store is of one database.
	address=$(address_of "$DIR/other")
	run -1 timeout 60 "$sf" join "$address" "$DIR/b"
	[[ $output == *"the join address is for the database"*"; choose another store" ]]
	[ "$(n_requests "$DIR/store-A")$(n_requests "$DIR/other")" = 00 ]
	for address in "${other%?}" "${other}0" "${other%.*}" "${other%#*}" "#${other#*#}" "$DIR" "${other/#*/x#}"; do
		run -2 "$sf" join "$address" "$DIR/d"
		[[ ${lines[0]} == *"join address"* ]]
	done
	for address in "x://y#${other#*#}" "tcp://host#${other#*#}" "host:7#${other#*#}"; do
		run -2 "$sf" join "$address" "$DIR/d"
		[[ ${lines[0]} == *"tcp://HOST:PORT"* ]]
	done
	run -2 "$sf" join "$("$sf" invite "$DIR/other" | tail -n 1)" "$DIR/d"
	[[ ${lines[0]} == *"swarmfs clone"* ]]
	run -2 "$sf" join "$other" "$DIR/d" --timeout 0
	run -2 "$sf" join "$other" "$DIR/d" -m "$(printf '%257s' x)"
	[ ! -e "$DIR/d" ]
	run -1 "$sf" approve "$DIR/store-A" 123456789012345
	[[ $output == *"16 digits or more"* ]]
	run -2 "$sf" approve "$DIR/store-A" --reject
	run -2 "$sf" approve "$DIR/store-A" --role king 1234567890123456
	run -2 "$sf" approve "$DIR/store-A" 1234567890123456 --reject --role reader
	run -2 "$sf" approve "$DIR/store-A" 1234567890123456 --json
}

@test "a flood of requests takes its places and no more; who found none is let in by its key" {
	local i asking=() key
	serve_a
	for i in $(seq 8); do
		begin_join "f$i"
		asking+=("$ASKING")
	done
	[ "$(n_requests "$DIR/store-A")" = 8 ]
	for i in $(seq 3); do
		run -1 timeout 60 "$sf" join "$address" "$DIR/late"
		[[ $output == *"keeps no more requests"*"tell an admin the key"* ]]
	done
	key=$(key_of "$DIR/late")
	[ "$(n_requests "$DIR/store-A")" = 8 ]
	# Garbage at the port in between.
	for i in $(seq 20); do
		head -c 4096 /dev/urandom >"/dev/tcp/127.0.0.1/$(sed 's/#.*//; s/.*://' <<<"$address")" 2>/dev/null || true
	done
	"$sf" approve "$DIR/store-A" "$key"
	run -0 timeout 60 "$sf" join "$address" "$DIR/late"
	for i in "${asking[@]}"; do
		kill -0 "$i"
		kill "$i"
		wait "$i" || true
	done
	[ "$(n_requests "$DIR/store-A")" = 8 ]
	[ "$("$sf" members "$DIR/store-A" | wc -l)" = 2 ]
}

@test "the path of a socket may have the sign that a join address has" {
	"$sf" serve "$DIR/store-A" --listen "ipc://$DIR/so#ck"
	address=$(address_of "$DIR/store-A")
	[[ $address == "ipc://$DIR/so#ck#"* ]]
	begin_join b
	[ "$(requests_of "$DIR/store-A" | jq -r .address)" = "ipc://$DIR/so#ck" ]
	"$sf" approve "$DIR/store-A" "$KEY"
	joined b
	"$sf" serve "$DIR/b" --no-peers --peer "ipc://$DIR/so#ck"
	"$sf" import "$DIR/b" - --table t <<<'{"id":1}'
	until_true 10 same_head "$DIR/store-A" "$DIR/b"
	stop_serving "$DIR/b"
	"$sf" serve "$DIR/b" # which remembers it
	"$sf" import "$DIR/b" - --table t <<<'{"id":2}'
	until_true 10 same_head "$DIR/store-A" "$DIR/b"
}

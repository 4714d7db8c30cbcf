#!/usr/bin/env bats
# The entry point of the container, run outside of one with the variables that it reads.

load mounts

entrypoint=$BATS_TEST_DIRNAME/../../contrib/container/entrypoint

# run_peer STORE [VARIABLE=VALUE...] [-- OPTION...]: what a container would run, on loopback and any free port.
run_peer() {
	local store=$1 variables=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	mkdir -p "$DIR/bin"
	ln -sf "$sf" "$DIR/bin/swarmfs"
	env PATH="$DIR/bin:$PATH" DB_PATH="$store" LISTEN_ADDR=127.0.0.1 PORT=0 "${variables[@]}" "$entrypoint" "$@" 2>"$store.err" 3>&- &
	PEER=$!
}
ends_with() {
	local status=0
	wait "$PEER" || status=$?
	[ "$status" = "$1" ]
}
up() { [ "$(pid_of "$1")" = "$2" ]; }
# has_peers STORE URL...: these are what it dials.
has_peers() { [ "$("$sf" peers "$1" --json | jq -r 'select(.inbound | not) | .address' | sort)" = "$(printf '%s\n' "${@:2}" | sort)" ]; }
invite_from() { "$sf" invite "$1" | tail -n 1; }

@test "the first peer makes a database, others join it by ticket or a file with one, and come again without" {
	run_peer "$DIR/a" LOG_LEVEL=debug
	until_true 20 up "$DIR/a" "$PEER"
	[[ $(url_of "$DIR/a") == tcp://127.0.0.1:* ]]
	echo '{"id":1}' | "$sf" import "$DIR/a" --table t -
	run_peer "$DIR/b" INIT_PEER="$(invite_from "$DIR/a")"
	until_true 20 up "$DIR/b" "$PEER"
	local b=$PEER
	until_true 20 same_head "$DIR/a" "$DIR/b"
	invite_from "$DIR/a" >"$DIR/ticket"
	local a
	a=$(url_of "$DIR/a")
	run_peer "$DIR/c" INIT_PEER="$DIR/ticket" BOOTSTRAP_PEERS="$(url_of "$DIR/b"), ${a#tcp://}"
	until_true 20 up "$DIR/c" "$PEER"
	until_true 20 same_head "$DIR/a" "$DIR/c"
	until_true 20 has_peers "$DIR/c" "$a" "$(url_of "$DIR/b")"
	# Its container is made again at the same address, with the ticket that was used.
	local url
	url=$(url_of "$DIR/b")
	kill "$b"
	wait "$b"
	echo '{"id":2}' | "$sf" import "$DIR/a" --table t -
	run_peer "$DIR/b" PORT="${url##*:}" INIT_PEER="$(cat "$DIR/ticket")" BOOTSTRAP_PEERS="$a" -- --advertise tcp://db.example:1
	until_true 20 up "$DIR/b" "$PEER"
	[ "$(url_of "$DIR/b")" = "$url" ]
	until_true 20 same_head "$DIR/a" "$DIR/b"
}

@test "a new database beside peers that are only addresses is made when asked for" {
	run_peer "$DIR/a" BOOTSTRAP_PEERS=127.0.0.1:1
	ends_with 1
	grep "an address alone lets nobody in" "$DIR/a.err"
	run_peer "$DIR/a" INIT_PEER=true BOOTSTRAP_PEERS=127.0.0.1:1
	until_true 20 up "$DIR/a" "$PEER"
	[ "$(count_of "$DIR/a")" = 1 ]
}

@test "wrong values are said, commands are passed on, and IPv6 addresses are put in brackets" {
	run_peer "$DIR/a" LOG_LEVEL=loud
	ends_with 2
	grep "log-level is" "$DIR/a.err"
	[[ $(PATH=$DIR/bin:$PATH "$entrypoint" version) == swarmfs* ]]
	[ -e /proc/net/if_inet6 ] && grep -q lo /proc/net/if_inet6 || skip "no IPv6 here"
	run_peer "$DIR/a" LISTEN_ADDR=::1
	until_true 20 up "$DIR/a" "$PEER"
	[[ $(url_of "$DIR/a") == "tcp://[::1]:"* ]]
}

@test "the Containerfile sets every variable that the entry point reads, and copies what exists" {
	local file=$BATS_TEST_DIRNAME/../../contrib/Containerfile v
	for v in PORT LISTEN_ADDR DB_PATH LOG_LEVEL INIT_PEER BOOTSTRAP_PEERS; do
		grep -q "^ENV.*\b$v=" "$file"
		grep -qE '\{'"$v"'(:|-)' "$entrypoint"
	done
	sed -n 's|^COPY \([^-].*\) .*|\1|p' "$file" | tr ' ' '\n' | while read -r v; do
		[ -e "$BATS_TEST_DIRNAME/../../$v" ]
	done
}

# Neither podman nor docker is needed for that: what is continued is joined, and each instruction looked at.
@test "the Containerfile is made of instructions that there are, and its commands are shell" {
	local file=$BATS_TEST_DIRNAME/../../contrib/Containerfile word rest
	sed -e '/^#/d' -e ':a;/\\$/{N;s/\\\n */ /;ba}' "$file" >"$DIR/joined"
	[ "$(head -n 1 "$DIR/joined" | cut -d ' ' -f 1)" = FROM ]
	while read -r word rest; do
		case $word in
		"") ;;
		FROM) [[ $rest =~ ^[a-z]+:[a-z0-9.-]+(\ AS\ [a-z]+)?$ ]] ;;
		RUN) printf '#!/bin/sh\n%s\n' "$rest" >>"$DIR/commands" && sh -n "$DIR/commands" ;;
		ENTRYPOINT) jq -e 'length > 0 and all(type == "string")' <<<"$rest" ;;
		EXPOSE) [[ $rest =~ ^[0-9]+$ ]] ;;
		HEALTHCHECK) [[ $rest =~ ^CMD\ swarmfs\  ]] ;;
		COPY | ENV | USER | VOLUME | WORKDIR) [ -n "$rest" ] ;;
		*) echo "no instruction: $word" && false ;;
		esac || { echo "$word $rest"; false; }
	done <"$DIR/joined"
	! command -v shellcheck >/dev/null || shellcheck -s sh -e SC2148,SC2164 "$DIR/commands"
}

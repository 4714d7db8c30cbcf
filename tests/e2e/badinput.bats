#!/usr/bin/env bats
# Bad input, at every command that `swarmfs --help` lists: one sentence with the cause and the remedy, exit 1 or 2.

load mounts
sf=${SWARMFS:?names the binary}

commands() { "$sf" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }

# What the usage line asks for, without what is in brackets: "TARGET COMMIT". Looked up once: it is asked for at every call.
setup_file() {
	local c
	for c in $(commands); do
		echo "$c $("$sf" "$c" --help | sed -n "1s/^Usage: swarmfs $c//p" | sed "s/, or .*//; s/ -- / /" | sed ':a; s/\[[^][]*\]\(\.\.\.\)\?//g; ta')"
	done >"$BATS_FILE_TMPDIR/operands"
}
operands_of() {
	local c words
	while read -r c words; do
		[ "$c" != "$1" ] || echo "$words"
	done <"$BATS_FILE_TMPDIR/operands"
}

# call COMMAND STORE: argv becomes that command about that store, with good arguments otherwise.
call() {
	local word words
	argv=("$sf" "$1")
	read -ra words <<<"$(operands_of "$1")"
	for word in "${words[@]}"; do
		case $word in
		TARGET | STORE) argv+=("$2") ;;
		MOUNTPOINT) argv+=("$A" --store "$2") ;;
		TICKET) argv+=("$ticket") ;;
		ADDRESS) argv+=("$address") ;;
		FILE*) argv+=("$DIR/rows.jsonl") ;;
		COMMIT | A) argv+=(HEAD) ;;
		QUERY*) argv+=("SELECT 1") ;;
		KEY) argv+=("$(printf '%064d' 1)") ;;
		*) argv+=("$word") ;;
		esac
	done
	[ "$1" != init ] || argv+=("$2")
}

needs_store() { [ "$1" = init ] || [[ $(operands_of "$1") =~ TARGET|STORE|MOUNTPOINT ]]; }
creates() { [[ " mount init clone join serve " == *" $1 "* ]]; }
# A command about a process that serves, or a mount, does not look at the store itself, nor does one that makes one.
is_about_others() { [[ " umount invite txn watch init clone join " == *" $1 "* ]]; }
store_commands() { for c in $(commands); do ! needs_store "$c" || echo "$c"; done; }

# is_sentence TEXT: one line, the cause, and what to do about it.
is_sentence() {
	[ "$(wc -l <<<"$1")" = 1 ]
	[[ $1 =~ ^swarmfs:\ .*[\;:,]\ .*[a-z\'\"\)0-9]$ ]]
	[[ $1 != *Sanitizer* ]]
}

# call_each STORE COMMAND...: $DIR/out.COMMAND has what each said of that store, $DIR/rc.COMMAND its exit code.
call_each() {
	local store=$1 c argv pids=()
	shift
	for c; do
		call "$c" "$store"
		(timeout 60 "${argv[@]}" >"$DIR/out.$c" 2>&1 && echo 0 >"$DIR/rc.$c" || echo $? >"$DIR/rc.$c") &
		# One after the other, since each may find the store in use by another.
		[ -n "$at_once" ] || wait $!
		pids+=($!)
	done
	[ -z "$at_once" ] || wait "${pids[@]}"
}

# [at_once=1] each_fails PATTERN STORE COMMAND...: each of them with that store; at_once where each waits a while.
each_fails() {
	local pattern=$1 store=$2 c at_once=${at_once:-}
	shift 2
	call_each "$store" "$@"
	for c; do
		echo "swarmfs $c on $store -> $(cat "$DIR/rc.$c"): $(cat "$DIR/out.$c")"
		[ "$(cat "$DIR/rc.$c")" = 1 ]
		# Before it an import says how far it came, and the store that it is running out of room.
		is_sentence "$(grep -v -e ' before it failed$' -e '^swarmfs: warning: .* make room soon$' "$DIR/out.$c")"
		grep -qE "$pattern" "$DIR/out.$c"
	done
	not_mounted "$A"
}

# A good store to spoil, input for import, and a ticket of a peer that is there.
setup_good() {
	"$sf" init "$DIR/good" >/dev/null
	echo '{"id":1}' >"$DIR/rows.jsonl"
	"$sf" import "$DIR/good" "$DIR/rows.jsonl"
	"$sf" serve "$DIR/inviting" --listen tcp://127.0.0.1:0
	ticket=$("$sf" invite "$DIR/inviting" | tail -n 1)
	address=$("$sf" approve "$DIR/inviting" | sed -n 's/.* join \(.*\) STORE$/\1/p')
}

@test "usage: unknown options, too few and too many words, options without their value" {
	local c words option
	[ "$(commands | wc -l)" -ge 15 ]
	for c in $(commands); do
		read -ra words <<<"$(operands_of "$c")"
		run "$sf" "$c" --no-such-option "${words[@]}"
		echo "$c: $output"
		[ "$status" = 2 ]
		[[ ${lines[0]} == *"'--no-such-option'"* && $output == *"Try 'swarmfs $c --help'."* ]]
		if [ "${#words[@]}" -gt 0 ]; then
			run "$sf" "$c"
			[ "$status" = 2 ]
			[[ ${lines[0]} == *"needs ${#words[@]} argument"* ]]
		fi
		if ! [[ $("$sf" "$c" --help | head -n 1) == *... ]]; then
			run "$sf" "$c" 1 2 3 4 5 6 7 8 9
			[ "$status" = 2 ]
			[[ ${lines[0]} == *"one too many"* ]]
		fi
		for option in $("$sf" "$c" --help | sed -n 's/^  .*\(--[a-z-]*\) [A-Z].*  .*/\1/p'); do
			run "$sf" "$c" "${words[@]}" "$option"
			[ "$status" = 2 ]
			[[ ${lines[0]} == *"$option needs a value"* ]]
		done
	done
}

@test "the help names every option that takes a value" {
	# What the loop above looks at is not empty.
	"$sf" mount --help | sed -n 's/^  .*\(--[a-z-]*\) [A-Z].*  .*/\1/p' | grep -qx -e --store
	"$sf" invite --help | sed -n 's/^  .*\(--[a-z-]*\) [A-Z].*  .*/\1/p' | grep -qx -e --expires
}

@test "a store that is missing, a file, or a directory of something else" {
	require_fuse
	setup_good
	local c users=()
	for c in $(store_commands); do
		creates "$c" || users+=("$c")
	done
	each_fails "none.* does not exist.*swarmfs init" "$DIR/none" "${users[@]}"
	[ ! -e "$DIR/none" ]
	mapfile -t all < <(store_commands)
	each_fails "rows.jsonl is not a directory" "$DIR/rows.jsonl" "${all[@]}"
	mkdir "$DIR/other"
	echo x >"$DIR/other/file"
	each_fails "swarmfs init|empty or a new directory" "$DIR/other" "${all[@]}"
	[ "$(ls -A "$DIR/other")" = file ]
}

@test "a store of a future format, damaged, half made, or without its key" {
	require_fuse
	setup_good
	local c all=() bad
	for c in $(store_commands); do
		is_about_others "$c" || all+=("$c")
	done
	for bad in future damaged cut empty lost open; do cp -r "$DIR/good" "$DIR/$bad"; done
	LC_ALL=C sed -i 's/format\x01/format\x63/' "$DIR/future/data.mdb"
	each_fails "format 99.* up to 1; use a newer swarmfs" "$DIR/future" "${all[@]}"
	head -c 8192 /dev/urandom >"$DIR/damaged/data.mdb"
	each_fails "data.mdb is damaged.*backup.*clone" "$DIR/damaged" "${all[@]}"
	truncate -s 100 "$DIR/cut/data.mdb"
	each_fails "data.mdb is damaged.*backup.*clone" "$DIR/cut" "${all[@]}"
	: >"$DIR/empty/data.mdb"
	each_fails "making was interrupted.*remove it" "$DIR/empty" "${all[@]}" init clone
	rm "$DIR/lost/key"
	each_fails "lost/key is missing; restore it" "$DIR/lost" "${all[@]}"
	chmod 640 "$DIR/open/key"
	each_fails "open/key can be read by others.*chmod 600" "$DIR/open" "${all[@]}"
	each_fails "holds a store already|no process serves|is not mounted|format 99" "$DIR/future" umount invite txn watch init clone join
}

@test "a key, and a store, that this user may not read" {
	[ "$(id -u)" = 0 ] || skip "only root can be somebody else"
	dir_for_others
	"$sf" init "$DIR/s" >/dev/null
	run "${NOBODY[@]}" "$sf" log "$DIR/s"
	echo "$output"
	[ "$status" = 1 ]
	is_sentence "$output"
	[[ $output == *"$DIR/s"*ermission* ]]
	chown -R 65534 "$DIR/s"
	"${NOBODY[@]}" "$sf" log "$DIR/s"
	chown 0 "$DIR/s/key"
	run "${NOBODY[@]}" "$sf" log "$DIR/s"
	echo "$output"
	[ "$status" = 1 ]
	is_sentence "$output"
	[[ $output == *"$DIR/s/key"*ermission* ]]
}

@test "a store that another process has" {
	require_fuse
	setup_good
	# Somebody who holds it and answers nobody.
	(exec 3>&- 9<>"$DIR/good/lock" && flock 9 && exec sleep 100) &
	local holder=$! all c
	until_true 5 bash -c "! flock -n '$DIR/good/lock' true"
	mapfile -t all < <(for c in $(store_commands); do is_about_others "$c" || echo "$c"; done)
	at_once=1 each_fails "in use by process" "$DIR/good" "${all[@]}"
	at_once=1 each_fails "in use by process|no process answers|no process serves|is not mounted|holds a store already" "$DIR/good" umount invite txn watch init clone join
	kill "$holder"
	wait "$holder" || true
	# Somebody who serves it: it is used through that, or refused with the process's number.
	"$sf" serve "$DIR/good" --listen tcp://127.0.0.1:0
	local pid
	pid=$(pid_of "$DIR/good")
	each_fails "in use by process $pid|holds a store already" "$DIR/good" mount serve init clone join
	for c in invite approve status peers log show diff commit import export sql verify gc; do
		call "$c" "$DIR/good"
		"${argv[@]}"
	done
}

@test "a stale mount point: commands work on its store, mount and umount clear it" {
	require_fuse
	setup_good
	mount_a
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	local c argv pid
	pid=$(pid_of "$A")
	kill -9 "$pid"
	until_true 10 ends "$pid"
	for c in status peers log show diff commit import export sql verify gc; do
		call "$c" "$A"
		"${argv[@]}"
	done
	run "$sf" invite "$A"
	is_sentence "$output"
	"$sf" umount "$A"
	not_mounted "$A"
	mount_a
	[ "$(cat "$A/t/r")" = 1 ]
	pid=$(pid_of "$A")
	kill -9 "$pid"
	until_true 10 ends "$pid"
	mount_a
	[ "$(cat "$A/t/r")" = 1 ]
	[ "$(grep -c " $A fuse" /proc/self/mounts)" = 1 ]
}

@test "output that cannot be written is a failure of every command that has some" {
	setup_good
	"$sf" serve "$DIR/good" --listen tcp://127.0.0.1:0
	local c argv n=0 pid
	pid=$(pid_of "$DIR/good")
	for c in $(commands); do
		! [[ " mount umount serve clone init watch " == *" $c "* ]] || continue
		call "$c" "$DIR/good"
		[ -n "$("${argv[@]}")" ] || continue
		run bash -c '"$@" >/dev/full' bash "${argv[@]}"
		echo "$c: $output"
		[ "$status" = 1 ]
		is_sentence "$output"
		[[ $output == *"No space left"* ]]
		n=$((n + 1))
	done
	[ "$n" -ge 8 ]
}

@test "a full disk under each command that writes" {
	[ "$(id -u)" = 0 ] || skip "only root can make a small file system"
	require_fuse
	setup_good
	mkdir "$DIR/small"
	mount -t tmpfs -o size=16m tmpfs "$DIR/small"
	"$sf" init "$DIR/small/s" >/dev/null
	"$sf" import "$DIR/small/s" "$DIR/rows.jsonl"
	head -c 20000000 /dev/zero >"$DIR/small/filler" 2>/dev/null || true
	local c argv
	each_fails "[Nn]o space" "$DIR/small/new" init serve mount clone
	for c in status peers log show diff export sql verify; do
		call "$c" "$DIR/small/s"
		"${argv[@]}"
	done
	for i in $(seq 10000); do echo "{\"id\":$i}"; done >"$DIR/rows.jsonl"
	each_fails "[Nn]o space" "$DIR/small/s" import
	run "$sf" sql "$DIR/small/s" --write "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 10000)
		INSERT INTO rows(_key, _bytes) SELECT x, randomblob(500) FROM c"
	echo "$output"
	[ "$status" = 1 ]
	is_sentence "$output"
	[[ $output == *o\ space*"nothing was changed" ]]
	"$sf" verify "$DIR/small/s"
	rm "$DIR/small/filler"
	"$sf" import "$DIR/small/s" "$DIR/rows.jsonl"
	"$sf" verify "$DIR/small/s"
}

#!/usr/bin/env bats
# Import: what goes in comes out byte for byte, what is there already makes no commit, and what fails says where.

load mounts
sf=${SWARMFS:?names the binary}

commits() { "$sf" status "$1" --json | jq .head.count; }
row() { "$sf" show "$1" HEAD "$2"; }

setup_store() { "$sf" init "$DIR/s" >/dev/null; }

@test "JSON, JSON Lines and CSV become the same rows" {
	setup_store
	printf '[{"id": 1, "name": "a"},\n {"id": 2, "name": "b\\u00e4"}]' >"$DIR/j.json"
	printf '{"id": 1, "name": "a"}\n\n{"id": 2, "name": "b\\u00e4"}\n' >"$DIR/l.jsonl"
	printf 'id,name\n1,a\n2,"b,""x"\n' >"$DIR/c.csv"
	[ "$("$sf" import "$DIR/s" "$DIR/j.json")" = "imported 2 rows into j (0 unchanged)" ]
	"$sf" import "$DIR/s" "$DIR/l.jsonl"
	"$sf" import "$DIR/s" "$DIR/c.csv"
	[ "$(row "$DIR/s" j/1.json)" = '{"id": 1, "name": "a"}' ]
	cmp <(row "$DIR/s" j/2.json) <(row "$DIR/s" l/2.json)
	[ "$(row "$DIR/s" c/2.json)" = '{"id":"2","name":"b,\"x"}' ]
	"$sf" verify "$DIR/s"
}

@test "a second import of the same makes no commit, one changed row makes one of one row" {
	setup_store
	for i in $(seq 500); do echo "{\"id\":$i,\"v\":$((i * i))}"; done >"$DIR/r.jsonl"
	"$sf" import "$DIR/s" --table t "$DIR/r.jsonl"
	local n
	n=$(commits "$DIR/s")
	[ "$("$sf" import "$DIR/s" --table t "$DIR/r.jsonl")" = "imported 0 rows into t (500 unchanged)" ]
	[ "$(commits "$DIR/s")" = "$n" ]
	sed -i 's/"v":1764}/"v":42}/' "$DIR/r.jsonl"
	[ "$("$sf" import "$DIR/s" --table t "$DIR/r.jsonl")" = "imported 1 row into t (499 unchanged)" ]
	[ "$(commits "$DIR/s")" = $((n + 1)) ]
	[ "$("$sf" log "$DIR/s" --json -n 1 | jq .rows)" = 1 ]
	[ "$("$sf" diff "$DIR/s" HEAD --json | jq -c .columns)" = '{"v":{"before":1764,"after":42}}' ]
}

@test "names come from the key columns, or are numbers" {
	setup_store
	printf '{"a":"x","b":1}\n{"a":"x","b":2}\n' >"$DIR/r.jsonl"
	"$sf" import "$DIR/s" --table joined --key a --key b "$DIR/r.jsonl"
	row "$DIR/s" joined/x-1.json
	"$sf" import "$DIR/s" --table numbered "$DIR/r.jsonl"
	row "$DIR/s" numbered/00000002.json
	run "$sf" import "$DIR/s" --table t --key a "$DIR/r.jsonl"
	[ "$status" = 1 ]
	[[ $output == *r.jsonl*2*x* ]]
	run "$sf" import "$DIR/s" --table t --key c "$DIR/r.jsonl"
	[ "$status" = 1 ]
	[[ $output == *'"c"'* ]] || [[ $output == *"'c'"* ]]
	run "$sf" import "$DIR/s" --key a --number "$DIR/r.jsonl"
	[ "$status" = 2 ]
	run "$sf" import "$DIR/s" --format xml "$DIR/r.jsonl"
	[ "$status" = 2 ]
}

@test "standard input, several files, and the same table twice" {
	setup_store
	printf '{"id":1}\n' | "$sf" import "$DIR/s" --table t -
	run "$sf" import "$DIR/s" - <<<'{"id":1}'
	[ "$status" = 1 ]
	[[ $output == *--table* ]]
	printf '{"id":1,"n":1}\n{"id":2,"n":1}\n' >"$DIR/one.jsonl"
	printf '{"id":1,"n":2}\n' >"$DIR/two.jsonl"
	run "$sf" import "$DIR/s" --table t "$DIR/one.jsonl" "$DIR/two.jsonl"
	[ "$status" = 0 ]
	[ "$output" = "imported 3 rows into t (0 unchanged)" ]
	[ "$(row "$DIR/s" t/1.json)" = '{"id":1,"n":2}' ]
}

@test "a directory keeps bytes, mode and mtime" {
	setup_store
	mkdir -p "$DIR/d/one" "$DIR/d/two" "$DIR/d/none"
	head -c 300000 /dev/urandom >"$DIR/d/one/big.bin"
	: >"$DIR/d/one/empty"
	echo hello >"$DIR/d/two/.dotfile"
	chmod 600 "$DIR/d/two/.dotfile"
	touch -d 2001-02-03T04:05:06.789Z "$DIR/d/two/.dotfile"
	"$sf" import "$DIR/s" "$DIR/d"
	cmp <(row "$DIR/s" one/big.bin) "$DIR/d/one/big.bin"
	[ -z "$(row "$DIR/s" one/empty)" ]
	"$sf" diff "$DIR/s" HEAD | grep -x "A none/"
	"$sf" diff "$DIR/s" HEAD --json | jq -e 'select(.row == ".dotfile") | .mode_after == "0600"
		and .mtime_ns_after == 981173106789000000'
	local n
	n=$(commits "$DIR/s")
	"$sf" import "$DIR/s" "$DIR/d" | grep "0 rows into one (2 unchanged)"
	chmod 644 "$DIR/d/two/.dotfile"
	"$sf" import "$DIR/s" "$DIR/d"
	[ "$(commits "$DIR/s")" = $((n + 1)) ]
	"$sf" diff "$DIR/s" HEAD | grep -x "T two/.dotfile mode 600 -> 644"
}

@test "through a process that serves the store: rows stream to it" {
	"$sf" serve "$DIR/s"
	local pid
	pid=$(pid_of "$DIR/s")
	seq 25000 | sed 's/.*/{"id":&}/' >"$DIR/r.jsonl"
	[ "$("$sf" import "$DIR/s" --table t "$DIR/r.jsonl")" = "imported 25000 rows into t (0 unchanged)" ]
	head -c 3000000 /dev/urandom | base64 -w0 >"$DIR/big"
	printf '{"id":"big","v":"%s"}\n' "$(cat "$DIR/big")" >"$DIR/big.jsonl"
	"$sf" import "$DIR/s" --table t "$DIR/big.jsonl"
	[ "$(row "$DIR/s" t/big.json | sha256sum)" = "$(sha256sum <"$DIR/big.jsonl")" ]
	# A bad line late in the input: what was committed stays, and it is said how much that is.
	sed '20001s/.*/{"id":/' "$DIR/r.jsonl" >"$DIR/bad.jsonl"
	run "$sf" import "$DIR/s" --table u "$DIR/bad.jsonl"
	[ "$status" = 1 ]
	[[ $output == *"before it failed"* ]]
	[[ $output == *"bad.jsonl"*20001* ]]
	kill "$pid"
	until_true 10 ends "$pid"
	"$sf" verify "$DIR/s"
}

@test "what is imported beside a mount shows in it, and pending writes are not lost" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	echo written >"$A/t/pending"
	printf '{"id":1}\n' | "$sf" import "$A" --table t -
	[ "$(cat "$A/t/1.json")" = '{"id":1}' ]
	[ "$(cat "$A/t/pending")" = written ]
	printf '{"id":1,"n":2}\n' | "$sf" import "$A" --table t -
	[ "$(cat "$A/t/1.json")" = '{"id":1,"n":2}' ]
	[ "$(row "$A" t/pending)" = written ]
}

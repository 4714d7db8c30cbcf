#!/usr/bin/env bats
# .swarm/metrics: in the format that Prometheus reads, and true.

load mounts

# metric MOUNT NAME: its value, or those of all peers.
metric() {
	python3 - "$1/.swarm/metrics" "swarmfs_$2" <<'PY'
import re, sys
name = re.compile(r'(swarmfs_[a-z_]+)(\{key="[0-9a-f]*",address="(?:[^"\\\n]|\\["\\])*"\})? (-?[0-9.e+-]+)')
kinds, seen = {}, {}
for line in open(sys.argv[1], encoding="ascii"):
    if line.startswith("# TYPE "):
        _, _, which, kind = line.split()
        assert which not in kinds and kind in ("counter", "gauge"), line
        assert (kind == "counter") == which.endswith("_total"), line
        kinds[which] = kind
    elif not line.startswith("# HELP "):
        m = name.fullmatch(line.rstrip("\n"))
        assert m, line
        assert m[1] in kinds, f"no type before: {line}"
        assert m[1] + (m[2] or "") not in seen, f"twice: {line}"
        seen[m[1] + (m[2] or "")] = float(m[3])
print(*[v for k, v in seen.items() if k.split("{")[0] == sys.argv[2]])
PY
}

@test "what status says is there as numbers, and each peer" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo 1 >"$A/t/r"
	"$sf" commit "$A" -m one
	[ "$(metric "$A" commits)" = "$(count_of "$A").0" ]
	[ "$(metric "$A" connected_peers)" = 0.0 ]
	[ -z "$(metric "$A" peer_up)" ]
	mount_b
	until_same "$A" "$B"
	in_sync() { [ "$(metric "$1" peer_in_sync)" = 1.0 ]; }
	until_true 20 in_sync "$A"
	until_true 20 in_sync "$B"
	[ "$(metric "$B" peer_up)" = 1.0 ]
	"$sf" status "$B" --json | jq -e '.pid and .head.count and .head.line and .head.root and
		(.peers[0] | .key and .state == "in-sync" and .lag_commits == 0 and .lag_ms == 0)'
	[ "$(metric "$B" commits)" = "$(count_of "$A").0" ]
	[ "$(metric "$B" received_commits_total)" = "$(count_of "$A").0" ]
	grep -q "^swarmfs_peer_up{key=\"[0-9a-f]*\",address=\"tcp://127.0.0.1:[0-9]*\"} 1$" "$B/.swarm/metrics"
	"$sf" umount "$A"
	is_down() { [ "$(metric "$B" peer_up)" = 0.0 ]; }
	until_true 20 is_down
	python3 -c "assert $(metric "$B" peer_errors_total) > 0"
}

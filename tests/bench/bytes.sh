#!/bin/bash
# usage: bytes.sh [--n N] [--rows K] [--git-commits G] [--no-peer]
#
# Bytes per single-row commit of 100 bytes in a table of many rows: growth of the store, bytes
# that the process had the disk write, and bytes between two peers. The file of the store does
# not grow while freed pages are used again, so what counts is the pages in use, as mdb_stat of
# lmdb-utils sees them. Beside it, in the same run: git (one file among 10,000 per commit) and SQLite in WAL mode with synchronous=FULL.
#
#   --n N            commits (2000)
#   --rows K         rows in the table (100000)
#   --git-commits G  commits for git, which is slow (10)
#   --no-peer        one mount only, no bytes on the wire
set -euo pipefail
# shellcheck source=tests/bench/lib.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

n=2000 rows=100000 git_commits=10 with_peer=1
while (($#)); do
	case $1 in
	--n | --rows | --git-commits)
		need_number "$1" "${2:-}"
		name=${1#--}
		declare "${name//-/_}=$2"
		shift
		;;
	--no-peer) with_peer=0 ;;
	-h | --help) print_help && exit 0 ;;
	*) usage_error "unknown option $1" ;;
	esac
	shift
done

need_tools jq fusermount3 git sqlite3 mdb_stat
need_swarmfs
bench_begin bench_writer
print_context

# sum_of apparent|allocated FILE...: bytes; files that are not there count nothing.
sum_of() {
	local format='%s'

	[[ $1 == apparent ]] || format='%b*512'
	shift
	{ stat -c "$format" -- "$@" 2>/dev/null || true; } |
		awk -F'*' '{ sum += $1 * ($2 ? $2 : 1) } END { printf "%d\n", sum }'
}

# Everything of a store that is neither the database nor its lock: the journal, above all.
other_files() {
	find "$1" -xdev -type f ! -name data.mdb ! -name lock.mdb
}

# Bytes of the pages that are neither free nor beyond what was ever used.
pages_in_use() {
	mdb_stat -n -e -f "$1/data.mdb" | awk -F': ' '
		/Page size/ { size = $2 } /Number of pages used/ { used = $2 } /Free pages/ { free = $2 }
		END { printf "%d\n", (used - free) * size }'
}

# One line: data.mdb apparent, allocated, the rest apparent, allocated.
store_bytes() {
	local others

	mapfile -t others < <(other_files "$1")
	echo "$(sum_of apparent "$1/data.mdb") $(sum_of allocated "$1/data.mdb")" \
		"$(sum_of apparent "${others[@]}") $(sum_of allocated "${others[@]}")"
}

# write_bytes of /proc/PID/io: what the process had the disk write, flushes included.
disk_writes() {
	local pid=${bench_pid_of[$1]:-}

	{ [[ -n $pid ]] && awk '/^write_bytes:/ { print $2 }' "/proc/$pid/io" 2>/dev/null; } || echo 0
}

# Sum over the peers of one counter in status; empty when status does not have it.
wire_bytes() {
	"$SWARMFS" status "$1" --json |
		jq -r "[.peers[]? | .$2 | numbers] | if length > 0 then add else empty end"
}

per_commit() {
	awk -v b=$(($2 - $1)) -v n="$3" 'BEGIN { printf "%.1f", b / n }'
}

line() {
	printf '%-44s %14s\n' "$1" "$2"
}

# ---- swarmfs ----
if ((with_peer)); then
	start_swarmfs "$tmp/a" "$tmp/store" --listen tcp://127.0.0.1:0
else
	start_swarmfs "$tmp/a" "$tmp/store"
fi
"$BENCH_BIN/bench_writer" create "$tmp/a/rows" --rows "$rows" --json >/dev/null
commit_all "$tmp/a"
if ((with_peer)); then
	start_swarmfs "$tmp/b" "$tmp/store-b" --peer "$("$SWARMFS" invite "$tmp/a" | tail -1)"
	wait_until 120 test -e "$tmp/b/rows/$(printf 'r%06d.json' $((rows - 1)))" ||
		die "the peer did not get the table in two minutes"
fi

# Both peers show the same head: what was sent has arrived.
same_head() {
	[[ $("$SWARMFS" status "$tmp/a" --json | jq -c .head) == \
		"$("$SWARMFS" status "$tmp/b" --json | jq -c .head)" ]]
}

snapshot() {
	if ((with_peer)); then
		wait_until 60 same_head || die "the peers did not come to the same head"
	fi
	# The journal's own flush comes within a second; let it be over.
	sleep 1.5
	store_bytes "$tmp/store" >"$tmp/store.$1"
	pages_in_use "$tmp/store" >"$tmp/pages.$1"
	disk_writes "$tmp/a" >"$tmp/disk.$1"
	if ((with_peer)); then
		wire_bytes "$tmp/a" bytes_out >"$tmp/out.$1"
		wire_bytes "$tmp/a" bytes_in >"$tmp/in.$1"
	fi
}

commit_rows() {
	"$BENCH_BIN/bench_writer" commit "$tmp/a/rows" --rows "$rows" --n "$n" --seed "$1" \
		--json >"$tmp/commits.json"
}

# The first commits after a load use up what it left free, so they do not count.
commit_rows 1
snapshot before
commit_rows 2
snapshot after

line "what, per commit of 100 bytes" "bytes"
read -r d0 a0 j0 k0 <"$tmp/store.before"
read -r d1 a1 j1 k1 <"$tmp/store.after"
line "swarmfs data.mdb, pages in use" \
	"$(per_commit "$(cat "$tmp/pages.before")" "$(cat "$tmp/pages.after")" "$n")"
line "swarmfs data.mdb, apparent" "$(per_commit "$d0" "$d1" "$n")"
line "swarmfs data.mdb, allocated" "$(per_commit "$a0" "$a1" "$n")"
line "swarmfs other files (journal), apparent" "$(per_commit "$j0" "$j1" "$n")"
line "swarmfs other files (journal), allocated" "$(per_commit "$k0" "$k1" "$n")"
line "swarmfs written to the disk" \
	"$(per_commit "$(cat "$tmp/disk.before")" "$(cat "$tmp/disk.after")" "$n")"
for way in out in; do
	if ((with_peer)) && [[ -s $tmp/$way.before && -s $tmp/$way.after ]]; then
		line "swarmfs wire, bytes_$way of the writer" \
			"$(per_commit "$(cat "$tmp/$way.before")" "$(cat "$tmp/$way.after")" "$n")"
	else
		line "swarmfs wire, bytes_$way of the writer" "n/a"
	fi
done
line "  (commits per second meanwhile)" "$(jq -r .commits_per_s "$tmp/commits.json")"
if ((with_peer)); then
	stop_mount "$tmp/b"
fi
stop_mount "$tmp/a"

# ---- git: 100 directories of 100 files ----
git_bytes() {
	find "$tmp/git/.git" -type f -printf "$1\n" |
		awk -F'*' '{ sum += $1 * ($2 ? $2 : 1) } END { printf "%d\n", sum }'
}

g() {
	git -C "$tmp/git" -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 \
		-c commit.gpgsign=false -c core.hooksPath=/dev/null "$@"
}

git_commit_rows() {
	local i

	for ((i = 0; i < git_commits; i++)); do
		printf '{"id": %d, "v": "%078d"}\n' "$i" "$i" >"$tmp/git/d$((i % 100))/r$i.json"
		g commit -qam "$i" || return
	done
}

git init -q --template= "$tmp/git"
for ((d = 0; d < 100; d++)); do
	mkdir "$tmp/git/d$d"
done
awk -v dir="$tmp/git" 'BEGIN {
	srand(1)
	for (i = 0; i < 10000; i++) {
		f = dir "/d" i % 100 "/r" i ".json"
		printf "{\"id\": %d, \"v\": \"%.60f%.20f\"}\n", i, rand(), rand() >f
		close(f)
	}
}'
g add -A
g commit -qm load
before=$(git_bytes %s) before_blocks=$(git_bytes '%b*512')
git_seconds=$(seconds_of git_commit_rows)
line "git, apparent" "$(per_commit "$before" "$(git_bytes %s)" "$git_commits")"
line "git, allocated" "$(per_commit "$before_blocks" "$(git_bytes '%b*512')" "$git_commits")"
line "  (commits per second)" "$(ratio "$git_commits" "$git_seconds")"

# ---- SQLite: the log grows, the database does not ----
db=$tmp/sqlite.db
sqlite3 "$db" >/dev/null <<SQL
PRAGMA journal_mode=WAL;
CREATE TABLE rows(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
WITH RECURSIVE i(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM i WHERE x + 1 < $rows)
	INSERT INTO rows SELECT printf('r%06d.json', x), hex(randomblob(45)) FROM i;
PRAGMA wal_checkpoint(TRUNCATE);
SQL
before=$(sum_of apparent "$db")
awk -v n="$n" -v rows="$rows" -v db="$db" 'BEGIN {
	srand(1)
	print "PRAGMA synchronous=FULL;\nPRAGMA wal_autocheckpoint=0;"
	for (i = 0; i < n; i++)
		printf "UPDATE rows SET v = hex(randomblob(45)) WHERE k = \047r%06d.json\047;\n",
			int(rand() * rows)
	print ".shell stat -c %s " db "-wal >" db ".log_bytes"
}' >"$tmp/update.sql"
sqlite_seconds=$(seconds_of sqlite3 "$db" ".read $tmp/update.sql")
line "SQLite WAL, written to the log" "$(per_commit 0 "$(cat "$db.log_bytes")" "$n")"
after=$(sum_of apparent "$db")
line "SQLite WAL, database after checkpoint" "$(per_commit "$before" "$after" "$n")"
line "  (commits per second)" "$(ratio "$n" "$sqlite_seconds")"

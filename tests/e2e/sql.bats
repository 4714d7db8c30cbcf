#!/usr/bin/env bats
# SQL: what SQLite says of the rows, checked against what python's makes of the same ones; it reads one commit, and nothing else.

load mounts
sf=${SWARMFS:?names the binary}

sql() { "$sf" sql "$DIR/s" "$@"; }

threads() { awk '$1 == "Threads:" { print $2 }' "/proc/$1/status"; }
has_threads() { [ "$(threads "$1")" = "$2" ]; }

setup_rows() {
	"$sf" init "$DIR/s" >/dev/null
	printf '%s\n' '{"id":1,"name":"Ada","born":1815,"tags":["a","b"],"x":1.50}' '{"id":2,"name":"Böb","born":null,"ok":true}' \
		'{"id":3,"name":"tab\there","born":9007199254740993,"x":1e400}' >"$DIR/users.jsonl"
	printf '%s\n' '{"id":"Ada","city":"London"}' '{"id":"Böb","city":"Brno"}' >"$DIR/homes.jsonl"
	"$sf" import "$DIR/s" "$DIR/users.jsonl" "$DIR/homes.jsonl" >/dev/null
}

@test "rows are rows, members are columns, and a name is looked up" {
	setup_rows
	[ "$(sql 'SELECT * FROM users WHERE id = 1')" = $'1.json\t1\tAda\t1815\t["a","b"]\t1.5\t' ]
	[ "$(sql 'SELECT name FROM users WHERE born IS NULL')" = Böb ]
	[ "$(sql "SELECT u.name, h.city FROM users u JOIN homes h ON h._key = u.name || '.json' ORDER BY 1")" = $'Ada\tLondon\nBöb\tBrno' ]
	[ "$(sql 'SELECT born, typeof(born), typeof(x), x, ok, typeof(tags) FROM users ORDER BY _key DESC' --csv)" = \
		$'born,typeof(born),typeof(x),x,ok,typeof(tags)\n9007199254740993,integer,real,9e999,,null\n,null,null,,1,null\n1815,integer,real,1.5,,text' ]
	[ "$(sql "SELECT value FROM users, json_each(tags) WHERE _key = '1.json'")" = $'a\nb' ]
	[ "$(sql 'SELECT name FROM swarmfs_tables')" = $'homes\nusers' ]
	[ "$(sql "SELECT name FROM pragma_table_info('homes')" | paste -sd,)" = _key,id,city ]
	[ "$(sql 'PRAGMA table_info(homes)' | wc -l)" = 3 ]
	# The bytes, and what the file system knows, come when they are named.
	cmp <(sql "SELECT _bytes FROM users WHERE _key = '2.json'" --json | jq -j ._bytes) <(sed -n 2p "$DIR/users.jsonl")
	[ "$(sql "SELECT _size, _mode FROM users WHERE _key = '2.json'")" = "$(sed -n 2p "$DIR/users.jsonl" | wc -c)"$'\t420' ]
}

@test "conditions on a name use the tree, and give what a scan gives" {
	"$sf" init "$DIR/s" >/dev/null
	seq 3000 | sed 's/.*/{"id":&,"n":&}/' | "$sf" import "$DIR/s" --table t - >/dev/null
	plan() { sql "EXPLAIN QUERY PLAN $1"; }
	plan "SELECT * FROM t WHERE _key = '7.json'" | grep "INDEX 1:"
	plan "SELECT * FROM t WHERE _key IN ('7.json', '8.json')" | grep "INDEX 1:"
	plan "SELECT * FROM t WHERE _key > '7' AND _key <= '8'" | grep "INDEX 6:"
	plan "SELECT * FROM t WHERE _key = '7.json' COLLATE NOCASE" | grep "INDEX 0:"
	[[ $(plan "SELECT * FROM t ORDER BY _key") != *"TEMP B-TREE"* ]]
	plan "SELECT * FROM t ORDER BY _key DESC" | grep "TEMP B-TREE"
	local where
	# A plus keeps SQLite from using the condition.
	for where in "_key = '7.json'" "_key IN ('7.json', '70.json', 'none')" "_key > '7.json'" "_key >= '7.json'" "_key < '7'" \
		"_key BETWEEN '2' AND '3' AND n > 100" "_key = 7" "_key = x'37'" "_key > x'37'" "_key < x'37'" "_key = NULL" \
		"_key = '7.json' OR _key = '8.json' OR n = 8" "_key > '999.json'" "_key < ''" "_key > '5' AND _key = '1.json'"; do
		echo "$where"
		cmp <(sql "SELECT _key FROM t WHERE $where ORDER BY _key") <(sql "SELECT _key FROM t WHERE ${where//_key/+_key} ORDER BY _key")
	done
	[ "$(sql "SELECT count(*) FROM t WHERE _key > '7.json' AND _key < '8'")" = 110 ]
	# A number is compared as the text that it would be.
	[ "$(sql "SELECT count(*) FROM t WHERE _key < 7")" = "$(sql "SELECT count(*) FROM t WHERE _key < '7'")" ]
	[ "$(sql "SELECT count(*) FROM t a, t b WHERE b._key = a._key")" = 3000 ]
	[ "$(sql "SELECT count(DISTINCT rowid), min(rowid), max(rowid) FROM t")" = $'3000\t0\t2999' ]
}

@test "the same as SQLite says of its own table" {
	"$sf" init "$DIR/s" >/dev/null
	python3 - "$DIR" <<'PY'
import json, random, sqlite3, sys
r = random.Random(2)
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE t(_key TEXT, id, a, b, c)")
values = [None, 0, 1, -5, 2**62, 1.25, 1e300, "", "x", "ä'\"", "10", "line\nend\ttab\\", True]
with open(sys.argv[1] + "/t.jsonl", "w") as f:
    for i in range(500):
        row = {"id": i, "a": r.choice(values), "b": r.choice(values), "c": r.choice(values)}
        f.write(json.dumps(row, ensure_ascii=r.random() < 0.5) + "\n")
        db.execute("INSERT INTO t VALUES(?,?,?,?,?)", (f"{i}.json", *row.values()))
queries = ["SELECT * FROM t ORDER BY id", "SELECT a, count(*), sum(id), max(b) FROM t GROUP BY a ORDER BY a, 2, 3",
           "SELECT x.id, y.id FROM t x JOIN t y ON x.a = y.b WHERE x.c IS NOT NULL AND y.id < 20 ORDER BY 1, 2",
           "SELECT _key FROM t WHERE a > b OR c LIKE 'x%' ORDER BY _key", "SELECT id FROM t WHERE a = '10' AND b <> 10 ORDER BY id DESC LIMIT 7 OFFSET 2",
           "SELECT id, row_number() OVER (PARTITION BY a ORDER BY id) FROM t ORDER BY id"]
with open(sys.argv[1] + "/queries", "w") as f, open(sys.argv[1] + "/answers", "w") as g:
    for q in queries:
        f.write(q + ";\n")
        for row in db.execute(q):
            g.write(json.dumps(row) + "\n")
PY
	"$sf" import "$DIR/s" "$DIR/t.jsonl" >/dev/null
	[ "$(wc -l <"$DIR/answers")" -gt 1000 ]
	sql - --json <"$DIR/queries" | jq -c '[.[]]' >"$DIR/said"
	cmp <(jq -c . "$DIR/answers") "$DIR/said"
	# Through a process that serves, from standard input and as a word.
	"$sf" serve "$DIR/s"
	sql - --json <"$DIR/queries" | jq -c '[.[]]' | cmp - "$DIR/said"
	sql "$(cat "$DIR/queries")" --json | jq -c '[.[]]' | cmp - "$DIR/said"
}

@test "a schema gives columns in its order, with their types, also to an empty table" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir -p "$DIR/d/typed" "$DIR/d/none" "$DIR/d/bad"
	echo 'CREATE TABLE t(key TEXT PRIMARY KEY, age INTEGER, "odd name" REAL, later)' | tee "$DIR/d/typed/.schema" >"$DIR/d/none/.schema"
	echo '{"later":1,"age":5,"odd name":2}' >"$DIR/d/typed/a.json"
	echo '{"key":"b","age":50}' >"$DIR/d/typed/b.json"
	"$sf" import "$DIR/s" "$DIR/d" >/dev/null
	[ "$(sql 'SELECT * FROM none' --csv)" = '_key,key,age,odd name,later' ]
	[ "$(sql "SELECT * FROM typed" --csv)" = $'_key,key,age,odd name,later\na.json,a,5,2,1\nb.json,b,50,,' ]
	# '5' is compared as the number that the column is declared to be.
	[ "$(sql "SELECT _key FROM typed WHERE age = '5'")" = a.json ]
	# The schema itself is no row here.
	[ "$(sql 'SELECT count(*) FROM typed')" = 2 ]
	[ "$(sql 'SELECT * FROM bad' --csv)" = _key ]
}

@test "rows of all kinds are only ever values" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir -p "$DIR/d/t" "$DIR/d/odd \"name'" "$DIR/d/select"
	python3 - "$DIR/d/t" <<'PY'
import json, sys
def put(name, data):
    with open(sys.argv[1].encode() + b"/" + name, "wb") as f:
        f.write(data)
put(b"a.json", json.dumps({'x"); DROP TABLE t; --': 1, "a\"b": 2, "": 3, "nul\0": 4, "Name": 5, "name": 6, "_KEY": 7, "_bytes": 8, "sel ect": 9}).encode())
put(b"b.json", b'{"a":' + b"[" * 60 + b"]" * 60 + b"}")
put(b"c.json", b'{"a":1,"a":2}')
put(b"d.json", b'{"a":"\\u0000\\ud83d\\ude00","n":-0,"big":' + b"9" * 400 + b',"deep":1e-999}')
put(b"e.json", b"\xff\xfe not JSON")
put(b"f", b"\0\1\2\xff")
put(b"g.json", b"")
put(b"h.json", json.dumps({f"c{i}": i for i in range(4000)}).encode())
put(b"i.json", b'{"long":"' + b"x" * 900000 + b'"}')
put(b"j.json", b'{"a":"' + b"y" * 1100000 + b'"}')
put(b"k\xff.json", b'{"a":"key"}')
put(b"l.json", b'{"a":"\\u001b[2J"}')
put(b".schema.json", b"[]")
PY
	echo 'CREATE TABLE broken(' >"$DIR/d/select/schema"
	cp "$DIR/d/t/l.json" "$DIR/d/odd \"name'/l.json"
	"$sf" import "$DIR/s" "$DIR/d" >/dev/null
	[ "$(sql 'SELECT count(*) FROM t')" = 13 ]
	sql 'SELECT * FROM t' --json >"$DIR/out" 2>"$DIR/said"
	[ "$(jq -s length "$DIR/out")" = 13 ]
	grep "columns of t cannot be named" "$DIR/said"
	[ "$(sql 'SELECT "x""); DROP TABLE t; --", "a""b", "sel ect", name FROM t WHERE _key = '"'a.json'" 2>/dev/null)" = $'1\t2\t9\t5' ]
	[ "$(sql "SELECT json_extract(_bytes, '\$.name') FROM t WHERE _key = 'a.json'" 2>/dev/null)" = 6 ]
	[ "$(sql "SELECT typeof(_bytes), hex(_bytes) FROM t WHERE _key = 'f'" 2>/dev/null)" = $'blob\t000102FF' ]
	[ "$(sql "SELECT _bytes FROM t WHERE _key = 'f'" 2>/dev/null)" = "x'000102ff'" ]
	[ "$(sql "SELECT typeof(a) FROM t WHERE _key IN ('c.json', 'j.json')" 2>/dev/null)" = $'null\nnull' ]
	[ "$(sql "SELECT length(_bytes) = _size FROM t WHERE _key = 'j.json'" 2>/dev/null)" = 1 ]
	[ "$(sql "SELECT n, deep, big > 1e300, length(a) FROM t WHERE _key = 'd.json'" 2>/dev/null | cut -f 1-3)" = $'0\t0.0\t1' ]
	[ "$(sql "SELECT count(*) FROM t WHERE a = 'key'" 2>/dev/null)" = 1 ]
	# For people, what a terminal would obey is shown.
	[ "$(sql "SELECT a FROM \"odd \"\"name'\"" --table)" = $'a\n-------\n\\x1b[2J' ]
	[ "$(sql 'SELECT count(*) FROM "select"')" = 1 ]
}

@test "it only reads, opens no files, and says what is wrong" {
	setup_rows
	local q head
	head=$("$sf" status "$DIR/s" --json | jq -c .head)
	for q in "INSERT INTO users VALUES('4.json')" "UPDATE users SET id = 1" "DELETE FROM users" "DROP TABLE users" "CREATE TABLE x(a)" \
		"CREATE TEMP TABLE x(a)" "CREATE VIEW v AS SELECT 1" "ATTACH '$DIR/file' AS f" "VACUUM INTO '$DIR/file'" "BEGIN" \
		"PRAGMA journal_mode = WAL" "PRAGMA temp_store_directory = '$DIR'" "SELECT load_extension('$DIR/x')" \
		"CREATE VIRTUAL TABLE v USING fts5(a)" "DELETE FROM swarmfs_tables" "INSERT INTO sqlite_schema VALUES(1,2,3,4,5)" \
		"SELECT 1; DELETE FROM users"; do
		run sql "$q"
		echo "$q: $output"
		[ "$status" = 1 ]
		[[ $output == *"only reads"*"swarmfs txn"* ]]
	done
	[ ! -e "$DIR/file" ]
	[ "$("$sf" status "$DIR/s" --json | jq -c .head)" = "$head" ]
	run sql "SELECT * FROM nobody"
	[ "$status" = 1 ]
	[[ $output == *"no such table: nobody"*swarmfs_tables* ]]
	run sql "SELECT * FROM users WHERE name = \"Ada\""
	[ "$status" = 1 ]
	[[ $output == *"no such column: Ada"*"single quotes"* ]]
	run sql "SELEC 1"
	[ "$status" = 1 ]
	[[ $output == *'near "SELEC": syntax error' ]]
	run sql "SELECT 1" --json --csv
	[ "$status" = 2 ]
	run sql "SELECT 1" --at nowhere
	[ "$status" = 1 ]
	[ -z "$(sql '')" ]
	run sql - < <(printf 'SELECT 1\0')
	[ "$status" = 1 ]
	[[ $output == *"NUL"* ]]
	run sql - < <(head -c 2000000 /dev/zero | tr '\0' ' ')
	[ "$status" = 1 ]
	[[ $output == *"1024 KiB"* ]]
}

@test "tables whose names SQL does not tell apart are refused, the others are there" {
	"$sf" init "$DIR/s" >/dev/null
	local t
	for t in users Users other json_each; do echo '{"id":1}' | "$sf" import "$DIR/s" --table "$t" - >/dev/null; done
	run sql "SELECT * FROM users"
	[ "$status" = 1 ]
	[[ $output == *"users and Users differ only in case"* ]] || [[ $output == *"Users and users differ only in case"* ]]
	[ "$(sql "SELECT id FROM other")" = 1 ]
	[ "$(sql "SELECT id FROM json_each")" = 1 ]
	[ "$(sql "SELECT count(*) FROM swarmfs_tables")" = 4 ]
}

@test "forms of output: on a terminal, tabs, CSV, JSON" {
	setup_rows
	on_a_terminal() { script -qec "$*" /dev/null </dev/null 3>&- | tr -d '\r'; }
	[ "$(on_a_terminal "$sf sql $DIR/s 'SELECT id, name FROM homes, (SELECT 12345 AS name)'")" = $'id   name\n---  -----\nAda  12345\nBöb  12345' ]
	[ "$(sql 'SELECT id, born FROM users WHERE id < 3' --table)" = $'id  born\n--  ----\n 1  1815\n 2  NULL' ]
	[ "$(sql 'SELECT name FROM users WHERE id = 3')" = 'tab\there' ]
	[ "$(sql "SELECT 'a' || char(9, 10, 13, 92)")" = $'a\\t\\n\\r\\\\' ]
	[ "$(sql "SELECT 1 AS a, 2 AS a, x'00ff' AS b, NULL AS c, 'q\"' AS d, 1e999 AS e, 0.1 AS f, 3.0 AS g" --json)" = \
		'{"a":1,"a:1":2,"b":{"base64":"AP8="},"c":null,"d":"q\"","e":9e999,"f":0.1,"g":3.0}' ]
	[ "$(sql "SELECT 'a,b' AS \"x,y\", NULL AS n, 'line' || char(10) || 'end' AS l" --csv)" = $'"x,y",n,l\n"a,b",,"line\nend"' ]
	# More rows than say how wide the columns are.
	[ "$(sql 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1500) SELECT x FROM c' --table | wc -l)" = 1502 ]
	run bash -c '"$@" >/dev/full' bash "$sf" sql "$DIR/s" "SELECT * FROM users"
	[ "$status" = 1 ]
	[[ $output == *"No space left"* ]]
}

@test "a commit by its name, one moment for all statements, and who goes away ends the query" {
	setup_rows
	"$sf" tag "$DIR/s" before
	echo '{"id":1,"name":"Eve"}' | "$sf" import "$DIR/s" --table users - >/dev/null
	[ "$(sql "SELECT name FROM users WHERE id = 1" --at before)" = Ada ]
	[ "$(sql "SELECT name FROM users WHERE id = 1")" = Eve ]
	"$sf" serve "$DIR/s"
	local idle
	idle=$(threads "$(pid_of "$DIR/s")")
	# It would not end by itself; its reader leaves.
	sql 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c' 2>"$DIR/said" | head -n 2 | tail -n 1 | grep -x 2
	[ ! -s "$DIR/said" ]
	until_true 10 has_threads "$(pid_of "$DIR/s")" "$idle"
	# And one that writes nothing: its process is ended, and so is the thread that it had.
	local p pid n
	pid=$(pid_of "$DIR/s")
	n=$(threads "$pid")
	"$sf" sql "$DIR/s" 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c' >/dev/null 2>&1 3>&- &
	p=$!
	until_true 10 has_threads "$pid" $((n + 1))
	kill "$p"
	wait "$p" || true
	until_true 10 has_threads "$pid" "$n"
	stop_serving "$DIR/s"
	"$sf" verify "$DIR/s" >/dev/null
}

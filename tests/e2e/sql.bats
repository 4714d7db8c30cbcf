#!/usr/bin/env bats
# SQL: what SQLite says of the rows, checked against what python's makes of the same ones; it reads one commit, and with --write makes the next.

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
		[[ $output == *"only reads without --write"*"swarmfs txn"* ]]
		# With --write rows of tables are written, and nothing else.
		[[ $q == *" users"* && $q != DROP* ]] && continue
		run sql --write "$q"
		[ "$status" = 1 ]
		[[ $output == *"takes SELECT, INSERT, UPDATE and DELETE"*"nothing was changed" ]]
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

bytes_of() { sql "SELECT _bytes FROM $1 WHERE _key = '$2'" --json | jq -j ._bytes; }
head_of() { "$sf" status "$1" --json | jq -c .head; }
refused() { # pattern, statements: they change nothing, and say why
	local pattern=$1 before
	shift
	before=$(head_of "$DIR/s")
	run sql --write "$@"
	echo "$*: $output"
	[ "$status" = 1 ]
	[[ $output == *$pattern*"; nothing was changed" ]]
	[ "$(head_of "$DIR/s")" = "$before" ]
}

@test "writing: columns that become others are written, all other bytes stay" {
	"$sf" init "$DIR/s" >/dev/null
	mkdir -p "$DIR/d/t"
	printf '{ "id" : 1,\n  "name": "Ada" ,\n  "x": 1.50, "tags": [ "a" ], "ok": true, "no": null\n}\n\n' >"$DIR/d/t/1.json"
	printf '\0\1' >"$DIR/d/t/raw"
	"$sf" import "$DIR/s" "$DIR/d" >/dev/null
	sql --write -m 'one more' "UPDATE t SET name = 'Eve \"', x = 1.5, ok = 0, tags = '[ \"a\" ]', no = NULL WHERE id = 1" >"$DIR/said"
	cmp <(bytes_of t 1.json) <(printf '{ "id" : 1,\n  "name": "Eve \\"" ,\n  "x": 1.50, "tags": [ "a" ], "ok": false, "no": null\n}\n\n')
	# The last row tells what was done; the commit is there, and says so.
	[ "$(cut -f 1-3 "$DIR/said")" = $'0\t1\t0' ]
	[ "$("$sf" log "$DIR/s" --json | jq -r 'select(.message == "one more").id')" = "$(cut -f 4 "$DIR/said")" ]
	# Numbers, arrays, strings that only look like some, NULL; and what the row did not have.
	sql --write "UPDATE t SET x = 2, tags = '{\"b\":1}', name = '[not json', no = 9007199254740993 WHERE _key = '1.json'" >/dev/null
	cmp <(bytes_of t 1.json) <(printf '{ "id" : 1,\n  "name": "[not json" ,\n  "x": 2, "tags": {"b":1}, "ok": false, "no": 9007199254740993\n}\n\n')
	sql --write "UPDATE t SET x = NULL, tags = 0.1, name = 'b' || char(9), no = 3.0 WHERE _key = '1.json'" >/dev/null
	cmp <(bytes_of t 1.json) <(printf '{ "id" : 1,\n  "name": "b\\t" ,\n  "x": null, "tags": 0.1, "ok": false, "no": 3.0\n}\n\n')
	# What leaves a row as it is makes no commit, also when it comes with other rows' values.
	[ "$(sql --write "UPDATE t SET x = NULL, id = 1 WHERE id = 1")" = $'0\t0\t0\t' ]
	[ "$(sql --write "UPDATE t SET name = u.name, no = u.no FROM t u WHERE u._key = t._key AND t.id = 1; UPDATE t SET id = 5 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 5")" = $'0\t0\t0\t' ]
	# Bytes as they are, of any row.
	sql --write "UPDATE t SET _bytes = x'ff00' WHERE _key = 'raw'; UPDATE t SET _bytes = json_set(_bytes, '\$.id', 7) WHERE id = 1" >/dev/null
	[ "$(sql "SELECT hex(_bytes) FROM t WHERE _key = 'raw'; SELECT id FROM t WHERE _key = '1.json'")" = $'FF00\n7' ]
	"$sf" verify "$DIR/s" >/dev/null
}

@test "writing: rows come, go and get other names, and statements see what was written before them" {
	setup_rows
	[ "$(sql --write "INSERT INTO homes(id, city) VALUES('Cy', NULL), ('7', 'Rome'); INSERT INTO homes(_key, id) VALUES('8.json', 8);
		INSERT INTO homes(_key, _bytes) VALUES('text', 'any' || char(10)); SELECT _key, id, city, _bytes FROM homes WHERE _key > '7.json' AND _key <> 'Ada.json' ORDER BY _key" |
		sed '$d')" = $'8.json\t8\t\t{"id":8}\\n\nBöb.json\tBöb\tBrno\t{"id":"Böb","city":"Brno"}\\n\nCy.json\tCy\t\t{"id":"Cy"}\\n\ntext\t\t\tany\\n' ]
	[ "$(sql --write "DELETE FROM homes WHERE city IS NULL; SELECT count(*) FROM homes; UPDATE homes SET _key = 'Rome.json' WHERE id = 7; UPDATE homes SET _key = 'Rome.json' WHERE id = '7';
		SELECT _key FROM homes; INSERT INTO homes SELECT * FROM homes WHERE 0; DELETE FROM homes WHERE _key = 'none'" --csv | cut -d, -f 1-3)" = \
		$'count(*)\n3\n_key\nAda.json\nBöb.json\nRome.json\ninserted,changed,deleted\n1,0,4' ]
	# A row that goes and comes again is changed, and one that comes and goes is nothing.
	[ "$(sql --write "DELETE FROM homes; INSERT INTO homes(id, city) VALUES('Ada', 'Paris'), ('x', 'y'); DELETE FROM homes WHERE id = 'x'" --json | jq -c 'del(.commit)')" = \
		'{"inserted":0,"changed":1,"deleted":2}' ]
	[ "$(sql "SELECT _key, city FROM homes")" = $'Ada.json\tParis' ]
	[ "$(sql --write "INSERT OR IGNORE INTO homes(id) VALUES('Ada'); INSERT OR REPLACE INTO homes(id, city) VALUES('Ada', 'Oslo'); SELECT city FROM homes" | sed '$d')" = Oslo ]
	# A table as a copy of another, and conditions on names that were just written.
	[ "$(sql --write "DELETE FROM homes; INSERT INTO homes(_key, _bytes) SELECT _key, _bytes FROM users; SELECT name FROM users JOIN homes USING (_key) WHERE _key = '2.json'" | head -n 1)" = Böb ]
	cmp <(sql "SELECT _key, _bytes FROM homes") <(sql "SELECT _key, _bytes FROM users")
	"$sf" verify "$DIR/s" >/dev/null
}

@test "writing gives what SQLite makes of its own table" {
	"$sf" init "$DIR/s" >/dev/null
	python3 - "$DIR" <<'PY'
import json, random, sqlite3, sys
r = random.Random(3)
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE t(_key TEXT PRIMARY KEY, id, a, b)")
values = [None, 0, 1, -5, 2**62, 1.25, "", "x", "ä'\"", "10", "line\nend\ttab\\"]
with open(sys.argv[1] + "/t.jsonl", "w") as f:
    for i in range(300):
        row = {"id": i, "a": r.choice(values), "b": r.choice(values)}
        f.write(json.dumps(row) + "\n")
        db.execute("INSERT INTO t VALUES(?,?,?,?)", (f"{i}.json", *row.values()))
with open(sys.argv[1] + "/statements", "w") as f:
    for i in range(200):
        n = r.randrange(400)
        s = r.choice([f"INSERT OR IGNORE INTO t(_key, id, a) VALUES('{n}.json', {n}, 'new')", f"UPDATE t SET a = id + {i}, b = a WHERE id % 17 = {i % 17}",
                      f"DELETE FROM t WHERE id = {n}", f"UPDATE t SET b = (SELECT count(*) FROM t) WHERE _key BETWEEN '{n}' AND '{n + 5}'",
                      f"INSERT OR REPLACE INTO t(_key, id, b) SELECT (id + 1000) || '.json', id + 1000, b FROM t WHERE id % 50 = {i % 50}",
                      f"DELETE FROM t WHERE _key > '{n}' AND _key < '{n}9' AND id % 3 = 0", f"UPDATE OR IGNORE t SET _key = (id + 1) || '.json', id = id + 1 WHERE id = {n}"])
        db.execute(s)
        f.write(s + ";\n")
    f.write("SELECT * FROM t ORDER BY _key;\n")
rows = [json.dumps(row) for row in db.execute("SELECT * FROM t ORDER BY _key")]
open(sys.argv[1] + "/answers", "w").write("\n".join(rows) + "\n")
PY
	"$sf" import "$DIR/s" "$DIR/t.jsonl" >/dev/null
	[ "$(wc -l <"$DIR/answers")" -gt 200 ]
	sql - --write --json <"$DIR/statements" >"$DIR/said"
	# Before the commit, and after it.
	cmp <(jq -c . "$DIR/answers") <(sed '$d' "$DIR/said" | jq -c '[.[]]')
	sql "SELECT * FROM t ORDER BY _key" --json | jq -c '[.[]]' | cmp - <(jq -c . "$DIR/answers")
	"$sf" verify "$DIR/s" >/dev/null
}

@test "writing: what is refused changes nothing, and says why" {
	setup_rows
	mkdir -p "$DIR/d/typed"
	echo 'CREATE TABLE t(key TEXT PRIMARY KEY, age INTEGER CHECK (age >= 0), home TEXT REFERENCES homes) STRICT' >"$DIR/d/typed/.schema"
	printf x >"$DIR/d/typed/raw"
	"$sf" import "$DIR/s" "$DIR/d" >/dev/null
	refused "homes/Ada.json is there already" "DELETE FROM users; INSERT INTO homes(id) VALUES('Ada')"
	refused "homes/Ada.json is there already" "UPDATE homes SET _key = 'Ada.json'"
	refused "needs the new row's name" "INSERT INTO homes(city) VALUES('x')"
	refused "takes names" "INSERT INTO homes(_key) VALUES('a/b.json')"
	refused "takes names" "INSERT INTO homes(id) VALUES(printf('%300d', 1))"
	refused "is a BLOB" "INSERT INTO homes(_key) VALUES(x'00')"
	refused "is a schema" "INSERT INTO typed(_key, _bytes) VALUES('.schema', 'x')"
	refused "has no columns" "INSERT INTO homes(_key, city) VALUES('a.txt', 'x')"
	refused "has no columns" "UPDATE typed SET age = 1 WHERE _key = 'raw'"
	refused "JSON has no place for" "UPDATE homes SET city = x'00'"
	refused "JSON has no place for" "UPDATE homes SET city = CAST(x'ff' AS TEXT)"
	refused "_bytes and columns at once" "UPDATE homes SET city = 'x', _bytes = '{}'"
	refused "_bytes and columns at once" "INSERT INTO homes(_key, city, _bytes) VALUES('a.json', 'x', '{}')"
	refused "NULL as its _bytes" "UPDATE homes SET _bytes = NULL"
	refused "chmod and touch" "UPDATE homes SET _mode = 0"
	refused "chmod and touch" "INSERT INTO homes(id, _size) VALUES('a', 5)"
	refused "larger than 1 MiB" "UPDATE homes SET city = printf('%2000000d', 1)"
	refused "too much for one commit" "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100001) INSERT INTO homes(id) SELECT x FROM c"
	refused "no column named nobody" "INSERT INTO homes(id, nobody) VALUES(1, 2)"
	refused "syntax error" "DELETE FROM homes; DELETE users"
	# A schema sees the whole of it.
	refused "typed/a.json" "INSERT INTO typed(key, age) VALUES('a', -1)"
	refused "typed/a.json" "INSERT INTO typed(key, age) VALUES('a', '5')"
	refused "typed/b.json" "INSERT INTO typed(_key, key) VALUES('b.json', 'a')"
	refused "typed/a.json" "INSERT INTO typed(key, home) VALUES('a', 'nobody')"
	sql --write "INSERT INTO typed(key, age, home) VALUES('a', 5, 'new'); INSERT INTO homes(id) VALUES('new')" >/dev/null
	refused "typed/a.json" "UPDATE homes SET city = 'x'; UPDATE typed SET age = age - 6"
	[ "$(sql "SELECT * FROM typed WHERE key = 'a'")" = $'a.json\ta\t5\tnew' ]
	run sql --write --at HEAD "SELECT 1"
	[ "$status" = 2 ]
	run sql -m hello "SELECT 1"
	[ "$status" = 2 ]
	"$sf" verify "$DIR/s" >/dev/null
}

@test "writing: a row that has moved on meanwhile, and a member who may only read" {
	setup_rows
	"$sf" serve "$DIR/s"
	mkfifo "$DIR/pipe"
	# It waits for its reader with a snapshot open; somebody else writes one of its rows, or another one.
	local key
	for key in 1 2; do
		(sql --write "UPDATE users SET name = 'mine' WHERE id = 1;
			WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 30000) SELECT printf('%1000d', x) FROM c" \
			>"$DIR/pipe" 2>"$DIR/said" 3>&- && echo 0 >"$DIR/code" || echo $? >"$DIR/code") &
		exec 4<"$DIR/pipe"
		read -r _ <&4
		echo "{\"id\":$key,\"name\":\"theirs\"}" | "$sf" import "$DIR/s" --table users - >/dev/null
		tail -n 1 <&4 >"$DIR/last"
		exec 4<&-
		wait $!
		if [ "$key" = 1 ]; then
			[ "$(<"$DIR/code")" = 1 ]
			grep "users/1.json was changed by somebody else meanwhile; run the statements again; nothing was changed" "$DIR/said"
		else
			[ "$(<"$DIR/code")" = 0 ]
			[ "$(cut -f 1-3 "$DIR/last")" = $'0\t1\t0' ]
		fi
	done
	[ "$(sql "SELECT name FROM users WHERE id < 3")" = $'mine\ntheirs' ]
	stop_serving "$DIR/s"
	# Who may only read is told so.
	"$sf" serve "$DIR/s" --listen tcp://127.0.0.1:0
	"$sf" clone "$("$sf" invite "$DIR/s" --role reader | tail -n 1)" "$DIR/r"
	local before
	before=$(head_of "$DIR/r")
	run "$sf" sql "$DIR/r" --write "DELETE FROM users"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"may only read"*"nothing was changed" ]]
	[ "$(head_of "$DIR/r")" = "$before" ]
	[ "$("$sf" sql "$DIR/r" "SELECT count(*) FROM users")" = 3 ]
}

@test "writing into a mounted database: what waits there comes first, and files show the rows at once" {
	require_fuse
	mount_a
	mkdir "$A/t"
	echo '{"id":1,"n":1}' >"$A/t/1.json"
	# It is not committed yet.
	"$sf" sql "$A" --write "UPDATE t SET n = n + 1; INSERT INTO t(id, n) SELECT id + 1, n FROM t" >/dev/null
	[ "$(cat "$A/t/1.json" "$A/t/2.json")" = $'{"id":1,"n":2}\n{"id":2,"n":2}' ]
	chmod 600 "$A/t/2.json"
	"$sf" sql "$A" --write "DELETE FROM t WHERE id = 1; UPDATE t SET n = 3" >/dev/null
	[ "$(ls "$A/t")" = 2.json ]
	[ "$(stat -c %a "$A/t/2.json")" = 600 ]
	# Somebody is in the middle of a row.
	mkfifo "$DIR/hold"
	python3 -c 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), b"{  "); open(sys.argv[2], "w"); open(sys.argv[3]).read()' \
		"$A/t/2.json" "$DIR/ready" "$DIR/hold" 3>&- &
	until_true 10 test -e "$DIR/ready"
	run "$sf" sql "$A" --write "UPDATE t SET n = 9 WHERE id = 2"
	echo "$output"
	: >"$DIR/hold"
	wait $!
	[ "$status" = 1 ]
	[[ $output == *"t/2.json is being written by a program"*"nothing was changed" ]]
	"$sf" commit "$A" >/dev/null
	"$sf" umount "$A"
}

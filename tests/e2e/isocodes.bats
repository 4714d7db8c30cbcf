#!/usr/bin/env bats
# Debian's iso-codes, through the mount of A and by import, byte for byte on B. All of it through cp: quickstart.bats.

load mounts

# rows_of FILE DIR: the elements of the file's array as they are written there, one file each, by a
# parser that is not ours, and a newline. The name is what `import --key` would make of the same columns.
rows_of() {
	python3 - "$1" "$2" <<'PY'
import json, os, sys

text = open(sys.argv[1], encoding="utf-8").read()
(name, rows), = json.loads(text).items()
at = text.index("[") + 1
while True:
    while text[at] in " \t\r\n,":
        at += 1
    if text[at] == "]":
        break
    row, end = json.JSONDecoder().raw_decode(text, at)
    key = next(row[k] for k in ("code", "alpha_4", "alpha_3") if k in row)
    with open(os.path.join(sys.argv[2], key + ".json"), "w", encoding="utf-8", newline="") as f:
        f.write(text[at:end] + "\n")
    at = end
assert len(os.listdir(sys.argv[2])) == len(rows)
PY
}

key_of() {
	case $1 in
	*iso_15924* | *iso_3166-3*) echo alpha_4 ;;
	*iso_3166-2*) echo code ;;
	*) echo alpha_3 ;;
	esac
}

# setup_source FILE...: their tables below DIR/source, and how many rows that is.
setup_source() {
	local file table
	for file; do
		table=$(basename "$file" .json)
		mkdir -p "$DIR/source/$table"
		rows_of "$file" "$DIR/source/$table"
	done
	rows=$(find "$DIR/source" -type f | wc -l)
	echo "$rows rows in $# tables"
}

# The two largest files, with nine tenths of the rows, are for plain builds.
choose_files() {
	files=(/usr/share/iso-codes/json/iso_{15924,3166-1,3166-3,4217,639-2,639-5}.json)
	! is_plain || files=(/usr/share/iso-codes/json/iso_*.json)
}

# What stands on B is the source, and nothing beside it; and B's history is A's.
same_on_b() {
	until_same "$A" "$B"
	diff -r "$DIR/source" "$B"
	diff <(ls "$A/.commits") <(ls "$B/.commits")
	# What is settled each finds out for itself.
	diff <("$sf" log "$A" --json | jq -c 'del(.settled)') <("$sf" log "$B" --json | jq -c 'del(.settled)')
	[ "$(ls "$A/.commits")" = "$("$sf" log "$A" --json --reverse | jq -r .name; echo latest)" ]
	"$sf" verify "$B"
}

@test "through redirection" {
	require_fuse
	setup_source /usr/share/iso-codes/json/iso_{15924,3166-1,3166-3,4217,639-2,639-5}.json
	mount_a
	mount_b
	local row name text
	for row in "$DIR"/source/*/*; do
		name=${row#"$DIR/source/"}
		[ -d "$A/${name%/*}" ] || mkdir "$A/${name%/*}"
		IFS= read -rd '' text <"$row" || true
		printf %s "$text" >"$A/$name"
	done
	same_on_b
	# One edit each, and nothing that came and went.
	[ "$("$sf" log "$A" --json | jq -s 'map(.rows) | add')" = "$rows" ]
}

@test "by import of each JSON file, into the mount" {
	require_fuse
	choose_files
	setup_source "${files[@]}"
	[ "$rows" -gt "$(plain_or 14000 1000)" ]
	mount_a
	mount_b
	local file table
	for file in "${files[@]}"; do
		table=$(basename "$file" .json)
		"$sf" import "$A" --table "$table" --key "$(key_of "$file")" "$file"
	done
	same_on_b
	[ "$("$sf" log "$A" --json | jq -s 'map(.rows) | add')" = "$rows" ]
}

@test "by import of a directory, into a store that is served" {
	choose_files
	setup_source "${files[@]}"
	[ "$rows" -gt "$(plain_or 14000 1000)" ]
	"$sf" serve "$DIR/a" --listen tcp://127.0.0.1:0
	"$sf" serve "$DIR/b" --peer "$("$sf" invite "$DIR/a" | tail -n 1)"
	"$sf" import "$DIR/a" "$DIR/source"
	until_true 60 same_head "$DIR/a" "$DIR/b"
	local file n=0
	[ "$("$sf" diff "$DIR/b" "$("$sf" log "$DIR/b" --json | tail -n 1 | jq -r .id)" HEAD --json | jq -r 'select(.row) | "\(.table)/\(.row)"' | sort)" = \
		"$(cd "$DIR/source" && find . -type f -printf '%P\n' | sort)" ]
	while read -r file; do
		"$sf" show "$DIR/b" HEAD "${file#"$DIR/source/"}" | cmp - "$file"
		n=$((n + 1))
	done < <(find "$DIR/source" -type f | awk 'NR % 100 == 0')
	[ "$n" -ge $((rows / 100)) ]
	"$sf" verify "$DIR/b"
	kill "$(pid_of "$DIR/a")" "$(pid_of "$DIR/b")"
}

#!/usr/bin/env bats
# A table of very many rows: SW_TABLE_ROWS of them (20,000; the long run takes 1,000,000). It is usable at once, in little memory, and what is
# done to one row of it is done to that row.

load mounts

ROWS=${SW_TABLE_ROWS:-20000}

resident() { awk '/^RssAnon/ { print $2 }' "/proc/$(pid_of "$A")/status"; }

# below KIB: what the process takes, once it has given back what it could.
below() {
	! is_plain || until_true 20 resident_below "$1" || { echo "$(resident) KiB"; return 1; }
}
resident_below() { [ "$(resident)" -lt "$1" ]; }

@test "many rows: listed, read, made, changed, renamed and removed, here and on another peer" {
	require_fuse
	[ "$(df --output=avail -m "$DIR" | tail -n 1)" -gt $((ROWS / 500)) ] || skip "too little room for $ROWS rows"
	seq 0 $((ROWS - 1)) | awk '{ printf "{\"id\":\"%07d\",\"n\":%d}\n", $1, $1 * 7 }' >"$DIR/rows.jsonl"
	"$sf" init "$DIR/store-A"
	"$sf" import "$DIR/store-A" --table t --key id "$DIR/rows.jsonl" | grep "imported $ROWS rows"
	mount_a
	local middle commits
	middle=$(printf %07d $((ROWS / 2)))
	grep -x "{\"id\":\"$middle\",\"n\":$((ROWS / 2 * 7))}" "$A/t/$middle.json"
	below $((64 << 10))
	# Each once, in names and with what stat tells.
	[ "$(ls -U "$A/t" | wc -l)" = "$ROWS" ]
	[ "$(ls -U "$A/t" | sort -u | wc -l)" = "$ROWS" ]
	find "$A/t" -type f -size -100c -printf '%f\n' | sort >"$DIR/listed"
	seq -f %07.0f.json 0 $((ROWS - 1)) | diff -q - "$DIR/listed"
	commits=$(count_of "$A")
	echo '{"id":"new"}' >"$A/t/new.json"
	echo '{"id":"changed"}' >"$A/t/$middle.json"
	mv "$A/t/0000000.json" "$A/t/moved.json"
	mv "$A/t/0000001.json" "$A/t/0000002.json"
	rm "$A/t/0000003.json"
	# The last, and one behind it.
	echo '{"id":"last"}' >"$A/t/zzz.json"
	rm "$A/t/$(printf %07d $((ROWS - 1))).json"
	"$sf" commit "$A" -m few
	{
		sed "/^000000[0-3].json/d; /^$(printf %07d $((ROWS - 1))).json/d" "$DIR/listed"
		printf '%s.json\n' 0000002 new moved zzz
	} | sort >"$DIR/want"
	ls -U "$A/t" | sort | diff "$DIR/want" -
	[ "$(cat "$A/t/0000002.json")" = '{"id":"0000001","n":7}' ]
	[ "$(cat "$A/t/moved.json")" = '{"id":"0000000","n":0}' ]
	[ "$(cat "$A/.commits/HEAD~$(($(count_of "$A") - commits))/t/$middle.json")" = "{\"id\":\"$middle\",\"n\":$((ROWS / 2 * 7))}" ]
	# A few edits of many rows are a few operations.
	[ "$("$sf" log "$A" --json -n $(($(count_of "$A") - commits)) | jq -s 'map(.rows) | add')" -le 9 ]
	mount_b
	until_true 900 same_head "$A" "$B"
	ls -U "$B/t" | sort | diff "$DIR/want" -
	echo '{"id":"from B"}' >"$B/t/$middle.json"
	"$sf" commit "$B" -m "from B"
	until_true 60 grep -x '{"id":"from B"}' "$A/t/$middle.json"
	"$sf" umount "$B"
	# What the kernel forgets is forgotten here, and the memory given back. Of few rows it is little.
	if [ "$ROWS" -ge 1000000 ] && [ -w /proc/sys/vm/drop_caches ]; then
		echo 2 >/proc/sys/vm/drop_caches
		below $((64 << 10))
	fi
	"$sf" umount "$A"
	"$sf" verify "$DIR/store-A"
}

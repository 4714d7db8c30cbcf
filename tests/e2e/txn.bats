#!/usr/bin/env bats
# Transactions: private working copies in .txn, applied by one rename.

load mounts

# One mount with a stock of five.
setup_stock() {
	require_fuse
	mount_a "$@"
	mkdir "$A/stock"
	echo 5 >"$A/stock/apples"
	echo 7 >"$A/stock/pears"
	"$sf" commit "$A" -m stock >/dev/null
}

txns() { "$sf" status "$1" --json | jq -c ".transactions[] | $2"; }
last() { "$sf" log "$1" --json -n 1 | jq -r "$2"; }
# apply NAME: what mv says, without its own words.
apply() { mv "$A/.txn/$1" "$A/.txn/commit"; }

@test "a working copy is private, sees nothing of others, and is one commit in the end" {
	setup_stock
	local before
	before=$(count_of "$A")
	mkdir "$A/.txn/sale"
	[ "$(ls "$A/.txn")" = sale ]
	[ "$(ls "$A/.txn/sale")" = stock ]
	cd "$A/.txn/sale"
	echo 4 >stock/apples
	mkdir orders
	echo '{"n":1}' >orders/1.json
	mv stock/pears stock/quinces
	chmod 600 stock/quinces
	[ "$(cat stock/apples stock/quinces)" = $'4\n7' ]
	[ "$(find . | sort | tr '\n' ' ')" = ". ./orders ./orders/1.json ./stock ./stock/apples ./stock/quinces " ]
	# Nothing of it shows outside, and what is written outside does not show in it.
	[ "$(cat "$A/stock/apples")" = 5 ]
	[ ! -e "$A/orders" ]
	[ ! -e "$A/stock/quinces" ]
	echo 9 >"$A/stock/plums"
	"$sf" commit "$A" >/dev/null
	[ ! -e stock/plums ]
	[ "$(count_of "$A")" = $((before + 1)) ]
	cd /
	apply sale
	[ "$(count_of "$A")" = $((before + 2)) ]
	[ "$(cat "$A/stock/apples" "$A/stock/quinces" "$A/stock/plums" "$A/orders/1.json")" = $'4\n7\n9\n{"n":1}' ]
	[ "$(stat -c %a "$A/stock/quinces")" = 600 ]
	[ ! -e "$A/stock/pears" ]
	[ "$(last "$A" '"\(.mode) \(.message)"')" = "strict transaction sale" ]
	# It is gone, and leaves no ghost of the name that it was moved to.
	[ -z "$(ls -A "$A/.txn")" ]
	[ ! -e "$A/.txn/commit" ]
	[ ! -e "$A/.txn/sale" ]
	"$sf" verify "$A"
}

@test "two transactions on one row: one is applied, the other is canceled and names the row" {
	setup_stock
	mkdir "$A/.txn/one" "$A/.txn/two"
	echo 4 >"$A/.txn/one/stock/apples"
	echo 4 >"$A/.txn/two/stock/apples"
	echo mine >"$A/.txn/two/stock/new"
	apply one
	run apply two
	[ "$status" -ne 0 ]
	[[ $output == *"Operation canceled"* ]]
	[ ! -e "$A/stock/new" ]
	[ "$(txns "$A" '.name, (.moved[] | "\(.table)/\(.row)")' | tr '\n' ' ')" = '"two" "stock/apples" ' ]
	grep -q '^txn  .*two.*stock/apples' "$A/.swarm/status"
	# It stays for another look, and can be put right.
	[ "$(cat "$A/.txn/two/stock/apples")" = 4 ]
	rm "$A/.txn/two/stock/apples"
	run apply two
	[ "$status" -ne 0 ]
	rm -r "$A/.txn/two"
	[ -z "$(ls "$A/.txn")" ]
	[ "$(txns "$A" .name)" = "" ]
	[ "$(cat "$A/stock/apples")" = 4 ]
	"$sf" verify "$A"
}

@test "a row that was only read does not count, unless it is checked" {
	setup_stock
	mkdir "$A/.txn/read" "$A/.txn/check"
	cat "$A/.txn/read/stock/apples" "$A/.txn/check/stock/apples" >/dev/null
	echo stock/apples >>"$A/.txn/check/.check"
	echo stock/none >>"$A/.txn/check/.check"
	[ "$(sort "$A/.txn/check/.check")" = $'stock/apples\nstock/none' ]
	[ "$(txns "$A" 'select(.name == "check") | .checked')" = 2 ]
	echo read >"$A/.txn/read/stock/r"
	echo check >"$A/.txn/check/stock/c"
	echo 3 >"$A/stock/apples"
	apply read
	run apply check
	[[ $output == *"Operation canceled"* ]]
	[ "$(txns "$A" '.moved[].row')" = '"apples"' ]
	echo 5 >"$A/stock/apples"
	apply check
	[ "$(cat "$A/stock/r" "$A/stock/c")" = $'read\ncheck' ]
	mkdir "$A/.txn/x"
	# Also a shell, which does not look at what close() says, hears that a line is none.
	run bash -c "echo stock/pears >'$A/.txn/x/.check' && echo nonsense >'$A/.txn/x/.check'"
	[ "$status" = 1 ]
	[[ $output == *"Invalid argument"* ]]
	run bash -c "printf nonsense | tee '$A/.txn/x/.check'"
	[[ $output == *"Invalid argument"* ]]
	# Lines are those of what is written, in however many pieces; the last needs no end.
	python3 -c 'import os, sys
f = os.open(sys.argv[1], os.O_WRONLY)
for piece in b"stock/ap", b"ples\nsto", b"ck/none": os.write(f, piece)
os.close(f)' "$A/.txn/x/.check"
	[ "$(sort "$A/.txn/x/.check" | tr '\n' ' ')" = "stock/apples stock/none stock/pears " ]
}

@test "with all control files listed, rm -r discards a working copy" {
	setup_stock -o show_control
	mkdir "$A/.txn/x"
	echo stock/pears >"$A/.txn/x/.check"
	[ "$(ls -A "$A/.txn/x")" = stock ]
	rm -r "$A/.txn/x"
	[ -z "$(ls "$A/.txn")" ]
	[ "$(cat "$A/stock/pears")" = 7 ]
}

resident_below() { [ "$(awk '/^RssAnon/ { print $2 }' "/proc/$1/status")" -lt "$2" ]; }

@test "what an applied transaction held is given back" {
	setup_stock
	local pid
	pid=$(pid_of "$A")
	head -c 1000000 /dev/urandom >"$DIR/large"
	mkdir "$A/.txn/x"
	for i in $(seq 100); do cp "$DIR/large" "$A/.txn/x/stock/$i"; done
	is_plain && { ! resident_below "$pid" 80000; } # or the test shows nothing
	# Somebody still reads one of them.
	exec 7<"$A/.txn/x/stock/7"
	apply x
	until_true 20 resident_below "$pid" "$(plain_or 40000 1000000000)"
	cmp - "$DIR/large" <&7
	exec 7<&-
	cmp "$A/stock/100" "$DIR/large"
}

@test "a working copy survives kill -9, with what was closed in it" {
	setup_stock
	local pid
	mkdir "$A/.txn/sale" "$A/.txn/gone"
	echo 4 >"$A/.txn/sale/stock/apples"
	head -c 300000 /dev/urandom >"$DIR/big"
	cp "$DIR/big" "$A/.txn/sale/stock/big"
	echo 'sold one' >"$A/.txn/sale/.message"
	echo stock/pears >"$A/.txn/sale/.check"
	echo x >"$A/.txn/gone/stock/x"
	rmdir "$A/.txn/gone"
	# The rest of the world goes on, so that nothing but the copy itself keeps what it stands on.
	rm "$A/stock/apples"
	"$sf" commit "$A" >/dev/null
	pid=$(pid_of "$A")
	kill -9 "$pid"
	until_true 10 ends "$pid"
	mount_a
	[ "$(ls "$A/.txn")" = sale ]
	[ "$(ls "$A/.txn/sale/stock" | tr '\n' ' ')" = "apples big pears " ]
	[ "$(cat "$A/.txn/sale/stock/apples" "$A/.txn/sale/stock/pears")" = $'4\n7' ]
	cmp "$DIR/big" "$A/.txn/sale/stock/big"
	[ "$(txns "$A" '[.changed, .checked]')" = "[2,1]" ]
	"$sf" verify "$A"
	# apples was removed meanwhile: put back, it is the row that the transaction saw.
	run apply sale
	[[ $output == *"Operation canceled"* ]]
	echo 5 >"$A/stock/apples"
	apply sale
	[ "$(cat "$A/stock/apples")" = 4 ]
	cmp "$DIR/big" "$A/stock/big"
	[ "$(last "$A" .message)" = "sold one" ]
	[ -z "$(find "$DIR/store-A" -name 'copy-*')" ]
	"$sf" verify "$A"
}

@test "kill -9 while transactions are applied: each is there whole, or still waits" {
	setup_stock
	local pid i applied=0
	for i in $(seq 20); do
		mkdir "$A/.txn/t$i"
		echo "$i" >"$A/.txn/t$i/stock/a$i"
		echo "$i" >"$A/.txn/t$i/stock/b$i"
	done
	pid=$(pid_of "$A")
	(for i in $(seq 20); do apply "t$i" || break; done) 2>/dev/null 3>&- &
	until_true 10 test -e "$A/stock/a3"
	kill -9 "$pid"
	wait $! || true
	until_true 10 ends "$pid"
	mount_a
	for i in $(seq 20); do
		if [ -e "$A/stock/a$i" ]; then
			[ "$(cat "$A/stock/a$i" "$A/stock/b$i")" = "$i"$'\n'"$i" ]
			[ ! -e "$A/.txn/t$i" ]
			applied=$((applied + 1))
		else
			[ ! -e "$A/stock/b$i" ]
			apply "t$i"
		fi
	done
	[ "$applied" -ge 3 ]
	[ "$(ls "$A/stock" | wc -l)" = 42 ]
	"$sf" verify "$A"
}

@test "what a transaction changed shows when mv returns" {
	setup_stock
	python3 - "$A" <<'PY'
import os, sys
a = sys.argv[1]
for i in range(200):
    copy, row, gone, new = f"{a}/.txn/t{i}", "/stock/apples", f"/stock/gone{i}", f"/stock/new{i}"
    # With a byte in it: whether an empty row is whole the kernel tells some time after close().
    with open(a + gone, "w") as f:
        f.write("x")
    os.mkdir(copy)
    with open(copy + row, "w") as f:
        f.write(f"{i}\n")
    os.remove(copy + gone)
    with open(copy + new, "w") as f:
        f.write("x")
    # The kernel keeps all of this for long.
    open(a + row).read()
    assert os.path.exists(a + gone) and not os.path.exists(a + new) and f"new{i}" not in os.listdir(a + "/stock")
    os.rename(copy, a + "/.txn/commit")
    assert not os.path.exists(a + gone) and os.path.exists(a + new) and f"new{i}" in os.listdir(a + "/stock"), i
    assert os.stat(a + row).st_size == len(f"{i}\n"), i
    assert open(a + row).read() == f"{i}\n", i
PY
}

@test "renames between the live tree, a working copy and a snapshot make mv copy" {
	setup_stock
	mkdir "$A/.txn/x" "$A/.txn/y"
	echo 1 >"$A/stock/more"
	"$sf" commit "$A" >/dev/null
	python3 - "$A" <<'PY'
import errno, os, sys
a = sys.argv[1]
def refused(src, dst, want):
    try:
        os.rename(src, dst)
    except OSError as e:
        assert e.errno == want, (src, dst, e)
    else:
        raise AssertionError((src, dst))
x, y, snap = a + "/.txn/x", a + "/.txn/y", a + "/.commits/latest"
refused(a + "/stock/apples", x + "/stock/apples", errno.EXDEV)
refused(x + "/stock/apples", a + "/stock/apples", errno.EXDEV)
refused(x + "/stock/apples", y + "/stock/apples", errno.EXDEV)
refused(snap + "/stock/apples", x + "/stock/apples", errno.EXDEV)
refused(x + "/stock/apples", snap + "/stock/apples", errno.EXDEV)
refused(snap + "/stock/apples", snap + "/stock/pears", errno.EROFS)
refused(snap + "/stock/apples", a + "/.commits/HEAD/stock/pears", errno.EROFS)
refused(snap + "/stock", snap + "/other", errno.EROFS)
refused(snap, a + "/.commits/other", errno.EROFS)
refused(snap + "/stock/apples", a + "/.commits/HEAD~1/stock/apples", errno.EXDEV)
refused(snap + "/stock", a + "/stock2", errno.EXDEV)
refused(x + "/stock", a + "/other", errno.EXDEV)
refused(a + "/stock", x + "/other", errno.EXDEV)
refused(x, a + "/.txn/z", errno.EPERM)
refused(x, a + "/z", errno.EPERM)
refused(a + "/stock", a + "/.txn/stock", errno.EPERM)
for make in (lambda: os.mkdir(a + "/.txn/commit"), lambda: open(a + "/.txn/file", "w"), lambda: open(x + "/file", "w"),
             lambda: os.mkdir(x + "/stock/sub")):
    try:
        make()
    except PermissionError:
        continue
    raise AssertionError(make)
PY
	mv "$A/stock/pears" "$A/.txn/x/stock/moved"
	[ "$(cat "$A/.txn/x/stock/moved")" = 7 ]
	[ ! -e "$A/stock/pears" ]
}

@test "a program that is still writing a row holds its transaction up" {
	setup_stock
	mkdir "$A/.txn/w"
	exec 8>"$A/.txn/w/stock/half"
	echo half >&8
	exec 7<"$A/.txn/w/stock/apples"
	python3 - "$A" <<'PY'
import errno, os, sys
a = sys.argv[1]
fd = os.open(a + "/.txn/w/stock/r", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"so far")
try:
    os.rename(a + "/.txn/w", a + "/.txn/commit")
except OSError as e:
    assert e.errno == errno.EBUSY, e
else:
    raise AssertionError("applied")
os.close(fd)
PY
	exec 8>&-
	apply w
	[ "$(cat "$A/stock/r" "$A/stock/half")" = "so farhalf" ]
	# What is open for reading stays.
	[ "$(cat <&7)" = 5 ]
	exec 7<&-
}

@test "swarmfs txn: commits when the command succeeds, and only then" {
	setup_stock
	local before
	before=$(count_of "$A")
	"$sf" txn "$A" -m 'sold one' -- bash -c '
		[ "$PWD" = "$SWARMFS_TXN" ] && echo 4 >stock/apples && echo sold >stock/note && [ "$(cat "'"$A"'/stock/apples")" = 5 ]'
	[ "$(cat "$A/stock/apples" "$A/stock/note")" = $'4\nsold' ]
	[ "$(count_of "$A")" = $((before + 1)) ]
	[ "$(last "$A" .message)" = "sold one" ]
	run "$sf" txn "$A" -- bash -c 'echo 3 >stock/apples; exit 7'
	[ "$status" = 7 ]
	local code=0
	"$sf" txn "$DIR/store-A" -- no-such-command 2>"$DIR/said" || code=$?
	[ "$code" = 127 ]
	grep -q no-such-command "$DIR/said"
	printf '#!/bin/sh\n' >"$DIR/sell"
	chmod +x "$DIR/sell"
	code=0
	(cd "$DIR" && "$sf" txn "$A" -- ./sell) 2>"$DIR/said" || code=$?
	[ "$code" = 127 ]
	grep -q "cannot run ./sell in the working copy: " "$DIR/said"
	run "$sf" txn "$A" -- bash -c 'echo 3 >stock/apples; kill -TERM $$'
	[ "$status" = 143 ]
	[ "$(cat "$A/stock/apples")" = 4 ]
	# What changes nothing is no commit.
	"$sf" txn "$A" -- cat stock/apples
	[ "$(count_of "$A")" = $((before + 1)) ]
	[ -z "$(ls "$A/.txn")" ]
	run "$sf" txn "$A" --name a/b -- true
	[ "$status" = 2 ]
	"$sf" umount "$A"
	run "$sf" txn "$DIR/store-A" -- true
	[ "$status" = 1 ]
	[[ $output == *"not mounted"* ]]
}

@test "swarmfs txn: a conflict at the end names the rows" {
	setup_stock
	run "$sf" txn "$A" -- bash -c 'echo 4 >stock/apples; echo 3 >"'"$A"'/stock/apples"'
	[ "$status" = 1 ]
	[[ $output == *"was not applied"*"moved on"* && $output == *"  stock/apples"* ]]
	[ -z "$(ls "$A/.txn")" ]
	[ "$(cat "$A/stock/apples")" = 3 ]
	# One with a name stays.
	run "$sf" txn "$A" --name mine -- bash -c 'echo 2 >stock/apples; echo 1 >"'"$A"'/stock/apples"'
	[ "$status" = 1 ]
	[ "$(cat "$A/.txn/mine/stock/apples")" = 2 ]
	run "$sf" txn "$A" --name mine -- true
	[ "$status" = 1 ]
	[[ $output == *"already"* ]]
	rm -r "$A/.txn/mine"
}

@test "swarmfs txn: a signal for it is one for the command" {
	setup_stock
	"$sf" txn "$A" -- bash -c 'echo 1 >stock/apples; trap "echo trapped >'"$DIR"'/trapped; exit 9" TERM
		echo ready >'"$DIR"'/ready; while :; do sleep 0.05; done' 3>&- &
	local txn=$! code=0
	until_true 10 test -s "$DIR/ready"
	kill -TERM "$txn"
	wait "$txn" || code=$?
	[ "$code" = 9 ]
	[ "$(cat "$DIR/trapped")" = trapped ]
	[ "$(cat "$A/stock/apples")" = 5 ]
	[ -z "$(ls "$A/.txn")" ]
}

@test "many at once on one row: as many are applied as the stock went down" {
	setup_stock
	local i sold=0
	for i in $(seq 8); do
		(until "$sf" txn "$A" -- bash -c 'n=$(cat stock/apples); echo $((n - 1)) >stock/apples' 2>>"$DIR/said"; do :; done) 3>&- &
	done
	wait
	[ "$(cat "$A/stock/apples")" = -3 ]
	sold=$("$sf" log "$A" --json | jq -r 'select(.mode == "strict") | .id' | wc -l)
	[ "$sold" = 8 ]
	"$sf" verify "$A"
}

@test "with --conflict drop each file operation is a commit, a transaction is one" {
	setup_stock --conflict drop
	local before
	before=$(count_of "$A")
	echo one >"$A/stock/one"
	echo two >"$A/stock/two"
	rm "$A/stock/pears"
	"$sf" commit "$A" >/dev/null
	[ "$(count_of "$A")" = $((before + 3)) ]
	mkdir "$A/.txn/t"
	echo 1 >"$A/.txn/t/stock/one"
	echo 2 >"$A/.txn/t/stock/two"
	mkdir "$A/.txn/t/more"
	echo 3 >"$A/.txn/t/more/three"
	apply t
	[ "$(count_of "$A")" = $((before + 4)) ]
	[ "$(last "$A" .mode)" = strict ]
}

@test "a transaction applied here is dropped when an earlier commit arrives: a conflict like any other" {
	setup_stock
	mount_b
	until_same "$A" "$B"
	"$sf" umount "$B"
	"$sf" umount "$A"
	# B's edit is the earlier.
	"$sf" mount "$B" --store "$DIR/store-B"
	echo theirs >"$B/stock/apples"
	"$sf" commit "$B" >/dev/null
	"$sf" umount "$B"
	"$sf" mount "$A" --store "$DIR/store-A"
	"$sf" txn "$A" -m 'sold one' -- bash -c 'echo mine >stock/apples; echo 6 >stock/pears'
	[ "$(cat "$A/stock/apples" "$A/stock/pears")" = $'mine\n6' ]
	local id
	id=$(last "$A" .id)
	"$sf" umount "$A"
	"$sf" mount "$B" --store "$DIR/store-B" --listen tcp://127.0.0.1:0
	mount_a --peer "$(url_of "$B")"
	until_same "$A" "$B"
	for m in "$A" "$B"; do
		[ "$(cat "$m/stock/apples" "$m/stock/pears")" = $'theirs\n7' ]
		[ "$("$sf" show "$m" "$id" --json | jq -r .outcome)" = dropped ]
		[ "$("$sf" conflicts list "$m" --json | jq -r '"\(.table)/\(.row)"' | sort | tr '\n' ' ')" = "stock/apples stock/pears " ]
		[ "$(cat "$m/.conflicts/stock/apples/${id:0:12}/lost")" = mine ]
	done
	"$sf" verify "$A"
}

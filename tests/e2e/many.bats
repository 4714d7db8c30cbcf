#!/usr/bin/env bats
# Many at once: listings while others create and delete, ten thousand open files, fifty mounts under traffic.

load mounts

@test "listings while others create, rename and delete: none double, none that stays missing" {
	require_fuse
	mount_a --settle 5
	mkdir "$A/t"
	python3 - "$A/t" <<'PY'
import os, subprocess, sys, threading
d = sys.argv[1]
for i in range(2000):
    open(f"{d}/stays-{i}", "w").write(str(i))
stop = threading.Event()
failed = []
def churn(k):
    n = 0
    while not stop.is_set():
        name = f"{d}/comes-{k}-{n % 200}"
        open(name, "w").write(str(n))
        if n % 3 == 0:
            os.rename(name, f"{d}/moved-{k}-{n % 7}")
        elif n % 2 == 0:
            os.unlink(name)
        # Of what stays, some is written again, and some replaced.
        if n % 5 == 0:
            open(f"{d}/stays-{n % 2000}", "w").write(str(n))
        if n % 11 == 0:
            open(f"{d}/temporary-{k}", "w").write("x")
            os.rename(f"{d}/temporary-{k}", f"{d}/stays-{n % 2000}")
        n += 1
def check(names, how):
    stays = [n for n in names if n.startswith("stays-")]
    if len(names) != len(set(names)):
        failed.append(f"{how}: {len(names) - len(set(names))} double")
    if len(stays) != 2000:
        failed.append(f"{how}: {2000 - len(stays)} missing")
writers = [threading.Thread(target=churn, args=(k,)) for k in range(3)]
for w in writers: w.start()
for _ in range(60):
    check(os.listdir(d), "names")
    check([e.name for e in os.scandir(d) if e.is_file()], "with types")
for _ in range(5):
    out = subprocess.run(["find", d, "-type", "f", "-printf", "%f\n"], capture_output=True, text=True).stdout
    check(out.split(), "find")
stop.set()
for w in writers: w.join()
assert not failed, failed
PY
	until_true 20 settled "$A"
	"$sf" verify "$A"
}

@test "a table that is listed again shows what is there now, with the same numbers" {
	require_fuse
	mount_a --settle 5
	mkdir "$A/t" "$A/u"
	python3 - "$A" "$sf" <<'PY'
import os, subprocess, sys
mnt, sf = sys.argv[1:]
def commit():
    subprocess.run([sf, "commit", mnt], stdout=subprocess.DEVNULL)
def shown(table):
    with os.scandir(f"{mnt}/{table}") as entries:
        return {e.name: e.inode() for e in entries}
def check(table, names):
    for _ in range(3): # the second time it may come from what was kept
        now = shown(table)
        assert sorted(now) == sorted(names), (table, len(now), len(names))
        for name in list(now)[::97]:
            assert now[name] == os.stat(f"{mnt}/{table}/{name}").st_ino, name
names = [f"row-{i}" for i in range(3000)]
for table in "tu":
    for name in names:
        open(f"{mnt}/{table}/{name}", "w").write("same")
commit()
check("t", names)
check("u", names)
open(f"{mnt}/t/one-more", "w").write("x")
check("t", names + ["one-more"])
commit()
check("t", names + ["one-more"])
os.unlink(f"{mnt}/t/one-more")
os.rename(f"{mnt}/u/row-7", f"{mnt}/u/row-seven")
check("t", names)
commit()
check("t", names)
check("u", [n for n in names if n != "row-7"] + ["row-seven"])
PY
}

@test "ten thousand rows open at once, read and written, in little memory" {
	require_fuse
	mount_a
	mkdir "$A/t"
	local pid n
	pid=$(pid_of "$A") n=$(plain_or 10000 2500)
	ulimit -n 20000 || skip "no right to open so many"
	python3 - "$A/t" "$pid" "$(plain_or 4 100)" "$sf" "$n" <<'PY'
import json, os, subprocess, sys
d, pid, most, sf, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
def fds(): return len(os.listdir(f"/proc/{pid}/fd"))
def rss(): return int([l for l in open(f"/proc/{pid}/status") if l.startswith("RssAnon")][0].split()[1])
for i in range(n):
    open(f"{d}/{i}", "w").write(f"row {i}\n")
few, small = fds(), rss()
files = [os.open(f"{d}/{i}", os.O_RDWR) for i in range(n)]
assert fds() < few + 50, f"{fds()} descriptors, and {few} before"
for i, fd in enumerate(files):
    assert os.pread(fd, 100, 0) == f"row {i}\n".encode()
for i, fd in enumerate(files):
    os.pwrite(fd, b"ROW", 0)
# Status tells it, too.
said = json.loads(subprocess.run([sf, "status", os.path.dirname(d), "--json"], capture_output=True).stdout)["memory"]
assert said["rows"] >= n and rss() / 2 < said["resident_bytes"] / 1024 < 2 * rss(), said
for i in range(0, n, 2):
    os.unlink(f"{d}/{i}")
for i, fd in enumerate(files):
    assert os.pread(fd, 100, 0) == f"ROW {i}\n".encode()
print("KiB for each open row:", (rss() - small) / n)
assert rss() - small < n * most, f"{rss() - small} KiB for {n} open rows"
for fd in files:
    os.close(fd)
assert len(os.listdir(d)) == n // 2
PY
	"$sf" commit "$A" -m all
	[ "$(cat "$A/t/$((n - 1))")" = "ROW $((n - 1))" ]
	[ ! -e "$A/t/$((n - 2))" ]
	"$sf" verify "$A"
}

# wide DIRECTORY N VALUE: N rows of 110 columns, each VALUE.
wide() {
	python3 - "$@" <<'PY'
import sys
d, n, v = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for i in range(n):
    open(f"{d}/{i}.json", "w").write("{" + ",".join(f'"c{k}":{v}' for k in range(110)) + "}")
PY
}

@test "more changed columns than one commit can name go into several, written and imported" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	wide "$A/t" 3500 1
	"$sf" commit "$A" -m first
	local before
	before=$(count_of "$A")
	wide "$A/t" 3500 2
	"$sf" commit "$A" -m wide
	settled "$A"
	[ "$(count_of "$A")" -ge $((before + 2)) ]
	[ "$("$sf" log "$A" --json -n $(($(count_of "$A") - before)) | jq -s 'map(.rows) | add')" = 3500 ]
	mkdir -p "$DIR/in/t"
	wide "$DIR/in/t" 3500 3
	"$sf" import "$A" -m import "$DIR/in" | grep "imported 3500 rows into t"
	[ "$("$sf" log "$A" --json | jq -s 'map(select(.message == "import").rows) | add')" = 3500 ]
	diff -r "$DIR/in/t" "$A/t"
	"$sf" verify "$A"
}

@test "a table is renamed, and changes places, in one commit" {
	require_fuse
	mount_a
	seq 8000 | awk '{ printf "{\"id\":%d}\n", $1 }' | "$sf" import "$A" --table t -
	local before
	before=$(count_of "$A")
	mv "$A/t" "$A/u"
	[ "$(find "$A/u" -type f | wc -l)" = 8000 ]
	until_true 30 settled "$A"
	[ "$(count_of "$A")" = $((before + 1)) ]
	[ "$("$sf" diff "$A" HEAD --stat | tail -n 1)" = "8000 added, 0 changed, 8000 removed" ]
	mkdir "$A/w"
	echo w >"$A/w/1.json"
	"$sf" commit "$A" -m w
	before=$(count_of "$A")
	python3 -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.renameat2(-100, os.fsencode(sys.argv[1]), -100, os.fsencode(sys.argv[2]), 2) == 0, ctypes.get_errno()' "$A/u" "$A/w"
	until_true 30 settled "$A"
	[ "$(count_of "$A")" = $((before + 1)) ]
	[ "$(cat "$A/u/1.json")" = w ]
	[ "$(cat "$A/w/8000.json")" = '{"id":8000}' ]
	# Somebody goes on making rows in one that is renamed.
	python3 - "$A" <<'PY'
import os, sys, threading
d = sys.argv[1]
made = []
def make():
    while True:
        try:
            open(f"{d}/w/more-{len(made)}", "x").close()
        except FileNotFoundError:
            return
        made.append(1)
t = threading.Thread(target=make)
t.start()
while len(made) < 20:
    pass
os.rename(f"{d}/w", f"{d}/x")
t.join()
assert not os.path.exists(f"{d}/w")
assert len(os.listdir(f"{d}/x")) == 8000 + len(made)
PY
	until_true 30 settled "$A"
	"$sf" verify "$A"
}

# use_of PID: descriptors, threads and KiB of a process.
use_of() {
	echo "$(find "/proc/$1/fd" -mindepth 1 | wc -l) $(awk '/^Threads/ { print $2 }' "/proc/$1/status")" \
		"$(awk '/^RssAnon/ { print $2 }' "/proc/$1/status")"
}

@test "fifty mounts and unmounts under traffic leave no process, mount, descriptor, thread or page behind" {
	require_fuse
	mount_a
	mkdir "$A/t" "$A/u"
	mount_b
	until_same "$A" "$B"
	local url pid i first last
	url=$(url_of "$B")
	pid=$(pid_of "$B")
	"$sf" umount "$A"
	# Somebody writes on the other peer all the time, and here whenever it is mounted.
	(
		exec 3>&-
		i=0
		while [ ! -e "$DIR/stop" ]; do
			echo "$i" >"$B/u/$((i % 100))"
			{ echo "$i" >"$A/t/$((i % 100))"; } 2>/dev/null || true
			i=$((i + 1))
		done
	) &
	local writer=$!
	for i in $(seq 50); do
		"$sf" mount "$A" --store "$DIR/store-A" --peer "$url"
		ls -l "$A/t" "$A/u" >/dev/null
		# It is busy as long as a write is under way.
		until_true 20 "$sf" umount "$A"
		not_mounted "$A"
		if [ "$i" = 10 ]; then first=$(use_of "$pid"); fi
	done
	touch "$DIR/stop"
	wait "$writer"
	until_true 20 settled "$B"
	last=$(use_of "$pid")
	echo "descriptors, threads, KiB: after ten $first, after fifty $last"
	read -r -a first <<<"$first"
	read -r -a last <<<"$last"
	[ "${last[0]}" -le $((first[0] + 3)) ]
	[ "${last[1]}" -le $((first[1] + 3)) ]
	! is_plain || [ "${last[2]}" -le $((first[2] + 8192)) ]
	[ "$(grep -c "^[^ ]* $DIR/" /proc/self/mounts)" = 1 ]
	run pgrep -af "$DIR/store-A"
	[ -z "$output" ]
	"$sf" verify "$DIR/store-A"
	"$sf" verify "$B"
}

#!/usr/bin/env bats
# Rows as large as they come, on two peers: SW_LARGE_MIB of them (96; the long run takes 1024). What the row should be is in a file beside
# the mount, to which the same was done. Meanwhile the memory of both processes is looked at.

load mounts

MIB=${SW_LARGE_MIB:-96}

json() { "$sf" status "$1" --json | jq -r "$2"; }

# watch_memory: what the two processes take at most, until it is told to stop.
watch_memory() {
	python3 - "$DIR/stop" "$DIR/most" "$(pid_of "$A")" "$(pid_of "$B")" 3>&- <<'PY' &
import os, sys, time
stop, out, pids = sys.argv[1], sys.argv[2], sys.argv[3:]
def anon(pid):
    # Of one that ends there is nothing to be read.
    return max([int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("RssAnon")], default=0)
most = 0
while not os.path.exists(stop):
    most = max([most] + [anon(p) for p in pids])
    time.sleep(0.01)
open(out, "w").write(str(most))
PY
	watcher=$!
}

# What is on its way is bounded; of each record there is a line in a list, which grows with the row: up to 64 KiB for each MiB are let pass.
memory_stayed_bounded() {
	local most=$((160 * 1024 + MIB * 64))
	touch "$DIR/stop"
	wait "$watcher"
	echo "at most $(cat "$DIR/most") KiB"
	! is_plain || [ "$(cat "$DIR/most")" -lt "$most" ]
}

# Everything written is committed and on both: a large row takes its time.
until_both_have_it() {
	"$sf" commit "$A" -m "$1" >/dev/null
	"$sf" commit "$B" -m "$1" >/dev/null
	until_true 900 same_head "$A" "$B"
}

start_pair() {
	require_fuse
	[ "$(df --output=avail -m "$DIR" | tail -n 1)" -gt $((MIB * 8)) ] || skip "too little room for rows of $MIB MiB"
	mount_a
	mkdir "$A/t"
	mount_b
	until_same "$A" "$B"
}

# What is random neither compresses nor repeats.
new_file() { head -c "${MIB}M" /dev/urandom >"$1"; }

# same_bytes FILE ROW: read from the process, not from the pages that the kernel has.
same_bytes() {
	python3 - "$1" "$2" <<'PY'
import os, random, sys
want, have = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY)
size = os.fstat(want).st_size
assert os.fstat(have).st_size == size, (os.fstat(have).st_size, size)
os.posix_fadvise(have, 0, 0, os.POSIX_FADV_DONTNEED)
# Ranges first, in no order, over the edges of pages and of the row; then all of it.
rng = random.Random(size)
for _ in range(200):
    at, n = rng.randrange(size + 100), rng.choice([1, 100, 4096, 70000, 300000])
    assert os.pread(want, n, at) == os.pread(have, n, at), f"{n} bytes at {at}"
at = 0
while piece := os.pread(want, 1 << 20, at):
    assert os.pread(have, 1 << 20, at) == piece, f"1 MiB at {at}"
    at += len(piece)
assert at == size
PY
}

@test "written in order, at any offset, through a map, cut, grown and appended to: the same on both peers" {
	start_pair
	watch_memory
	new_file "$DIR/want"
	dd if="$DIR/want" of="$A/t/row" bs=1M status=none
	until_both_have_it written
	same_bytes "$DIR/want" "$A/t/row"
	same_bytes "$DIR/want" "$B/t/row"
	local written
	written=$("$sf" log "$B" -n 1 --json | jq -r .id)
	cp "$DIR/want" "$DIR/first"
	# The other peer goes on with it.
	python3 - "$DIR/want" "$B/t/row" <<'PY'
import mmap, os, random, sys
for path in sys.argv[1:]:
    rng = random.Random(7)
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    for _ in range(300):
        n = rng.choice([1, 10, 4096, 5000, 65536, 200000])
        os.pwrite(fd, rng.randbytes(n), rng.randrange(size - n))
    m = mmap.mmap(fd, 0)
    m[size // 3:size // 3 + 100000] = rng.randbytes(100000)
    m.flush()
    m.close()
    os.close(fd)
PY
	until_both_have_it "at any offset"
	same_bytes "$DIR/want" "$A/t/row"
	same_bytes "$DIR/want" "$B/t/row"
	python3 - "$DIR/want" "$A/t/row" <<'PY'
import os, random, sys
for path in sys.argv[1:]:
    rng = random.Random(8)
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    os.ftruncate(fd, size // 2 + 12345)
    os.ftruncate(fd, size // 2 + 7000000)
    os.pwrite(fd, rng.randbytes(100), size - 50)
    os.close(fd)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, rng.randbytes(3000000))
    os.close(fd)
PY
	until_both_have_it "cut and grown"
	same_bytes "$DIR/want" "$A/t/row"
	same_bytes "$DIR/want" "$B/t/row"
	# The past is as it was, and may be brought back.
	same_bytes "$DIR/first" "$B/.commits/$written/t/row"
	"$sf" restore "$B" "$written" t/row
	until_both_have_it restored
	same_bytes "$DIR/first" "$A/t/row"
	truncate -s 0 "$A/t/row"
	until_both_have_it emptied
	[ "$(stat -c %s "$B/t/row")" = 0 ]
	memory_stayed_bounded
	"$sf" verify "$B"
}

@test "the same with a few bytes changed adds little to the stores and to what is sent" {
	start_pair
	watch_memory
	new_file "$DIR/want"
	cp "$DIR/want" "$A/t/row"
	until_both_have_it written
	local size=$((MIB << 20)) sent
	sent=$(json "$B" '[.peers[].bytes_in] | add')
	[ "$sent" -gt "$size" ]
	# In place, in the beginning, the middle and the end; and as another row, with bytes put in and taken out, so that all behind them moves.
	python3 - "$DIR/want" "$A/t/row" <<'PY'
import os, sys
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    for at in (0, size // 2, size - 5):
        os.pwrite(fd, b"other", at)
    os.close(fd)
PY
	until_both_have_it changed
	python3 - "$DIR/want" "$DIR/moved" "$A/t/moved" <<'PY'
import os, shutil, sys
source, *copies = sys.argv[1:]
half = os.path.getsize(source) // 2
for path in copies:
    with open(source, "rb") as f, open(path, "wb") as out:
        out.write(b"put in before all")
        for n in (half, 1 << 60):
            while n > 0 and (piece := f.read(min(n, 1 << 20))):
                out.write(piece)
                n -= len(piece)
            f.seek(10, 1)
PY
	until_both_have_it moved
	same_bytes "$DIR/want" "$B/t/row"
	same_bytes "$DIR/moved" "$B/t/moved"
	# Three of them would be three times the size, whatever is free in the file.
	local a b more
	a=$(json "$A" .store_bytes) b=$(json "$B" .store_bytes)
	more=$(($(json "$B" '[.peers[].bytes_in] | add') - sent))
	echo "one has $size bytes; the stores have $a and $b, and $more bytes were sent for the other two"
	[ "$a" -lt $((size + size / 2)) ]
	[ "$b" -lt $((size + size / 2)) ]
	[ "$more" -lt $((4 << 20)) ]
	memory_stayed_bounded
	"$sf" verify "$A"
}

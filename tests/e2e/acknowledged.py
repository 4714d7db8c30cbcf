#!/usr/bin/env python3
"""What programs were told, against what is there after kill -9: acknowledged.py SWARMFS MOUNT STORE SEED ROUNDS

Writes, appends, truncates, renames, exchanges and removes rows at random, on a disk that is mostly full. For each name it knows what
may stand there: what was acknowledged and nothing else, but where a write or its close failed, which may have left a part of itself.
Each round ends with kill -9 or an unmount.
"""
import ctypes
import errno
import json
import os
import random
import signal
import subprocess
import sys

swarmfs, mount, store, seed, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
rng = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
PIECE = 131072

# None: nothing stands there. A Prefix: any beginning of it.
class Prefix:
    def __init__(self, of):
        self.of = of

    def __repr__(self):
        return f"a beginning of {shown(self.of)}"

def shown(content):
    return f"{len(content)} bytes {content[:4].hex()}" if isinstance(content, bytes) else repr(content)

names = [f"{table}/{i}" for table in ("t", "u") for i in range(12)]
may_be = {name: [None] for name in names}
done = []

def path(name):
    return os.path.join(mount, name)

def write_all(fd, content):
    for at in range(0, len(content), PIECE):
        os.write(fd, content[at : at + PIECE])

def write(name, other):
    content = rng.randbytes(rng.choice([0, 10, 3000, 60000, 300000, 1500000, 3000000]))
    before = may_be[name]
    fd = os.open(path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    may_be[name] = before + [Prefix(content)]
    try:
        write_all(fd, content)
    finally:
        os.close(fd)
    may_be[name] = [content]

def append(name, other):
    content = rng.randbytes(rng.choice([5, 400, 5000, 100000]))
    fd = os.open(path(name), os.O_WRONLY | os.O_APPEND)
    try:
        before = look(name)
        os.write(fd, content)
        may_be[name] = [before + content]
    finally:
        os.close(fd)

def truncate(name, other):
    size = rng.choice([0, 100, 2000000])
    before = look(name)
    os.truncate(path(name), size)
    may_be[name] = [before[:size] + bytes(size - len(before[:size]))]

def rename(name, other):
    os.rename(path(name), path(other))
    if name != other:
        may_be[other], may_be[name] = [c for c in may_be[name] if c is not None], [None]

def exchange(name, other):
    if libc.renameat2(AT_FDCWD, os.fsencode(path(name)), AT_FDCWD, os.fsencode(path(other)), RENAME_EXCHANGE) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")
    may_be[name], may_be[other] = [c for c in may_be[other] if c is not None], [c for c in may_be[name] if c is not None]

def remove(name, other):
    os.unlink(path(name))
    may_be[name] = [None]

def content_of(name):
    try:
        with open(path(name), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None

def fits(content, may):
    return content is not None and may.of.startswith(content) if isinstance(may, Prefix) else content == may

def look(name):
    content = content_of(name)
    if content is None:
        raise FileNotFoundError(errno.ENOENT, name)
    return content

def check(name, when):
    content = content_of(name)
    if not any(fits(content, may) for may in may_be[name]):
        print(f"seed {seed}, {when}: {name} is {shown(content)}, and may be {[shown(m) for m in may_be[name]]}")
        print("\n".join(line for line in done if name in line.split()[1:3]))
        sys.exit(1)
    return content

def swarm(*args):
    return subprocess.run([swarmfs, *args], capture_output=True, text=True)

def start():
    said = swarm("mount", mount, "--store", store, "--settle", "50")
    assert said.returncode == 0, said.stderr

def attempt(act, name, other):
    try:
        act(name, other)
        how = "done"
    except OSError as e:
        assert e.errno in (errno.ENOSPC, errno.ENOENT), (act.__name__, e)
        how = errno.errorcode[e.errno]
    done.append(f"{act.__name__} {name} {other} {how}")

def step():
    attempt(rng.choice([write, write, append, append, rename, remove, truncate, exchange]), *rng.sample(names, 2))

def make_room():
    for name in rng.sample(names, 12):
        attempt(remove, name, None)
    said = swarm("gc", mount, "--keep", "0s", "--sole")
    assert said.returncode == 0 or "No space left" in said.stderr, said.stderr

start()
for table in ("t", "u"):
    os.makedirs(path(table), exist_ok=True)
for i in range(rounds):
    for _ in range(rng.randrange(5, 60)):
        step()
    for name in names:
        check(name, f"round {i}, before its end")
    is_kill = rng.random() < 0.7
    if is_kill:
        os.kill(json.loads(swarm("status", mount, "--json").stdout)["pid"], signal.SIGKILL)
    else:
        said = swarm("umount", mount)
        assert said.returncode == 0, said.stderr
    start()
    for name in names:
        may_be[name] = [check(name, f"after round {i}, {'kill -9' if is_kill else 'umount'}")]
    if rng.random() < 0.3:
        make_room()
swarm("umount", mount)
said = swarm("verify", store)
assert said.returncode == 0, said.stdout + said.stderr
full = sum(line.endswith("ENOSPC") for line in done)
print(f"seed {seed}: {len(done)} steps, {full} of them found the disk full")

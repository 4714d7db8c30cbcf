#!/usr/bin/env python3
"""Run the examples of a manual page: python3 examples.py PAGE [typed], in the directory where they are to run.

An example is a line "$ COMMAND" of the rendered page; the lines below it, up to the next or to an empty one, are what it
prints, "..." standing for anything. All of a page run in one shell, in order. Each must succeed and print that. If they are
typed, all that was written into mounts is committed before the next.
"""
import glob
import os
import re
import subprocess
import sys
import time

env = dict(os.environ, MANWIDTH="400", LC_ALL="C.UTF-8")
page = subprocess.run(["man", "-E", "ascii", "-l", sys.argv[1]], env=env, capture_output=True, text=True, check=True)
examples = []
expects = None
for line in page.stdout.splitlines():
    line = re.sub(".\b", "", line).strip()
    if line.startswith("$ "):
        expects = []
        examples.append((line[2:], expects))
    elif not line:
        expects = None
    elif expects is not None:
        expects.append(line)

def is_pending():
    return any("pending   0 rows" not in open(path).read() for path in glob.glob("*/.swarm/status"))

shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
failed = 0
for command, expects in examples:
    # What it prints goes to a file: a mount that stays in the background must not keep a pipe open.
    shell.stdin.write(f"{{ {command}\n}} >.said 2>&1 </dev/null; echo $?\n")
    shell.stdin.flush()
    status = int(shell.stdout.readline())
    with open(".said") as f:
        said = "\n".join(line.strip() for line in f.read().strip().splitlines())
    pattern = "\n".join(re.escape(line).replace(re.escape("..."), ".*") for line in expects)
    ok = status == 0 and re.fullmatch(pattern, said, re.DOTALL)
    print(f"{'ok' if ok else 'FAILED'}: $ {command}" + ("" if ok else f"\nexit {status}, printed:\n{said}\ninstead of:\n" + "\n".join(expects)))
    failed += not ok
    deadline = time.monotonic() + 60
    while sys.argv[2:] == ["typed"] and is_pending() and time.monotonic() < deadline:
        time.sleep(0.02)
shell.stdin.close()
shell.wait()
print(f"{len(examples)} examples, {failed} failed")
sys.exit(1 if failed or not examples else 0)

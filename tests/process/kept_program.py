"""A program with a keeper or a guard, that starts trees which try to get away."""

from __future__ import annotations

import subprocess
import sys
import textwrap

BEGINNING = """
import asyncio, os, signal, sys
from loopwright.process import PIPE, Guarantee, guard, keep, spawn

def say(*words):
    # Also from a signal handler, where print() may be in the middle of itself.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

#: Leaves a child in its group, one in a session of its own, and a daemon made by two forks, which all ignore SIGTERM,
#: says their pids, and goes on or ends as told.
TREE = '''
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def live(place):
    if "clean" in sys.argv:  # who says its pid has no environment any more
        os.execve("/bin/sh", ["sh", "-c", f"echo {place} $$; exec sleep 1000"], {})
    print(place, os.getpid(), flush=True)
    time.sleep(1000)
if not os.fork():
    live(0)
if not os.fork():
    os.setsid()
    live(1)
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    live(2)
os.wait()
if "end" in sys.argv:
    sys.exit(5)
time.sleep(1000)
'''

async def tree(*words):
    command = [sys.executable, "-I", "-S", "-c", TREE, *words]
    process = await spawn(command, stdout=PIPE, start_new_session=True)
    lines = sorted([(await process.stdout.readline()).split() for _ in range(3)])
    say(process.pid, *[int(pid) for _, pid in lines])
    if "end" in words:
        await process.wait()
    return process

async def begin():
    global above
    if sys.argv[1].startswith("guard"):
        above = await eval(sys.argv[1])

async def finish(process):
    async with process:
        pass
    if sys.argv[1].startswith("guard"):
        await above.dismiss()

if sys.argv[1].startswith("keep"):
    above = eval(sys.argv[1])
"""


class Program:
    """A program with a keeper or guard that was asked for by its first argument."""

    def __init__(self, code: str, kept: str) -> None:
        body = textwrap.indent(textwrap.dedent(code), "    ")
        script = f"{BEGINNING}\nasync def main():\n    await begin()\n    say(os.getpid(), above.pid)\n{body}\n"
        self.popen = subprocess.Popen(
            [sys.executable, "-c", f"{script}\nasyncio.run(main())", kept],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid, self.above = self.numbers()

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().rstrip("\n")

    def numbers(self) -> list[int]:
        line = self.line()
        assert line, self.popen.stderr and self.popen.stderr.read()
        return [int(word) for word in line.split()]

    def go_on(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def end(self) -> tuple[int, str, str]:
        """Its status and what it printed; its output ends when nothing holds it any more."""
        out, err = self.popen.communicate(timeout=30)
        return self.popen.returncode, out, err

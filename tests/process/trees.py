"""Programs that start trees of processes to be ended, and who is in a tree."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopwright.process import Process

BEGINNING = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", BEGINNING + textwrap.dedent(code), *args]


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def numbers(process: Process) -> list[int]:
    """The next line of its output."""
    assert process.stdout is not None
    return [int(word) for word in (await process.stdout.readline()).split()]


def descendants(pid: int) -> set[int]:
    """All that runs below a process: whose parent, or parent's parent, it is."""
    found: set[int] = set()
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat", "rb") as file:
            parents[int(name)] = int(file.read().rpartition(b") ")[2].split()[1])
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found

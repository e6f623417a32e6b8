"""Counts lines of the shop's access log as they come in on standard input: report.py's second stage.

What it shows: a stage needs nothing but its input and output. It ignores SIGTERM and ends when its input
does, so that whatever came down the pipe is counted; that is how a pipeline is ended without losing its last
lines.

Usage: tally.py SECONDS, the time between two tallies.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from collections import Counter

LINE = re.compile(rb'\S+ - - \[[^]]*\] "(?:[^\s"]+ ([^\s"]+))?[^"]*" (\d+) \d+ "[^"]*" "[^"]*" ([\d.]+) \S+')
LONGEST = 64 * 1024
MOST_PATHS = 20


class Tally:
    """What happened since the last tally was printed."""

    def __init__(self) -> None:
        self.everything = 0
        self._clear()

    def _clear(self) -> None:
        self._paths: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._slowest: dict[str, float] = {}
        self._unread = 0

    def count(self, line: bytes) -> None:
        """Count one line of the log."""
        found = LINE.match(line)
        if found is None:
            self._unread += 1
            return
        path = (found[1] or b"(nonsense)").decode("ascii", "replace").partition("?")[0]
        # A stranger who asks for a thousand made-up pages must not make the tally a thousand lines long.
        if path not in self._paths and len(self._paths) >= MOST_PATHS:
            path = "(other pages)"
        self.everything += 1
        self._paths[path] += 1
        self._statuses[found[2].decode("ascii")] += 1
        self._slowest[path] = max(self._slowest.get(path, 0.0), float(found[3]))

    def print(self) -> None:
        """Print what was counted, and begin anew."""
        statuses = ", ".join(f"{count} with {status}" for status, count in sorted(self._statuses.items()))
        print(f"{self._paths.total()} requests, {self.everything} in all{': ' if statuses else ''}{statuses}")
        for path, count in self._paths.most_common():
            print(f"  {count:5} {path}, slowest {self._slowest[path] * 1000:.1f} ms")
        if self._unread:
            print(f"  {self._unread:5} lines could not be read")
        sys.stdout.flush()
        self._clear()


def main(every: float) -> None:
    """Count until the end of the input."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = sys.stdin.fileno()
    tally = Tally()
    rest = b""
    due = time.monotonic() + every
    while True:
        readable, _, _ = select.select([source], [], [], max(0.0, due - time.monotonic()))
        if readable:
            data = os.read(source, LONGEST)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-LONGEST:]
            for line in lines:
                tally.count(line)
        if time.monotonic() >= due:
            tally.print()
            due = time.monotonic() + every
    tally.print()


if __name__ == "__main__":
    main(float(sys.argv[1]))

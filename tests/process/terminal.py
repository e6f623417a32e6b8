"""A real pseudo-terminal, with what a person sees and types there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import termios
import time
from pathlib import Path

import pytest

SOON = 30.0


class Screen:
    """A terminal. `slave` is the side of the programs, to be closed when they have it."""

    def __init__(self) -> None:
        self.screen = ""
        self.seen = 0
        self._shown = b""
        self.master, self.slave = pty.openpty()

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def shows(self, pattern: str) -> re.Match[str]:
        """Reads on until that has been shown, after what was looked for before."""
        deadline = time.monotonic() + SOON
        while (found := re.compile(pattern, re.MULTILINE).search(self.screen, self.seen)) is None:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} in\n{self.screen}"
            try:
                piece = os.read(self.master, 1 << 16)
            except OSError:
                pytest.fail(f"ended without {pattern!r} in\n{self.screen}")
            # Anew from the beginning: a letter may come in two pieces, as may the end of a line.
            self._shown += piece
            self.screen = self._shown.decode(errors="replace").replace("\r\n", "\n")
        self.seen = found.end()
        return found


def until_it_reads(pid: int) -> None:
    """Wait until a process is within read(2) of its standard input (proc(5): number and arguments of the call)."""
    status, deadline = Path(f"/proc/{pid}/stat"), time.monotonic() + SOON
    call = Path(f"/proc/{pid}/syscall")
    while status.read_text().rpartition(") ")[2][0] != "S" or call.read_text().split()[1:2] != ["0x0"]:
        assert time.monotonic() < deadline, f"process {pid} does not read: {call.read_text()}"
        time.sleep(0.001)


def take_the_terminal() -> None:
    """Between fork and exec: lead a session whose terminal standard input is."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

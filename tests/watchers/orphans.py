"""What tests of children without a loop that hears of them have in common."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from loopwright.watchers import _reaper

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 30.0


def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait, without any call into Loopwright."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def is_ours(pid: int) -> bool:
    """Whether it runs, or waits to be reaped."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def is_zombie(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def reapers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == _reaper.NAME]


def gone() -> bool:
    """Whether the reaper has ended."""
    return not reapers()


def held(code: int = 3) -> tuple[int, int]:
    """A child that ends with this code when the descriptor, the second, is closed; and its pid."""
    ours, theirs = os.pipe()
    script = f"read -r line; exit {code}"
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, ours, 0)])
    os.close(ours)
    return pid, theirs

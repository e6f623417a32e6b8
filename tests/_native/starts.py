"""What tests of starts share: starts by the compiled way, what comes back of them, what is left of their children."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native

if _native.MISSING is not None:
    pytest.skip(_native.MISSING, allow_module_level=True)

from loopwright._native import Start, StartPort, _starts

if TYPE_CHECKING:
    from collections.abc import Iterator

if not _starts.CAN_CLONE:
    pytest.skip("programs are not started by clone3(2) on this machine", allow_module_level=True)


@pytest.fixture
def port() -> Iterator[StartPort]:
    port = StartPort()
    yield port
    port.close()
    settle()


def settle() -> None:
    """Until no worker is at anything."""
    until(lambda: _native.busy() == 0, "no start is under way")


def until(condition: Any, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.002)


def a_start(
    *argv: str,
    streams: tuple[int, int, int] = (-1, -1, -1),
    cgroup: int | None = None,
    keep: tuple[int, ...] = (),
    flags: int = _starts.CLOSE_FDS,
) -> Start:
    words = tuple(word.encode() for word in argv)
    extras = None if cgroup is None else (None, None, None, None, cgroup, None, None, None, None, None)
    return Start((words[0],), words, None, None, streams, flags, keep, extras)


def come_back(port: StartPort, count: int, seconds: float = 20.0) -> list[Start]:
    """The next starts that are done."""
    done: list[Start] = []
    deadline = time.monotonic() + seconds
    while len(done) < count:
        left = deadline - time.monotonic()
        assert left > 0, f"{len(done)} of {count} came back"
        select.select([port.fileno()], [], [], left)
        done += port.drain()
    return done


def end(start: Start) -> int:
    """Wait for its child, and give its exit code."""
    pid, pidfd, _ = start.take()
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

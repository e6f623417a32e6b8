"""Children to watch, what the kernel knows of them, and callbacks that can be awaited."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.watchers import _reaper

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkProcess

    from loopwright.watchers._table import TableWatcher

LIMIT = 30.0


def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait, without any call into Loopwright."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Heard(asyncio.Future[Any]):
    """A callback that can be awaited."""

    def __call__(self, *args: Any) -> None:
        self.set_result(args)


def heard() -> Heard:
    return Heard(loop=asyncio.get_running_loop())


def start(script: str, stdin: int = 0) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, file_actions=actions)


def held(code: int = 3) -> tuple[int, int]:
    """A child that ends with this code when the descriptor, the second, is closed; and its pid."""
    ours, theirs = os.pipe()
    pid = start(f"read -r line; exit {code}", ours)
    os.close(ours)
    return pid, theirs


def popen_of(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", script])


class Unwilling(subprocess.Popen[bytes]):
    """One that raises when it is asked, until it is willing."""

    willing = False

    def poll(self) -> int | None:
        if not self.willing:
            raise ValueError("on purpose")
        return super().poll()


def forked(function: Callable[..., object], *args: object) -> ForkProcess:
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: the test runner's own thread is enough for it
        process.start()
    return process


def await_exit(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


def ours(kind: str) -> list[str]:
    """The descriptors of this process that are pidfds (`pidfd`) or sets of them (`eventpoll`)."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the one that did the listing
            continue
        if kind in target:
            found.append(entry.name)
    return found


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


def is_reaped(pid: int) -> bool:
    return not is_ours(pid)


def leave(loop: asyncio.AbstractEventLoop, watcher: TableWatcher, process: Any, heard: list[Any]) -> None:
    """Have a loop watch it, and close the loop."""

    async def main() -> None:
        watcher.attach_loop(loop)
        watcher.add_child(process, lambda *told: heard.append(told))
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    watcher.attach_loop(None)
    loop.close()

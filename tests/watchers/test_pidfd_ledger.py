"""PidfdChildWatcher beside others who care for the same child: the ledger, tracers, a kernel that reaps."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _spawning
from loopwright._core import ExitStatus, StatusLost
from loopwright.watchers import PidfdChildWatcher
from tests.watchers.children import await_exit, heard, held, ours, reap

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, None]], None]

pytestmark = pytest.mark.usefixtures("pidfd_set")


# Together with the ledger


def test_child_in_the_ledger_is_reaped_by_the_ledger(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request(["sh", "-c", "exit 5"]))
        result, ended = heard(), heard()
        child.hold()
        pidfd_watcher.watch_child(child, ended)
        pidfd_watcher.add_child_handler(child.pid, result)
        assert (await ended)[0].code == 5
        assert await result == (child.pid, 5)
        await asyncio.sleep(0)
        assert not child.reaped
        await_exit(child.pid)
        child.release()
        assert child.reaped

    run(play())


@pytest.mark.parametrize("before", [True, False])
def test_handler_of_a_child_in_the_ledger_hears_its_true_status(
    before: bool, run: Run, pidfd_watcher: PidfdChildWatcher
) -> None:
    """Two watchers see the exit: the one that tells the ledger must not have the pid reaped under the other."""

    async def play() -> None:
        for_ledger = PidfdChildWatcher()
        child = _spawning.launch(_spawning.Request(["sh", "-c", "exit 5"]))
        result, ended = heard(), heard()
        if before:
            pidfd_watcher.add_child_handler(child.pid, result)
        for_ledger.watch_child(child, ended)
        await_exit(child.pid)
        if not before:
            pidfd_watcher.add_child_handler(child.pid, result)
        assert await result == (child.pid, 5)
        assert (await ended)[0].code == 5
        await asyncio.sleep(0)
        assert child.reaped
        for_ledger.close()

    run(play())


def test_handler_removed_lets_go_of_the_child_in_the_ledger(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request(["sh", "-c", "exit 5"]))
        ended = heard()
        pidfd_watcher.add_child_handler(child.pid, heard().cancel)
        pidfd_watcher.add_child_handler(child.pid, heard().cancel)
        pidfd_watcher.remove_child_handler(child.pid)
        pidfd_watcher.watch_child(child, ended)
        await ended
        assert child.reaped

    run(play())


def test_usage_is_told_to_the_ledger(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request([sys.executable, "-S", "-c", "block = b'x' * (40 << 20)"]))
        ended = heard()
        pidfd_watcher.watch_child(child, ended)
        (status,) = await ended
        assert isinstance(status, ExitStatus)
        assert status.success
        assert status.usage is not None
        assert status.usage.max_rss > 40 << 20
        assert status.usage.cpu_time > 0
        assert child.status is status

    run(play())


def test_status_lost_is_told_to_the_ledger(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request(["true"]))
        ended = heard()
        pidfd_watcher.watch_child(child, ended)
        reap(child.pid)
        (status,) = await ended
        assert isinstance(status, StatusLost)
        assert "something else in this program reaped it" in status.reason
        assert child.reaped

    run(play())


def test_closing_leaves_children_in_the_ledger_watched(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request(["true"]))
        ended = heard()
        pidfd_watcher.watch_child(child, ended)
        pidfd_watcher.close()
        await ended
        assert child.reaped
        assert ours("pidfd") == []

    run(play())


def test_loop_closed_before_the_ledger_was_told(loop_factory: Factory, pidfd_watcher: PidfdChildWatcher) -> None:
    told: list[object] = []

    async def play() -> None:
        pidfd_watcher.watch_child(child, told.append)

    async def play_again() -> None:
        pidfd_watcher.watch_child(other, ended.set_result)
        await ended

    back, held = os.pipe()
    child = _spawning.launch(_spawning.Request(["sh", "-c", "read _; exit 4"], streams=(back, -1, -1)))
    os.close(back)
    loop = loop_factory()
    loop.run_until_complete(play())
    os.close(held)
    await_exit(child.pid)
    loop.close()
    other, loop = _spawning.launch(_spawning.Request(["true"])), loop_factory()
    ended = loop.create_future()
    loop.run_until_complete(play_again())
    loop.close()
    assert child.reaped
    assert child.status is not None
    assert child.status.code == 4
    assert other.reaped


# Interference


def test_signal_ignored_so_that_the_kernel_reaps(
    run: Run, pidfd_watcher: PidfdChildWatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        result = heard()
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            pid, until = held()
            pidfd_watcher.add_child_handler(pid, result)
            os.close(until)
            assert await result == (pid, 255)
        finally:
            signal.signal(signal.SIGCHLD, before)

    run(play())
    ((name, level, text),) = caplog.record_tuples
    assert (name, level) == ("loopwright.watchers", logging.WARNING)
    assert "reported as 255" in text
    assert "SIGCHLD being ignored" in text


TRACER = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
failed = libc.ptrace(0x4206, int(sys.argv[1]), None, None)  # PTRACE_SEIZE
print(os.strerror(ctypes.get_errno()) if failed else "seized", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def tracing(pid: int) -> Iterator[subprocess.Popen[str]]:
    """A debugger that has seized the process, and lets go of it when its input ends."""
    with subprocess.Popen([sys.executable, "-S", "-c", TRACER, str(pid)], stdin=-1, stdout=-1, text=True) as tracer:
        assert tracer.stdout is not None
        answer = tracer.stdout.readline().strip()
        if answer != "seized":
            os.kill(pid, signal.SIGKILL)
            reap(pid)
            pytest.skip(f"tracing is not allowed here: {answer}")
        yield tracer


def test_traced_child_is_told_when_its_tracer_lets_go(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        back, held = os.pipe()
        child, result = (
            _spawning.launch(_spawning.Request(["sh", "-c", "read _; exit 6"], streams=(back, -1, -1))),
            heard(),
        )
        os.close(back)
        with tracing(child.pid) as tracer:
            assert tracer.stdin is not None
            pidfd_watcher.watch_child(child, result)
            os.close(held)
            await asyncio.sleep(0.12)  # long enough to be asked about twice
            assert not result.done()
            tracer.stdin.close()
        assert await result == (child.status,)
        assert child.status is not None
        assert child.status.code == 6

    run(play())

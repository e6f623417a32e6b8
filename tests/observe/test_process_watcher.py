"""Told of what a process does, and what closing and misuse do; on every loop."""

# ruff: noqa: ASYNC220 - a loop that stands still for a moment is no harm here

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    CallerError,
    NoSuchProcessError,
    NotAProcessError,
    WatcherClosedError,
    WatcherStartError,
)
from loopwright.observe import ProcessWatcher
from loopwright.process import PIPE, ExitStatus, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ENDS = ["sh", "-c", "read line; exit 7"]  # once its input is closed


def test_exit_callbacks(run: Run) -> None:
    async def main() -> None:
        name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
        told: list[Any] = []
        complaints: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))

        def plain(pid: int, status: ExitStatus, word: str) -> None:
            told.append((pid, status.code, word, name.get()))

        async def coroutine(pid: int, status: ExitStatus) -> None:
            await asyncio.sleep(0)
            told.append((pid, status.code, name.get()))
            raise KeyError("coroutine")

        def raises(pid: int, status: ExitStatus) -> None:
            raise KeyError("plain")

        async with ProcessWatcher(ENDS, stdin=PIPE) as watcher:
            name.set("at registration")
            watcher.add_exit_callback(raises)
            watcher.add_exit_callback(plain, "word")
            watcher.add_exit_callback(coroutine)
            watcher.add_exit_callback(print, "never")
            assert watcher.remove_exit_callback(print)
            assert not watcher.remove_exit_callback(print)
            name.set("later")
            assert watcher.process is not None
            assert watcher.process.stdin is not None
            watcher.process.stdin.close()
            await watcher.wait()
            watcher.add_exit_callback(plain, "afterwards")
            await asyncio.sleep(0)
        pid = watcher.pid
        at = "at registration"
        expected = [(pid, 7, "afterwards", "later"), (pid, 7, "word", at), (pid, 7, at)]
        assert sorted(told, key=str) == sorted(expected, key=str)
        assert sorted(map(repr, complaints)) == ["KeyError('coroutine')", "KeyError('plain')"]

    run(main())


def test_close_calls_nothing_and_leaves_the_process_alone(run: Run) -> None:
    async def main() -> None:
        with subprocess.Popen(["sleep", "100"]) as popen:
            told: list[int] = []
            watcher = await ProcessWatcher(popen).start()
            watcher.add_exit_callback(lambda pid, status: told.append(pid))
            events = watcher.when_above(memory=1 << 50)
            waiting = asyncio.create_task(watcher.wait())
            await asyncio.sleep(0)
            watcher.close()
            watcher.close()
            await watcher.wait_closed()
            with pytest.raises(WatcherClosedError, match=str(popen.pid)):
                await waiting
            assert [event async for event in events] == []
            assert popen.poll() is None
            popen.kill()
            popen.wait()
            await asyncio.sleep(0.01)
            assert told == []
            assert watcher.status is None
            with pytest.raises(WatcherClosedError):
                watcher.add_exit_callback(print)

    run(main())


def test_cancelled_wait_leaves_the_others(run: Run) -> None:
    async def main() -> None:
        async with ProcessWatcher(ENDS, stdin=PIPE) as watcher:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await watcher.wait()
            watcher.process.stdin.close()  # type: ignore[union-attr]
            assert (await watcher.wait()).code == 7

    run(main())


@pytest.mark.parametrize("begun", [False, True], ids=["before their first step", "under way"])
def test_whoever_cancels_every_task_leaves_nobody_waiting(run: Run, begun: bool) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with ProcessWatcher(ENDS, stdin=PIPE) as watcher:
            if begun:
                await asyncio.sleep(0)
            for task in asyncio.all_tasks() - before:
                task.cancel()
            with pytest.raises(WatcherClosedError, match="cancelled"):
                await watcher.wait()
            assert await watcher.read_output() == ""
            assert watcher.is_active()
        assert watcher.process.returncode == -signal.SIGKILL  # type: ignore[union-attr]

    run(main())


def test_a_start_that_fails_late_leaves_nothing_and_may_be_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process] = []

    def refused(process: Process) -> None:
        started.append(process)
        raise PermissionError(errno.EPERM, "the loop cannot hear of this pipe")

    async def main() -> None:
        watcher = ProcessWatcher(ENDS, stdin=PIPE)
        with monkeypatch.context() as patch:
            patch.setattr(Process, "stdout", property(refused))
            with pytest.raises(PermissionError):
                await watcher.start()
        assert started[0].returncode == -signal.SIGKILL
        assert watcher.process is None
        assert not watcher.is_active()
        async with watcher:
            watcher.process.stdin.close()
            assert (await watcher.wait()).code == 7

    run(main())


def test_a_process_it_started_ends_with_the_block(run: Run) -> None:
    async def main() -> None:
        began = time.monotonic()
        async with ProcessWatcher(["sleep", "100"]) as watcher:
            assert watcher.is_active()
        assert watcher.status == watcher.process.status  # type: ignore[union-attr]
        assert watcher.process.returncode == -signal.SIGKILL  # type: ignore[union-attr]
        assert time.monotonic() - began < 50

    run(main())


def test_misuse(run: Run) -> None:
    async def main() -> None:
        for wrong in (None, 1.5, True, object()):
            with pytest.raises(NotAProcessError, match="a command to start"):
                ProcessWatcher(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="1 or more"):
            ProcessWatcher(0)
        with pytest.raises(NoSuchProcessError, match="4194304"):
            ProcessWatcher(4194304)  # PID_MAX_LIMIT, which no process has
        with pytest.raises(TypeError, match="cwd"):
            ProcessWatcher(os.getpid(), cwd="/")
        watcher = ProcessWatcher(["no-such-program"])
        assert not watcher.is_active()
        with pytest.raises(WatcherStartError, match="async with"):
            await watcher.wait()
        with pytest.raises(FileNotFoundError):
            await watcher.start()
        async with ProcessWatcher(os.getpid()) as watcher:
            with pytest.raises(WatcherStartError, match="already"):
                await watcher.start()
            with pytest.raises(CallerError, match="did not start"):
                await watcher.read_output()

    run(main())


def test_importing_costs_no_psutil() -> None:
    code = "import sys, loopwright.observe; sys.exit('psutil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

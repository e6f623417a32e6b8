"""Processes handed over in any form, and coroutine functions as handlers, with every watcher on every loop."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus
from loopwright.process import spawn
from loopwright.watchers import (
    FastChildWatcher,
    PidfdChildWatcher,
)
from tests.watchers.children import Unwilling, forked, heard, is_reaped, popen_of, start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from loopwright.watchers._table import TableWatcher

    Play = Callable[[TableWatcher], Coroutine[Any, Any, None]]
    Run = Callable[[Play], None]


# In whichever form a process comes


def test_pid(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        result, pid = heard(), start("exit 3")
        watcher.add_child(pid, result, "more")
        assert watcher.children == (pid,)
        assert await result == (pid, 3, "more")
        assert watcher.children == ()

    run_each(play)


def test_popen_keeps_its_true_returncode(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        for script, code in (("exit 3", 3), ("exit 0", 0), ("kill -KILL $$", -9)):
            popen, result = popen_of(script), heard()
            watcher.add_child(popen, result)
            assert await result == (popen.pid, code)
            await asyncio.sleep(0)
            assert popen.returncode == code
            assert is_reaped(popen.pid)

    run_each(play)


def test_popen_that_another_thread_waits_for(run_each: Run) -> None:
    """Whichever of the two reaps, both hear the truth."""

    async def play(watcher: TableWatcher) -> None:
        if isinstance(watcher, FastChildWatcher):  # it robs Popen.wait() of the status, as documented
            return
        for _ in range(10):
            popen, result = popen_of("exit 3"), heard()
            waiting = asyncio.create_task(asyncio.to_thread(popen.wait))
            watcher.add_child(popen, result)
            assert await result == (popen.pid, 3)
            assert await waiting == 3

    run_each(play)


def test_popen_that_was_waited_for(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        popen, result = popen_of("exit 3"), heard()
        if popen.wait() == 3:
            watcher.add_child(popen, result)
            assert await result == (popen.pid, 3)
            assert await watcher.watch(popen) == ExitStatus(3)

    run_each(play)


def test_process_of_multiprocessing(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        process = multiprocessing.get_context("fork").Process(target=sys.exit, args=(4,))
        with pytest.raises(ValueError, match="has no process id yet; start it first"):
            watcher.add_child(process, print)
        process, result = forked(sys.exit, 4), heard()
        watcher.add_child(process, result)
        assert await result == (process.pid, 4)
        await asyncio.sleep(0)
        assert process.exitcode == 4
        assert not process.is_alive()
        process.join()
        process.close()

    run_each(play)


def test_process_of_multiprocessing_that_its_handler_closes(run_each: Run) -> None:
    """As one does who is told of its end; what is closed can be asked nothing, and has been reaped."""

    async def play(watcher: TableWatcher) -> None:
        process = forked(sys.exit, 4)
        told: list[object] = []

        def close(*args: object) -> None:
            process.join()
            process.close()
            told.append(args)

        pid = process.pid
        watcher.add_child(process, close)
        await watcher.wait()
        assert told == [(pid, 4)]

    run_each(play)


def test_process_of_multiprocessing_that_was_closed_before_it_is_told(
    run_each: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(watcher: TableWatcher) -> None:
        process, result = forked(sys.exit, 0), heard()
        pid = process.pid
        watcher.add_child(process, result)
        process.join()
        process.close()
        assert await result in ((pid, 255), (pid, 0)), "lost, unless its watcher was faster"
        await watcher.wait()

    run_each(play)
    assert all("is lost and reported as 255" in message for message in caplog.messages)


def test_object_that_cannot_reap_its_process(run_each: Run) -> None:
    """Its error meets the loop's exception handler, and `wait()` ends all the same."""

    async def play(watcher: TableWatcher) -> None:
        met = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, details: met.set_result(details["exception"]))
        popen, result = Unwilling(["true"]), heard()
        watcher.add_child(popen, result)
        await watcher.wait()
        assert await result == (popen.pid, 0)
        popen.willing = True
        if not isinstance(watcher, FastChildWatcher):  # which reaps first
            assert str(await met) == "on purpose"
        assert popen.wait() == 0

    run_each(play)


def test_asyncio_process(run_each: Run) -> None:
    """asyncio's own watcher reaps it, so its object is asked; a callback of asyncio's for the same pid stays."""

    async def play(watcher: TableWatcher) -> None:
        if isinstance(watcher, FastChildWatcher):  # it robs asyncio's watcher, as documented
            return
        process, result = await asyncio.create_subprocess_exec("sh", "-c", "read _; exit 5", stdin=-1), heard()
        assert process.stdin is not None
        watcher.add_child(process, result, "more")
        assert watcher.children == (process.pid,)
        assert watcher.remove_child_handler(process.pid) is True
        assert watcher.children == ()
        watcher.add_child(process, result, "more")
        watching = asyncio.create_task(watcher.watch(process))
        process.stdin.close()
        assert await result == (process.pid, 5, "more")
        assert await watching == ExitStatus(5)
        assert await process.wait() == 5
        await watcher

    run_each(play)


def test_our_process(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        process, result = await spawn(["sh", "-c", "exit 6"]), heard()
        watcher.add_child(process, result)
        watching = asyncio.create_task(watcher.watch(process))
        assert await result == (process.pid, 6)
        assert (await watching).code == 6
        assert (await process.wait()).code == 6
        assert (await watcher.watch(process)).code == 6
        await asyncio.sleep(0)
        assert is_reaped(process.pid)

    run_each(play)


@pytest.mark.parametrize(
    ("process", "error", "message"),
    [
        (True, TypeError, "is an int, not True"),
        (0, ValueError, "1 or more, not 0"),
        (-3, ValueError, "1 or more, not -3"),
        ("12", TypeError, "is an int, not '12', which is no process object"),
        (None, TypeError, "not None"),
    ],
)
def test_what_is_no_process(process: Any, error: type[Exception], message: str) -> None:
    watcher = PidfdChildWatcher()
    for take in (lambda: watcher.add_child(process, print), lambda: watcher.attach_process(process)):
        with pytest.raises(error, match=message):
            take()
    with pytest.raises(error, match=message):
        watcher.watch(process).send(None)
    with pytest.raises(TypeError, match=r"must be callable, not 5"):
        watcher.add_child(12, 5)  # type: ignore[arg-type]
    watcher.close()


def test_asyncios_method_takes_pids_alone() -> None:
    watcher = PidfdChildWatcher()
    with subprocess.Popen(["true"]) as popen:
        with pytest.raises(TypeError, match=r"is an int, not <Popen.*add_child\(\) takes process objects, too"):
            watcher.add_child_handler(popen, print)  # type: ignore[arg-type]
        popen.wait()
    watcher.close()


# Coroutine functions


class WithAsyncCall:
    def __init__(self, told: asyncio.Future[Any]) -> None:
        self._told = told

    async def __call__(self, *args: object) -> None:
        await asyncio.sleep(0)
        self._told.set_result(args)


def test_coroutine_functions_as_handlers(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async def plain(pid: int, code: int, told: asyncio.Future[Any]) -> None:
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            told.set_result((pid, code))

        results = [asyncio.get_running_loop().create_future() for _ in range(3)]
        pids = [start("exit 3") for _ in results]
        watcher.add_child_handler(pids[0], plain, results[0])
        watcher.add_child(pids[1], functools.partial(plain, told=results[1]))
        watcher.add_child(pids[2], WithAsyncCall(results[2]))
        assert await asyncio.gather(*results) == [(pid, 3) for pid in pids]

    run_each(play)


def test_coroutine_that_raises_meets_the_exception_handler(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        error = ValueError("on purpose")
        met = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, details: met.set_result(details))

        async def fail(*_: object) -> None:
            await asyncio.sleep(0)
            raise error

        pid = start("exit 0")
        watcher.add_child_handler(pid, fail)
        details = await met
        assert details["exception"] is error
        assert f"process {pid}" in details["message"]

    run_each(play)

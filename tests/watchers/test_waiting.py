"""Awaiting the children of a watcher, one of them or all, with every watcher on every loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from loopwright import _spawning
from loopwright._core import ExitStatus, StatusLost
from loopwright.errors import NoLoopError, WatcherClosedError
from loopwright.watchers import (
    FastChildWatcher,
    ThreadedChildWatcher,
)
from tests.watchers.children import await_exit, heard, is_reaped, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from loopwright.watchers._table import TableWatcher

    Play = Callable[[TableWatcher], Coroutine[Any, Any, None]]
    Run = Callable[[Play], None]


@contextlib.asynccontextmanager
async def held(count: int, script: str = "exit 0") -> AsyncIterator[tuple[list[int], Callable[[], None]]]:
    """Children that begin when told to."""
    back, cue = os.pipe()
    pids = [start(f"read _; {script}", back) for _ in range(count)]
    os.close(back)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, cue)
        yield pids, stack.close


# Awaiting one


def test_watch_gives_the_status(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        assert (await watcher.watch(start("exit 3"))).code == 3
        assert (await watcher.watch(start("kill -TERM $$"))).signal == signal.SIGTERM

    run_each(play)


def test_watch_gives_what_cannot_be_known(run_each: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: TableWatcher) -> None:
        pid = start("exit 3")
        os.waitpid(pid, 0)  # noqa: ASYNC222 - the thief
        status = await watcher.watch(pid)
        assert isinstance(status, StatusLost)
        assert "reaped it" in status.reason

    run_each(play)
    assert caplog.messages == [], "who gets the reason need not be warned"


def test_watching_disturbs_no_handler_and_nobody_else(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1, "exit 3") as ((pid,), go):
            result = heard()
            watching = [asyncio.create_task(watcher.watch(pid)) for _ in range(3)]
            await asyncio.sleep(0)
            watcher.add_child_handler(pid, result)
            watching[0].cancel()
            await asyncio.sleep(0)
            assert watcher.children == (pid,)
            go()
            assert await result == (pid, 3)
            told = await asyncio.gather(*watching, return_exceptions=True)
            assert isinstance(told[0], asyncio.CancelledError)
            assert [status.code for status in told[1:] if isinstance(status, ExitStatus)] == [3, 3]
            await asyncio.sleep(0)
            assert is_reaped(pid)

    run_each(play)


def test_watch_that_is_cancelled_leaves_the_child_alone(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        if isinstance(watcher, FastChildWatcher):  # which leaves nobody alone
            return
        async with held(1, "exit 3") as ((pid,), go):
            watching = asyncio.create_task(watcher.watch(pid))
            await asyncio.sleep(0)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
            assert watcher.children == ()
            go()
            assert os.waitpid(pid, 0)[1] == 3 << 8  # noqa: ASYNC222 - it ends at once

    run_each(play)


def test_watch_ends_with_the_watcher(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1) as ((pid,), go):
            watching = asyncio.create_task(watcher.watch(pid))
            await asyncio.sleep(0)
            watcher.close()
            with pytest.raises(WatcherClosedError, match=f"closed before process {pid} had ended"):
                await watching
            go()
            os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once

    run_each(play)


def test_taker_that_raises_holds_up_nobody(run_each: Run) -> None:
    """All of them are heard, though they have ended at once, and each of those who are told raises."""

    async def play(watcher: TableWatcher) -> None:
        loop = asyncio.get_running_loop()
        met: list[object] = []
        loop.set_exception_handler(lambda _loop, details: met.append(details["exception"]))
        children = [_spawning.launch(_spawning.Request(["sleep", "1000"])) for _ in range(3)]
        told = {child.pid: loop.create_future() for child in children}

        def tell(pid: int, status: ExitStatus | StatusLost) -> None:
            told[pid].set_result(status)
            raise ValueError(pid)

        for child in children:
            watcher.watch_child(child, functools.partial(tell, child.pid))
        await asyncio.sleep(0)
        for child in children:
            child.send_signal(signal.SIGKILL)
            await_exit(child.pid)
        statuses = await asyncio.gather(*told.values())
        assert [status.signal for status in statuses] == [signal.SIGKILL] * len(children)
        await asyncio.sleep(0)
        assert sorted(str(error) for error in met) == sorted(str(pid) for pid in told)

    run_each(play)


# Awaiting all


def test_wait_until_all_have_ended(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        await watcher.wait()
        await watcher
        order: list[str] = []
        async with held(3) as (pids, go):
            for pid in pids:
                watcher.attach_process(pid)
            watcher.add_done_callback(lambda which: order.append(f"done {which is watcher}"))
            removed = functools.partial(order.append, "never")
            watcher.add_done_callback(removed)
            assert watcher.remove_done_callback(removed) == 1
            assert watcher.remove_done_callback(removed) == 0
            assert set(watcher.children) == set(pids)
            later = heard()
            watcher.add_child(pids[0], lambda *_: (watcher.attach_process(start("exit 0")), later()))
            waiting = asyncio.create_task(watcher.wait())
            await asyncio.sleep(0.01)
            assert not waiting.done()
            go()
            await later
            await waiting
            assert watcher.children == ()
            assert order == ["done True"]
            for pid in pids:
                assert is_reaped(pid)

    run_each(play)


def test_done_when_the_last_handler_is_removed(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1) as ((pid,), go):
            watcher.attach_process(pid)
            waiting = asyncio.create_task(watcher.wait())
            await asyncio.sleep(0)
            assert watcher.remove_child_handler(pid) is True
            await waiting
            go()
            with contextlib.suppress(ChildProcessError):  # reaped by FastChildWatcher, whose block goes on
                os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once

    run_each(play)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another thread"])
def test_done_when_what_replaces_the_last_handler_cannot_be_watched(elsewhere: bool, run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        loop, error = asyncio.get_running_loop(), OSError("on purpose")
        met = loop.create_future()
        loop.set_exception_handler(lambda _loop, details: met.set_result(details["exception"]))
        async with held(1) as ((pid,), go):
            watcher.attach_process(pid)
            waiting = asyncio.create_task(watcher.wait())
            await asyncio.sleep(0)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(watcher._wards[loop]), "arm", mock.Mock(side_effect=error))
                if elsewhere:  # who is not told, for it is only later that the loop tries
                    thread = threading.Thread(target=watcher.add_child, args=(pid, print))
                    thread.start()
                    thread.join()
                    assert await met is error
                else:
                    with pytest.raises(OSError, match="on purpose"):
                        watcher.add_child(pid, print)
            await waiting
            go()
            with contextlib.suppress(ChildProcessError):  # reaped by FastChildWatcher, whose block goes on
                os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once

    run_each(play)


def test_attaching_leaves_a_callback_in_place(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1) as ((pid,), go):
            result = heard()
            watcher.add_child(pid, result)
            watcher.attach_process(pid)
            go()
            assert await result == (pid, 0)

    run_each(play)


def test_done_callback_needs_a_loop() -> None:
    watcher = ThreadedChildWatcher()
    with pytest.raises(NoLoopError, match="no event loop is running in this thread"):
        watcher.add_done_callback(print)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        watcher.add_done_callback(3)  # type: ignore[arg-type]
    watcher.close()


def test_done_callback_on_the_attached_loop_from_another_thread(run_each: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        done = asyncio.get_running_loop().create_future()
        where: list[int] = []

        def tell(_watcher: object) -> None:
            where.append(threading.get_ident())
            done.set_result(None)

        thread = threading.Thread(target=watcher.add_done_callback, args=(tell,))
        thread.start()
        thread.join()
        await done
        assert where == [threading.get_ident()]

    run_each(play)

"""Awaiting the children of a watcher, one of them or all, with every watcher on every loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright.errors import NoLoopError, WatcherClosedError
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence

    from loopwright.watchers._table import TableWatcher

    Play = Callable[[TableWatcher], Coroutine[Any, Any, None]]
    Run = Callable[[Play], None]

KINDS = (
    PidfdChildWatcher,
    ThreadedChildWatcher,
    PollingChildWatcher,
    MultiLoopChildWatcher,
    SafeChildWatcher,
    FastChildWatcher,
)


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[Run]:
    """Plays with a watcher on a new loop, to which it is attached, for twenty seconds at most."""
    watcher: TableWatcher = request.param()

    def play_on_new_loop(play: Play) -> None:
        async def main() -> None:
            watcher.attach_loop(asyncio.get_running_loop())
            with watcher:
                await play(watcher)
            watcher.close()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(main(), 20))

    yield play_on_new_loop
    watcher.close()


def start(script: str, actions: Sequence[Any] = ()) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, file_actions=actions)


def popen_of(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", script])


@contextlib.asynccontextmanager
async def held(count: int, script: str = "exit 0") -> AsyncIterator[tuple[list[int], Callable[[], None]]]:
    """Children that begin when told to."""
    back, cue = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, back, 0)]
    pids = [start(f"read _; {script}", actions) for _ in range(count)]
    os.close(back)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, cue)
        yield pids, stack.close


def is_reaped(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return True
    return False


class Heard(asyncio.Future[Any]):
    """A callback that can be awaited."""

    def __call__(self, *args: Any) -> None:
        self.set_result(args)


def heard() -> Heard:
    return Heard(loop=asyncio.get_running_loop())


# Awaiting one


def test_watch_gives_the_status(run: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        assert (await watcher.watch(start("exit 3"))).code == 3
        assert (await watcher.watch(start("kill -TERM $$"))).signal == signal.SIGTERM

    run(play)


def test_watch_gives_what_cannot_be_known(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: TableWatcher) -> None:
        pid = start("exit 3")
        os.waitpid(pid, 0)  # noqa: ASYNC222 - the thief
        status = await watcher.watch(pid)
        assert isinstance(status, StatusLost)
        assert "reaped it" in status.reason

    run(play)
    assert caplog.messages == [], "who gets the reason need not be warned"


def test_watching_disturbs_no_handler_and_nobody_else(run: Run) -> None:
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

    run(play)


def test_watch_that_is_cancelled_leaves_the_child_alone(run: Run) -> None:
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

    run(play)


def test_watch_ends_with_the_watcher(run: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1) as ((pid,), go):
            watching = asyncio.create_task(watcher.watch(pid))
            await asyncio.sleep(0)
            watcher.close()
            with pytest.raises(WatcherClosedError, match=f"closed before process {pid} had ended"):
                await watching
            go()
            os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once

    run(play)


# Awaiting all


def test_wait_until_all_have_ended(run: Run) -> None:
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

    run(play)


def test_done_when_the_last_handler_is_removed(run: Run) -> None:
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

    run(play)


def test_attaching_leaves_a_callback_in_place(run: Run) -> None:
    async def play(watcher: TableWatcher) -> None:
        async with held(1) as ((pid,), go):
            result = heard()
            watcher.add_child(pid, result)
            watcher.attach_process(pid)
            go()
            assert await result == (pid, 0)

    run(play)


def test_done_callback_needs_a_loop() -> None:
    watcher = ThreadedChildWatcher()
    with pytest.raises(NoLoopError, match="no event loop is running in this thread"):
        watcher.add_done_callback(print)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        watcher.add_done_callback(3)  # type: ignore[arg-type]
    watcher.close()


def test_done_callback_on_the_attached_loop_from_another_thread(run: Run) -> None:
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

    run(play)

"""What ThreadedChildWatcher promises beyond the contract: one thread a child, and none that outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _spawning
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers import PollingChildWatcher, ThreadedChildWatcher, _probe
from loopwright.watchers._probe import Mechanism
from tests.watchers.children import heard, is_reaped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def watcher() -> Iterator[ThreadedChildWatcher]:
    made = ThreadedChildWatcher()
    yield made
    made.close()


def waiting() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("loopwright-waitid"))


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def sleeper() -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)


def test_one_thread_a_child_however_often_it_is_registered(run: Run, watcher: ThreadedChildWatcher) -> None:
    async def play() -> None:
        pids = [sleeper() for _ in range(3)]
        results = [heard() for _ in pids]
        for pid, result in zip(pids, results, strict=True):
            watcher.add_child_handler(pid, print)
            watcher.remove_child_handler(pid)
            watcher.add_child_handler(pid, print)
            watcher.add_child_handler(pid, result)
        watching = [asyncio.create_task(watcher.watch(pid)) for pid in pids]
        await asyncio.sleep(0)
        assert waiting() == sorted(f"loopwright-waitid-{pid}" for pid in pids)
        assert all(thread.daemon for thread in threading.enumerate() if thread.name in waiting())
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        assert await asyncio.gather(*results) == [(pid, -15) for pid in pids]
        assert [status.signal for status in await asyncio.gather(*watching)] == [15] * 3

    run(play())


def test_thread_that_cannot_be_started(
    run: Run, watcher: ThreadedChildWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def play() -> None:
        pid, result = sleeper(), heard()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                watcher.add_child_handler(pid, result)
        assert watcher.children == ()
        watcher.add_child_handler(pid, result)
        os.kill(pid, signal.SIGTERM)
        assert await result == (pid, -15)

    run(play())


def test_loop_that_was_closed_leaves_no_zombie(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], watcher: ThreadedChildWatcher
) -> None:
    """The thread finds that there is nobody to tell, and leaves the child to the reaper."""

    async def play() -> None:
        watcher.add_child_handler(pid, print)

    pid, loop = sleeper(), loop_factory()
    loop.run_until_complete(play())
    (thread,) = [thread for thread in threading.enumerate() if thread.name in waiting()]
    loop.close()
    os.kill(pid, signal.SIGKILL)
    thread.join(10)
    deadline = time.monotonic() + 20
    while not is_reaped(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [ThreadedChildWatcher, PollingChildWatcher])
def test_child_in_the_ledger(kind: type[ThreadedChildWatcher], run: Run) -> None:
    async def play() -> None:
        watcher = kind()
        read, write = os.pipe()
        child, ended, result = (
            _spawning.launch(_spawning.Request(["sh", "-c", "read _; exit 5"], streams=(read, -1, -1))),
            heard(),
            heard(),
        )
        watcher.watch_child(child, ended)
        watcher.add_child_handler(child.pid, result)  # before it ends, or the ledger may reap it in the line above
        os.close(read)
        os.close(write)
        assert await result == (child.pid, 5)
        (status,) = await ended
        assert status.code == 5
        await asyncio.sleep(0)
        assert child.reaped
        watcher.close()

    run(play())


@pytest.mark.parametrize("kind", [ThreadedChildWatcher, PollingChildWatcher])
def test_where_it_does_not_work(kind: type[ThreadedChildWatcher], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        watcher = kind()
        for name in ("_thread", "_polling"):
            monkeypatch.setattr(f"loopwright.watchers.{name}.probe{name}", lambda: Mechanism("", "", False, "no luck"))
        assert watcher.is_active() is False
        with pytest.raises(MechanismUnavailableError, match="cannot watch process 1: no luck"):
            watcher.add_child_handler(1, print)
        watcher.close()

    assert _probe.probe_thread().works
    run(play())

"""Children of loops that were closed, or are stuck: no zombie stays, though nothing of ours is called again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus
from loopwright._spawning import child_of
from loopwright.process import spawn
from loopwright.watchers import (
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
    _hub,
    _orphans,
    _reaper,
)
from tests.watchers.children import gone, held, is_ours, is_zombie, leave, reapers, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopwright.process import Process
    from loopwright.watchers._table import TableWatcher

    Factory = Callable[[], asyncio.AbstractEventLoop]

PATIENCE = _orphans.PATIENCE  # as it is outside of tests
#: `SafeChildWatcher` warns when its loop is taken away, as asyncio's does.
pytestmark = [
    pytest.mark.usefixtures("no_reaper"),
    pytest.mark.filterwarnings("ignore:A loop is being detached:RuntimeWarning"),
]


@pytest.fixture(
    params=[PidfdChildWatcher, PollingChildWatcher, ThreadedChildWatcher, MultiLoopChildWatcher, SafeChildWatcher]
)
def watcher(request: pytest.FixtureRequest) -> Iterator[TableWatcher]:
    made: TableWatcher = request.param()
    yield made
    made.close()


async def sleeper() -> Process:
    return await spawn(["sleep", "1000"])


def test_child_of_spawn(watched_loop_factory: Factory) -> None:
    loop = watched_loop_factory()
    process = loop.run_until_complete(sleeper())
    assert gone(), "a loop that is open needs no thread"
    loop.close()
    until(reapers)
    assert process.returncode is None
    process.kill()
    until(lambda: not is_ours(process.pid))
    until(lambda: process.returncode == -signal.SIGKILL)
    assert process.status == ExitStatus(None, signal.SIGKILL)
    assert child_of(process.pid) is None
    assert process.send_signal(signal.SIGKILL) is False
    assert id(loop) not in _hub.hubs


def test_child_of_spawn_that_had_ended(watched_loop_factory: Factory) -> None:
    loop = watched_loop_factory()

    async def main() -> Process:
        process = await spawn(["sh", "-c", "exit 3"])
        until(lambda: is_zombie(process.pid))
        return process

    process = loop.run_until_complete(main())
    loop.close()
    until(lambda: process.returncode == 3 and not is_ours(process.pid))


def test_pid_is_kept_while_a_signal_is_owed(loop_factory: Factory) -> None:
    loop = loop_factory()
    process = loop.run_until_complete(sleeper())
    with process.hold_group():
        loop.close()
        process.kill()
        until(lambda: child_of(process.pid) is not None and child_of(process.pid).status is not None)  # type: ignore[union-attr]
        until(gone)
        assert is_zombie(process.pid)
    assert not is_ours(process.pid)
    assert process.returncode == -signal.SIGKILL


def test_child_of_a_watcher(watched_loop_factory: Factory, watcher: TableWatcher) -> None:
    heard: list[Any] = []
    pid, end = held(3)
    leave(watched_loop_factory(), watcher, pid, heard)
    os.close(end)
    until(lambda: not is_ours(pid))
    assert heard == []
    assert watcher.children == ()


def test_waiting_on_another_loop_ends(loop_factory: Factory, watcher: TableWatcher) -> None:
    """A loop that is closed tells of no exit: who waits on another for the last child is told that it is gone."""
    first, (pid, end) = loop_factory(), held(3)

    async def main() -> None:
        waiting = asyncio.create_task(watcher.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        first.close()
        os.close(end)
        await asyncio.wait_for(waiting, 60)

    watcher.attach_loop(first)
    watcher.add_child_handler(pid, print)
    first.run_until_complete(asyncio.sleep(0))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    watcher.attach_loop(None)
    until(lambda: not is_ours(pid))


def test_status_is_kept_for_who_asks_later(loop_factory: Factory, watcher: TableWatcher) -> None:
    pid, end = held(3)
    leave(loop_factory(), watcher, pid, [])
    os.close(end)
    until(lambda: not is_ours(pid))

    async def ask() -> list[Any]:
        watcher.attach_loop(asyncio.get_running_loop())
        told = asyncio.get_running_loop().create_future()
        status = await watcher.watch(pid)
        watcher.add_child_handler(pid, lambda *args: told.set_result(args))
        answers = [status, await told]
        watcher.attach_loop(None)
        return answers

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(ask()) == [ExitStatus(3), (pid, 3)]


def test_status_that_is_kept_is_not_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number may be a new process's by the time that somebody asks."""
    pid, end = held(4)
    monkeypatch.setitem(_orphans._kept, pid, ExitStatus(3))

    async def main() -> None:
        watcher = PidfdChildWatcher()
        ended = asyncio.ensure_future(watcher.watch(pid))
        await asyncio.sleep(0)
        os.close(end)
        assert (await ended).returncode == 4
        watcher.close()

    asyncio.run(main())
    assert pid not in _orphans._kept


def test_child_that_is_registered_again(watcher: TableWatcher) -> None:
    """Then it is that loop's, and the reaper lets go of it."""
    pid, end = held(3)
    lost: list[Any] = []
    leave(asyncio.new_event_loop(), watcher, pid, lost)
    if not isinstance(watcher, ThreadedChildWatcher):  # whose thread for the child finds out when that has ended
        until(lambda: pid in _orphans._orphans)

    async def main() -> tuple[Any, ...]:
        told = asyncio.get_running_loop().create_future()
        watcher.attach_loop(asyncio.get_running_loop())
        watcher.add_child_handler(pid, lambda *args: told.set_result(args))
        assert pid not in _orphans._orphans
        os.close(end)
        try:
            return await told
        finally:
            watcher.attach_loop(None)

    assert asyncio.run(main()) == (pid, 3)
    assert lost == []


def test_closing_the_watcher_changes_nothing(loop_factory: Factory) -> None:
    watcher = PidfdChildWatcher()
    pid, end = held(3)
    leave(loop_factory(), watcher, pid, [])
    watcher.close()
    os.close(end)
    until(lambda: not is_ours(pid))


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(240)])])
def test_many_orphans(loop_factory: Factory, count: int) -> None:
    loop = loop_factory()

    async def main() -> list[Process]:
        return [await spawn(["sleep", "1000"]) for _ in range(count)]

    processes = loop.run_until_complete(main())
    loop.close()
    until(lambda: len(_orphans._orphans) == len(processes))
    for process in processes:
        process.kill()
    until(lambda: all(process.returncode == -signal.SIGKILL for process in processes))
    until(gone)


def test_no_thread_where_loops_are_closed_in_order(loop_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reaper, "_wake", lambda: pytest.fail("a thread for nothing"))

    async def main() -> None:
        process = await spawn(["true"])
        await process.wait()

    for _ in range(3):
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()


def test_stuck_loop(loop_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another loop watches children, what a stuck one does not hear is reaped; it hears when it is free."""
    monkeypatch.setattr(_reaper, "STUCK", 0.1)
    watcher, free = PidfdChildWatcher(), threading.Event()
    pids: list[int] = []

    async def stuck() -> None:
        told = asyncio.get_running_loop().create_future()
        process, (pid, end) = await sleeper(), held(3)
        watcher.add_child_handler(pid, lambda *args: told.set_result(args))
        process.kill()
        os.close(end)
        pids.extend((process.pid, pid))
        assert free.wait(60)
        assert (await process.wait()).returncode == -signal.SIGKILL
        assert await told == (pid, 3)

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(stuck())

    async def other() -> None:
        async with await sleeper():
            await asyncio.to_thread(until, lambda: len(pids) == 2 and not any(map(is_ours, pids)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(other())
    finally:
        free.set()
        thread.join()
    watcher.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child(loop_factory: Factory) -> None:
    """It inherits no thread and nobody's children, and has a reaper of its own when it needs one."""
    loop = loop_factory()
    process = loop.run_until_complete(sleeper())
    loop.close()
    until(lambda: _orphans._orphans)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert not _orphans._orphans
            assert gone()
            own = asyncio.new_event_loop()
            left = own.run_until_complete(sleeper())
            own.close()
            left.kill()
            until(lambda: left.returncode == -signal.SIGKILL)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    process.kill()
    until(lambda: process.returncode == -signal.SIGKILL)


AT_EXIT = """
import asyncio, threading, time
from loopwright.process import DEVNULL, spawn
from loopwright.watchers import _reaper

async def main():
    return [await spawn(["sleep", "1000"], stdout=DEVNULL, stderr=DEVNULL) for _ in range(5)]

loop = asyncio.new_event_loop()
processes = loop.run_until_complete(main())
loop.close()
while not any(thread.name == _reaper.NAME for thread in threading.enumerate()):
    time.sleep(0.001)
print(*(process.pid for process in processes))
"""


def test_program_ends_with_orphans() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", AT_EXIT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for pid in map(int, done.stdout.split()):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_error_that_ends_the_thread(loop_factory: Factory) -> None:
    """The next who needs one has another, which looks after all that are left."""
    watcher = PidfdChildWatcher()
    (first, first_end), (second, second_end) = held(3), held(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_orphans, "look_at_all", sys.exit)
        leave(loop_factory(), watcher, first, [])
        until(lambda: first in _orphans._orphans)
        until(gone)
    leave(loop_factory(), watcher, second, [])
    os.close(first_end)
    os.close(second_end)
    until(lambda: not is_ours(first) and not is_ours(second))
    watcher.close()


@pytest.mark.slow
def test_within_ten_seconds(loop_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is documented, also when the orphan has been alive for long."""
    monkeypatch.setattr(_orphans, "PATIENCE", PATIENCE)
    watcher = PidfdChildWatcher()
    pid, end = held(3)
    leave(loop_factory(), watcher, pid, [])
    time.sleep(20)  # so that looks have become rare
    os.close(end)
    until(lambda: is_zombie(pid))
    begun = time.monotonic()
    until(lambda: not is_ours(pid))
    assert PATIENCE <= time.monotonic() - begun + 0.1 < 12
    watcher.close()

"""Giving loops schedulers, and what is refused."""

from __future__ import annotations

import asyncio
import collections
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    NoLoopError,
    SchedulerRefusedError,
)
from loopwright.loops import (
    DefaultTaskScheduler,
    FairShares,
    FirstInFirstOut,
    LinuxTaskScheduler,
    PriorityLanes,
    PriorityTaskScheduler,
    TaskScheduler,
    UnixTaskScheduler,
    WindowsTaskScheduler,
    groups,
    macOSTaskScheduler,
    priority,
    schedule,
    task_limit,
)
from loopwright.loops._schedule import scheduler_of
from loopwright.testing import FakeClockEventLoop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[Any]:
    made = asyncio.SelectorEventLoop()
    yield made
    made.close()


def test_platform_names_are_what_their_loops_do() -> None:
    for name in (DefaultTaskScheduler, UnixTaskScheduler, LinuxTaskScheduler, macOSTaskScheduler, WindowsTaskScheduler):
        assert name() == FirstInFirstOut()
    assert PriorityTaskScheduler() == PriorityLanes()


def test_first_in_first_out_leaves_a_loop_as_it_was(loop: Any) -> None:
    before = loop._ready
    schedule(loop)
    schedule(loop, "fifo")
    assert loop._ready is before
    assert type(before) is collections.deque
    assert scheduler_of(loop) == FirstInFirstOut()


def test_a_running_loop_takes_one_and_loses_nothing(loop: Any) -> None:
    ran: list[Any] = []

    async def step(name: str) -> None:
        ran.append(name)

    async def main() -> None:
        made = [asyncio.ensure_future(step("before")) for _ in range(5)]
        loop.call_soon(ran.append, "callback")
        schedule(loop, "priority")
        with priority("urgent"):
            made.append(asyncio.ensure_future(step("urgent")))
        await asyncio.gather(*made)
        schedule(loop, "priority")
        with pytest.raises(SchedulerRefusedError, match="can be replaced only while it does not run"):
            schedule(loop, "fair")
        assert scheduler_of(loop) == PriorityLanes()

    loop.run_until_complete(main())
    assert ran[:2] == ["callback", "urgent"], "none overtakes a callback that was queued before it"
    assert sorted(ran) == ["before"] * 5 + ["callback", "urgent"]


def test_one_takes_the_place_of_another_while_the_loop_does_not_run(loop: Any) -> None:
    ran: list[Any] = []

    async def step(name: Any) -> None:
        ran.append(name)
        await asyncio.sleep(0)
        ran.append(name)

    made = []
    for scheduler in ("priority", "fair", "deadline", None, PriorityLanes(aging=None), "fifo"):
        made.append((scheduler, loop.create_task(step(scheduler))))
        loop.call_soon(ran.append, "callback")
        schedule(loop, scheduler)
    assert type(loop._ready) is collections.deque
    schedule(loop, "priority")
    loop.run_until_complete(asyncio.gather(*(task for _, task in made)))
    assert len(ran) == 6 * 3
    assert [each for each in ran if each != "callback"][:6] == [name for name, _ in made]


def test_the_limit_goes_on_under_another_scheduler_and_can_be_lifted(loop: Any) -> None:
    async def idle() -> None:
        await asyncio.sleep(0)

    schedule(loop, "fifo", 1)
    made = [loop.create_task(idle()) for _ in range(3)]
    schedule(loop, "priority", 1)
    report = task_limit(loop)
    assert report is not None
    assert (report.max_tasks, report.waiting) == (1, 2)
    schedule(loop, "priority")
    assert task_limit(loop) is None
    loop.run_until_complete(asyncio.gather(*made))
    schedule(loop, "fair", 2)
    report = task_limit(loop)
    assert report is not None
    assert report.max_tasks == 2
    schedule(loop)
    assert type(loop._ready) is collections.deque


def test_a_loop_with_a_fake_clock_takes_one() -> None:
    fake = FakeClockEventLoop()
    try:
        schedule(fake, "priority")
        fake.run_until_complete(asyncio.sleep(3600))
        assert fake.time() >= 3600
    finally:
        fake.close()


def test_an_unknown_lane_is_the_default_one_and_said_once(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    schedule(loop, PriorityLanes(("urgent", "usual"), default="usual"))

    async def idle() -> None:
        await asyncio.sleep(0)

    with priority("bulk"), caplog.at_level(logging.WARNING, "loopwright.loops"):
        for _ in range(2):
            loop.run_until_complete(loop.create_task(idle()))
    assert [record.getMessage() for record in caplog.records] == [
        "no lane of this loop is called 'bulk': tasks that wish for it go by 'usual'; there are: urgent, usual"
    ]
    with priority("urgnt"), caplog.at_level(logging.WARNING, "loopwright.loops"):
        loop.run_until_complete(loop.create_task(idle()))
    assert caplog.records[-1].getMessage().endswith("did you mean 'urgent'? there are: urgent, usual")


def test_an_account_is_asked_of_a_loop_that_keeps_one(loop: Any) -> None:
    with pytest.raises(NoLoopError, match="say whose account"):
        groups()
    for scheduler in (None, "priority"):
        schedule(loop, scheduler)
        with pytest.raises(SchedulerRefusedError, match=r"schedule\(loop, 'fair'\)"):
            groups(loop)
    schedule(loop, "fair")
    assert groups(loop) == {}


def test_the_account_can_be_read_from_another_thread_while_the_loop_runs(loop: Any) -> None:
    schedule(loop, FairShares())
    read: list[Any] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            read.append(groups(loop))

    async def main() -> None:
        for _ in range(500):
            await asyncio.sleep(0)
        while not read:  # noqa: ASYNC110 - on a busy machine the thread may only begin now
            await asyncio.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        loop.run_until_complete(main())
    finally:
        stop.set()
        thread.join()
    assert read


class PythonTask(asyncio.tasks._PyTask):  # type: ignore[name-defined,misc]
    pass


class DerivedTask(asyncio.Task):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize("kind", [asyncio.Task, DerivedTask, asyncio.tasks._PyTask, PythonTask])  # type: ignore[attr-defined]
def test_tasks_of_every_kind_are_reordered(loop: Any, kind: Any) -> None:
    schedule(loop, "priority")
    loop.set_task_factory(lambda loop, coro, **options: kind(coro, loop=loop, **options))
    ran: list[str] = []

    async def step(name: str, until: asyncio.Future[None]) -> None:
        await until
        ran.append(name)

    async def main() -> None:
        until = loop.create_future()
        made = []
        for lane in ("bulk", "normal", "urgent"):
            with priority(lane):
                made.append(loop.create_task(step(lane, until)))
        await asyncio.sleep(0)
        until.set_result(None)
        await asyncio.gather(*made)

    loop.run_until_complete(main())
    assert ran == ["urgent", "normal", "bulk"]


def test_what_a_task_is_asked_to_do_soon_is_no_step_of_it(loop: Any) -> None:
    """`call_soon(task.cancel)` has the task in `__self__`, as a step has."""
    schedule(loop, "priority")
    order: list[Any] = []

    async def main() -> None:
        with priority("bulk"):
            waiting = asyncio.ensure_future(asyncio.sleep(30))
            await asyncio.sleep(0.001)
            loop.call_soon(order.append, 1)
            loop.call_soon(waiting.cancel)
            loop.call_soon(lambda: order.append(waiting.cancelling()))
        with pytest.raises(asyncio.CancelledError):
            await waiting

    loop.run_until_complete(main())
    assert order == [1, 1]


class CountsItself(TaskScheduler):
    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def select(self, ready: Any) -> int:
        self.tasks.append(ready[0].task)
        return 0


def test_a_select_sees_the_tasks(loop: Any) -> None:
    scheduler = CountsItself()
    schedule(loop, scheduler)

    async def main() -> None:
        task = asyncio.ensure_future(asyncio.sleep(0))
        await task
        assert task in scheduler.tasks
        assert asyncio.current_task() in scheduler.tasks

    loop.run_until_complete(main())


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    # In a Python of its own: from 3.12 on, fork() warns where a process has threads, as this one may.
    code = """
import asyncio, os
from loopwright.loops import Deadlines, schedule

async def main():
    child = os.fork()
    if child == 0:
        try:
            asyncio._set_running_loop(None)
            own = asyncio.SelectorEventLoop()
            schedule(own, "priority")
            own.run_until_complete(asyncio.sleep(0.001))
            os._exit(7)
        finally:
            os._exit(1)
    await asyncio.sleep(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

loop = asyncio.SelectorEventLoop()
schedule(loop, Deadlines())
print(loop.run_until_complete(main()))
loop.close()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


def test_somebody_curious_about_the_queue_disturbs_nothing(loop: Any) -> None:
    schedule(loop, "priority")

    async def main() -> None:
        made = [asyncio.ensure_future(asyncio.sleep(0)) for _ in range(10)]
        for _ in range(5):
            loop.call_soon(lambda: (bool(loop._ready), len(loop._ready), len(loop._ready)))
        assert len(loop._ready) == 15
        await asyncio.gather(*made)

    loop.run_until_complete(main())

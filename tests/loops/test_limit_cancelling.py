"""A task that waits for its slot is cancelled as one in the loop's queue is: at once, before its first line."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from loopwright.loops import task_limit
from loopwright.loops._limit_foreign import front_of
from tests.loops import limited as limits
from tests.loops.limited import Gauge, limited, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("queue")


async def never() -> None:
    raise AssertionError("must not begin")


def with_one_slot_taken(use: Callable[[], Awaitable[object]]) -> None:
    """Run `use()` where the only slot is taken; afterwards nothing waits, and the slot can be given back."""

    async def main() -> None:
        hold = asyncio.get_running_loop().create_future()

        async def holder() -> None:
            await hold

        holding = asyncio.create_task(holder())
        await asyncio.sleep(0)
        await use()
        report = task_limit()
        assert report is not None
        assert (report.started, report.waiting) == (1, 0)
        hold.set_result(None)
        await holding
        assert await asyncio.create_task(asyncio.sleep(0, "next")) == "next"

    run(main(), 1)


def test_the_task_itself() -> None:
    async def use() -> None:
        task = asyncio.create_task(never())
        await asyncio.sleep(0)
        assert task.cancel("enough")
        assert task.cancel("more than that")
        assert task.cancelling() == 2
        assert not task.done()
        with pytest.raises(asyncio.CancelledError, match="more than that"):
            await task
        assert task.cancelled()
        assert not task.cancel()

    with_one_slot_taken(use)


def test_within_the_call_that_made_it() -> None:
    async def use() -> None:
        task = asyncio.create_task(never())
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with_one_slot_taken(use)


def test_by_who_waits_for_it() -> None:
    async def use() -> None:
        task = asyncio.create_task(never())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await task
        assert task.cancelled()
        task = asyncio.create_task(never())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.001)
        assert task.cancelled()

    with_one_slot_taken(use)


def test_by_gather() -> None:
    async def use() -> None:
        tasks = [asyncio.create_task(never()) for _ in range(5)]
        everything = asyncio.gather(*tasks)
        await asyncio.sleep(0)
        everything.cancel("all")
        with pytest.raises(asyncio.CancelledError):
            await everything
        assert all(task.cancelled() for task in tasks)

    with_one_slot_taken(use)


def test_by_a_group() -> None:
    async def use() -> None:
        tasks = []

        async def group_that_fails() -> None:
            async with asyncio.TaskGroup() as group:
                tasks.extend(group.create_task(never()) for _ in range(5))
                raise ZeroDivisionError

        with pytest.raises(ExceptionGroup):
            await group_that_fails()
        assert all(task.cancelled() for task in tasks)

    with_one_slot_taken(use)


def test_a_subclass_may_refuse_or_take_part() -> None:
    class Stubborn(asyncio.Task[Any]):
        refusals = 0

        def cancel(self, msg: Any = None) -> bool:
            self.refusals += 1
            return self.refusals > 1 and super().cancel(msg)

    async def use() -> None:
        task = Stubborn(never(), loop=asyncio.get_running_loop())
        await asyncio.sleep(0)
        assert not task.cancel()
        await asyncio.sleep(0)
        report = task_limit()
        assert report is not None
        assert report.waiting == 1
        assert task.cancel("now")
        await asyncio.wait([task])
        assert task.cancelled()
        assert task.refusals == 2

    with_one_slot_taken(use)


def test_it_leaves_no_trace_on_the_task() -> None:
    async def main() -> None:
        first, second = (asyncio.create_task(asyncio.sleep(0)) for _ in range(2))
        assert "TaskLimit" in repr(second.cancel)  # it waits, and has one of its own
        await asyncio.wait([first, second])
        for task in (first, second):
            assert task.cancel.__self__ is task  # type: ignore[attr-defined]
            assert task.add_done_callback.__self__ is task  # type: ignore[attr-defined]

    run(main(), 1)


def test_a_stand_in_for_cancel_does_no_harm() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0, number)) for number in range(4)]
        for task in tasks:
            with mock.patch.object(task, "cancel"):
                task.cancel()
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3]

    run(main(), 1)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_keyboard_interrupt_loses_nobody(moment: str) -> None:
    """Raised where the limit queues a step that was held back: the end of the run must not wait for that for ever."""
    if limits.kind == "rloop":
        pytest.skip("rloop 0.5 does not end a run by a KeyboardInterrupt from a callback, whether or not it is bounded")

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        limit = (front_of(loop) or loop._ready).limit
        real = limit._ready

        def interrupted(handle: asyncio.Handle) -> None:
            limit._ready = real
            if moment == "after":
                real(handle)
            raise KeyboardInterrupt

        limit._ready = interrupted
        tasks.extend(asyncio.create_task(asyncio.sleep(0)) for _ in range(5))
        await asyncio.wait(tasks)

    tasks: list[asyncio.Task[None]] = []
    heard: list[Any] = []

    def factory() -> asyncio.AbstractEventLoop:
        loop = limited(1)
        loop.set_exception_handler(lambda *given: heard.append(type(given[-1].get("exception"))))
        return loop

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert all(task.done() for task in tasks)
    assert heard in ([], [asyncio.InvalidStateError])


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before, uncancel() did not take a cancellation back")
def test_who_is_cancelled_and_then_not_begins_and_is_counted() -> None:
    async def use() -> None:
        gone_on = asyncio.Event()

        async def work() -> str:
            await gone_on.wait()
            return "done"

        task = asyncio.create_task(work())
        task.cancel()
        assert task.uncancel() == 0
        await asyncio.sleep(0)
        gone_on.set()
        assert await task == "done"

    with_one_slot_taken(use)


def test_ten_thousand_at_once() -> None:
    async def use() -> None:
        everything = asyncio.gather(*(never() for _ in range(10_000)), return_exceptions=True)
        await asyncio.sleep(0)
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything

    with_one_slot_taken(use)


def test_by_a_rank_while_another_begins_to_wait() -> None:
    """The limit is within its own books then, as when a signal handler cancels: it is put off, and not lost."""
    loop = limited(1, rank=lambda _: everything.cancel() and 0)

    async def main() -> None:
        nonlocal everything
        holding = asyncio.create_task(asyncio.sleep(3600))
        everything = asyncio.gather(asyncio.sleep(0))
        tasks = [asyncio.create_task(never()) for _ in range(3)]
        everything = asyncio.gather(*tasks)
        last = asyncio.create_task(asyncio.sleep(0, "last"))
        with pytest.raises(asyncio.CancelledError):
            await everything
        assert all(task.cancelled() for task in tasks)
        report = task_limit()
        assert report is not None
        assert (report.started, report.waiting) == (1, 1)
        holding.cancel()
        assert await last == "last"

    everything: Any = asyncio.Event()
    everything.cancel = lambda: True
    loop.run_until_complete(main())
    loop.close()


def test_by_a_signal_handler_between_any_two_lines() -> None:
    """As `asyncio.Runner` cancels at Ctrl-C."""
    waiting: list[asyncio.Task[None]] = []
    gauge = Gauge()

    def cancel_one(*_: object) -> None:
        if waiting and not (task := waiting.pop()).done() and task.get_name() == "unbegun":
            task.cancel()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("begun")  # it is cancelled only where a real signal handler could do so
        with gauge:
            await asyncio.sleep(0)

    async def main() -> None:
        tasks = []
        for _ in range(300):
            new = [asyncio.create_task(work(), name="unbegun") for _ in range(10)]
            tasks.extend(new)
            waiting.extend(new)
            await asyncio.sleep(0)
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        report = task_limit()
        assert report is not None
        assert (report.started, report.riding, report.waiting) == (0, 0, 0)
        cancelled = sum(task.cancelled() for task in tasks)
        assert cancelled + gauge.entered == len(tasks)

    before = signal.signal(signal.SIGALRM, cancel_one)
    timer = signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        run(main(), 3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
    assert gauge.most <= 3

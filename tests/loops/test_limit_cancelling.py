"""A task that waits for its slot is cancelled as one in the loop's queue is: at once, before its first line."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.loops import task_limit
from tests.loops.limited import limited, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def never() -> None:
    raise AssertionError("must not begin")


def with_one_slot_taken(use: Callable[[], Awaitable[object]]) -> None:
    """Run `use()` where the only slot is taken; afterwards nothing waits, and the slot is free when it is given back."""

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
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                tasks.extend(group.create_task(never()) for _ in range(5))
                raise ZeroDivisionError
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


def test_the_end_of_a_run_cancels_those_that_wait() -> None:
    began: list[int] = []
    ended: list[str] = []

    async def work(number: int) -> None:
        began.append(number)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append(f"cancelled {number}")
            raise

    async def main() -> None:
        tasks.extend(asyncio.create_task(work(number)) for number in range(100))
        await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[None]] = []
    run(main(), 2)
    assert (began, sorted(ended)) == ([0, 1], ["cancelled 0", "cancelled 1"])
    assert all(task.cancelled() for task in tasks)


def test_the_end_of_a_run_with_tasks_that_go_on_for_a_while() -> None:
    """One that makes more while it is cancelled, and a generator that somebody left, with every slot taken."""
    closed: list[str] = []

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            closed.append("generator")

    kept = []

    async def work() -> None:
        items = generator()
        kept.append(items)
        await anext(items)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(5)))
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(asyncio.sleep(0)))
            closed.append("work")
            raise

    async def main() -> None:
        await asyncio.to_thread(str)
        tasks.extend(asyncio.create_task(work()) for _ in range(3))
        await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[None]] = []
    run(main(), 1)
    assert closed == ["work", "generator"]


def test_teardown_by_hand_while_every_slot_is_taken_for_good() -> None:
    closed = []

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            closed.append(True)

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        tasks.append(asyncio.create_task(stuck()))
        kept.append(generator())
        await anext(kept[0])
        await asyncio.to_thread(str)

    kept: list[Any] = []
    tasks: list[asyncio.Task[None]] = []
    loop = limited(1)
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert closed == [True]
    tasks[0].cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


def test_a_generator_that_is_dropped_is_closed_while_every_slot_is_taken() -> None:
    closed = asyncio.Event()

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    async def use() -> None:
        async for _ in generator():
            break
        await closed.wait()

    with_one_slot_taken(use)

"""Who starts next of those that wait for a slot."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import pytest

from loopwright.loops import TaskScheduler, deadline, priority, schedule
from tests.loops.limited import run

LANES = ("bulk", "normal", None, "urgent", "low", "high", "urgent")


def test_those_that_wait_start_by_rank_and_then_first_in_first_out() -> None:
    urgency = contextvars.ContextVar("urgency", default=0)
    order: list[str] = []

    async def work(name: str) -> None:
        order.append(name)

    async def main() -> None:
        for name, rank in (("first", 5), ("a", 2), ("b", 1), ("c", 2), ("d", 0), ("e", 1)):
            context = contextvars.copy_context()
            context.run(urgency.set, rank)
            tasks.append(asyncio.create_task(work(name), context=context))
        await asyncio.gather(*tasks)

    tasks: list[asyncio.Task[None]] = []
    run(main(), 1, rank=lambda handle: handle._context.get(urgency))  # type: ignore[attr-defined]
    assert order == ["first", "d", "b", "e", "a", "c"]


def order_of(scheduler: str | TaskScheduler | None, debug: bool = False) -> list[int]:
    """The numbers of tasks with those lanes, and with ever earlier deadlines, in the order in which they start."""

    async def work(number: int) -> None:
        order.append(number)
        await asyncio.sleep(0)

    async def main() -> None:
        first = asyncio.create_task(asyncio.sleep(0))
        tasks = []
        for number, lane in enumerate(LANES):
            with priority(lane), deadline(100 - number):
                tasks.append(asyncio.create_task(work(number)))
        await asyncio.wait([first, *tasks])

    def factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop()
        schedule(loop, scheduler, max_tasks=1)
        return loop

    order: list[int] = []
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        runner.run(main())
    return order


@pytest.mark.parametrize("scheduler", [None, "fifo", "priority", "fair"])
def test_by_lane(scheduler: str | None) -> None:
    assert order_of(scheduler) == [3, 6, 5, 1, 2, 4, 0]


def test_by_deadline() -> None:
    assert order_of("deadline") == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("scheduler", [None, "priority"])
def test_in_debug_mode(scheduler: str | None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert order_of(scheduler, debug=True) == [3, 6, 5, 1, 2, 4, 0]
    assert not caplog.records

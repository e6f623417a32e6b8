"""The bound on tasks, on asyncio's own loop: who starts, who waits, and that nobody is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loopwright.loops import TaskLimitReport, task_limit
from tests.loops.limited import Gauge, run

if TYPE_CHECKING:

    Handle = asyncio.Handle


def test_no_more_than_the_limit_are_under_way() -> None:
    gauge = Gauge()

    async def work() -> None:
        with gauge:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(50)))

    run(main(), 3)
    assert (gauge.most, gauge.entered) == (3, 50)


def test_ten_thousand_tasks_end() -> None:
    gauge = Gauge()

    async def work(number: int) -> int:
        with gauge:
            await asyncio.sleep(0)
            return number

    async def main() -> list[int]:
        return await asyncio.gather(*(work(number) for number in range(10_000)))

    assert run(main(), 10) == list(range(10_000))
    assert gauge.most == 10


def test_cancelled_at_once_while_it_waits() -> None:
    async def main() -> None:
        hold = asyncio.get_running_loop().create_future()

        async def first() -> None:
            await hold

        async def second() -> None:
            raise AssertionError("must not begin")

        one, two = asyncio.create_task(first()), asyncio.create_task(second())
        await asyncio.sleep(0)
        assert task_limit() == TaskLimitReport(1, 1, 0, 1)
        assert two.cancel("enough")
        assert two.cancelling() == 1
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await two
        assert task_limit() == TaskLimitReport(1, 1, 0, 0)
        hold.set_result(None)
        await one

    run(main(), 1)

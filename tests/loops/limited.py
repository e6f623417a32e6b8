"""Loops with a bound on their tasks, and a gauge."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any

from loopwright.loops import schedule
from loopwright.loops._limit import TaskLimit
from loopwright.loops._limit_foreign import LimitFront
from tests.conftest import make_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    Rank = Callable[[asyncio.Handle], Any]


class Queue(collections.deque[Any]):
    """The least that a loop's ready queue must do for a limit."""

    limit: TaskLimit

    def append(self, handle: asyncio.Handle) -> None:
        task = getattr(handle._callback, "__self__", None)
        if not isinstance(task, asyncio.Task | asyncio.tasks._PyTask) or not self.limit.holds(handle, task):
            super().append(handle)

    def clear(self) -> None:
        super().clear()
        self.limit.close()


def first_come(_: asyncio.Handle) -> Any:
    return 0


FOREIGN = ("native", "uvloop", "rloop")
"""Loops that queue by themselves."""

kind = "the least queue"
"""Which queue loops get, or the name of the scheduler, or of the loop: see the fixture `queue`."""


def limited(max_tasks: int, rank: Rank | None = None) -> asyncio.AbstractEventLoop:
    """A new loop of such a kind; asyncio's own has the least queue if there is a rank."""
    if kind in FOREIGN:
        other = make_loop(kind)
        if rank is None:
            schedule(other, max_tasks=max_tasks)
        else:
            LimitFront(other, max_tasks, rank)
        return other
    loop: Any = asyncio.SelectorEventLoop()
    if rank is None and kind != "the least queue":
        schedule(loop, kind, max_tasks=max_tasks)
        return loop
    queue = Queue()
    queue.limit = TaskLimit(
        loop, max_tasks, ready=lambda handle: collections.deque.append(queue, handle), rank=rank or first_come
    )
    loop._ready = queue
    return loop


def run(main: Any, max_tasks: int, rank: Rank | None = None) -> Any:
    with asyncio.Runner(loop_factory=lambda: limited(max_tasks, rank)) as runner:
        return runner.run(main)


class Gauge:
    """How many are within at once, how many have been at most, and how many came."""

    def __init__(self) -> None:
        self.now = self.most = self.entered = 0

    def __enter__(self) -> None:
        self.now += 1
        self.entered += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


async def until(condition: Callable[[], object]) -> None:
    """Goes on when it holds; the loop waits in between, so that it looks for stalls."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody sets an event when it begins to hold
            await asyncio.sleep(0.001)

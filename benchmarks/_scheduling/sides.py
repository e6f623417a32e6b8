"""The loops that are compared, and how each is told what is urgent."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

PACKAGES = ("loopwright", "asynkit")


@dataclass(frozen=True)
class Side:
    """One of the loops."""

    name: str
    scheduler: str | None = None
    """The name of the scheduler of ours that the standard loop is given; "select" for one that is written in Python."""
    package: str | None = None
    """What it needs besides."""
    urgent: bool = False
    """Whether it can be told what is urgent."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        if self.package == "asynkit":
            from asynkit.experimental.priority import PrioritySelectorEventLoop

            return PrioritySelectorEventLoop()
        loop = asyncio.SelectorEventLoop()
        if self.scheduler is not None:
            from loopwright.loops import TaskScheduler, schedule

            class Select(TaskScheduler):
                def select(self, _ready: Any) -> int:
                    return 0

            schedule(loop, Select() if self.scheduler == "select" else self.scheduler)
        return loop

    def task(self, coroutine: Coroutine[Any, Any, Any], *, lane: str) -> asyncio.Task[Any]:
        """A task in the lane "urgent" or "bulk", where the loop has such a thing."""
        if self.package == "asynkit":
            from asynkit.experimental.priority import PriorityTask

            return PriorityTask(coroutine, priority=-10.0 if lane == "urgent" else 10.0)
        block: Any = contextlib.nullcontext()
        if self.scheduler == "priority":
            from loopwright.loops import priority

            block = priority(lane)
        elif self.scheduler == "deadline":
            from loopwright.loops import deadline

            block = deadline(0 if lane == "urgent" else 1000)
        with block:
            return asyncio.get_running_loop().create_task(coroutine)


SIDES = (
    Side("asyncio"),
    Side("fifo", "fifo"),
    Side("priority", "priority", urgent=True),
    Side("deadline", "deadline"),
    Side("fair", "fair"),
    Side("select()", "select"),
    Side("asynkit", package="asynkit", urgent=True),
)

"""Event loops: which there are, which work here, and how to make one."""

from asyncio import SelectorEventLoop

from loopwright.loops._limit import TaskLimitReport, task_limit
from loopwright.loops._names import (
    LoopFactory,
    LoopLike,
    LoopReport,
    available_loops,
    loop_factory,
    loop_names,
    watches_by_itself,
)

__all__ = [
    "LoopFactory",
    "LoopLike",
    "LoopReport",
    "SelectorEventLoop",
    "TaskLimitReport",
    "available_loops",
    "loop_factory",
    "loop_names",
    "task_limit",
    "watches_by_itself",
]

"""Event loops: which there are, which work here, how to make one, and in what order it runs the steps of tasks."""

from asyncio import SelectorEventLoop

from loopwright._core import (
    Deadlines,
    FairShares,
    FirstInFirstOut,
    GroupAccount,
    PriorityLanes,
    ReadyStep,
    TaskScheduler,
    Wish,
    deadline,
    group,
    priority,
    scheduler_named,
    scheduler_names,
)
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
from loopwright.loops._native_loop import NativeEventLoop
from loopwright.loops._schedule import (
    DefaultTaskScheduler,
    LinuxTaskScheduler,
    PriorityTaskScheduler,
    SchedulerLike,
    UnixTaskScheduler,
    WindowsTaskScheduler,
    groups,
    macOSTaskScheduler,
    schedule,
)

__all__ = [
    "Deadlines",
    "DefaultTaskScheduler",
    "FairShares",
    "FirstInFirstOut",
    "GroupAccount",
    "LinuxTaskScheduler",
    "LoopFactory",
    "LoopLike",
    "LoopReport",
    "NativeEventLoop",
    "PriorityLanes",
    "PriorityTaskScheduler",
    "ReadyStep",
    "SchedulerLike",
    "SelectorEventLoop",
    "TaskLimitReport",
    "TaskScheduler",
    "UnixTaskScheduler",
    "WindowsTaskScheduler",
    "Wish",
    "available_loops",
    "deadline",
    "group",
    "groups",
    "loop_factory",
    "loop_names",
    "macOSTaskScheduler",
    "priority",
    "schedule",
    "scheduler_named",
    "scheduler_names",
    "task_limit",
    "watches_by_itself",
]

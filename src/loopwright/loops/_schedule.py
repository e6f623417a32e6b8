"""Task schedulers on asyncio's standard loops."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import (
    FirstInFirstOut,
    GroupAccount,
    PriorityLanes,
    Shares,
    TaskScheduler,
    ask_for_lanes,
    scheduler_named,
    step_queue,
)
from loopwright.errors import NoLoopError, NotALoopError, SchedulerRefusedError
from loopwright.loops._asyncio_private import running_loop
from loopwright.loops._asyncio_ready import queue_of, refusal, set_queue, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loopwright._core import StepQueue

__all__ = [
    "DefaultTaskScheduler",
    "LinuxTaskScheduler",
    "PriorityTaskScheduler",
    "SchedulerLike",
    "UnixTaskScheduler",
    "WindowsTaskScheduler",
    "groups",
    "macOSTaskScheduler",
    "schedule",
    "scheduler_of",
]

SchedulerLike: TypeAlias = str | TaskScheduler
"""What `schedule()` understands: the name of a scheduler, or one."""

# By what the loops of these platforms do, which is the same on all of them.
DefaultTaskScheduler = UnixTaskScheduler = LinuxTaskScheduler = FirstInFirstOut
macOSTaskScheduler = WindowsTaskScheduler = FirstInFirstOut  # noqa: N816 - the platform's own spelling
PriorityTaskScheduler = PriorityLanes

logger = logging.getLogger("loopwright.loops")


def schedule(
    loop: asyncio.AbstractEventLoop, scheduler: SchedulerLike | None = None, max_tasks: int | None = None
) -> None:
    """Have the loop run the steps of its tasks in the order of `scheduler`, and at most `max_tasks` tasks at once.

    `scheduler` is a name ("fifo", "priority", "fair", "deadline") or a `TaskScheduler`; None is "fifo", asyncio's own
    order, which costs nothing and is what every loop has. Called in the loop's thread, also while it runs, or in any
    thread while it does not. What is queued already stays queued. Another scheduler can take the place of one while the
    loop does not run; the same one again changes nothing.

    Only steps and wake-ups of tasks (`asyncio.Task`, in C and in Python, and classes derived from it) are reordered.
    Every other callback keeps its order among its like, and what is ready when a pass of the loop begins goes before
    the steps; those end after about half a millisecond, when timers and I/O are looked at again. So a loop with more
    steps ready than fit into that makes shorter passes than asyncio's. Everything else is as asyncio documents it.

    NotALoopError (a TypeError) if `loop` is no event loop; UnknownSchedulerError (a ValueError) or NotASchedulerError
    (a TypeError) if `scheduler` is none. SchedulerRefusedError (a RuntimeError) if the loop cannot take one (uvloop,
    rloop, and whatever runs callbacks in its own way), is closed, runs in another thread, or runs with another
    scheduler.
    """
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise NotALoopError(f"loop must be an event loop (an asyncio.AbstractEventLoop), not {loop!r}")
    wanted = scheduler_named(scheduler)
    if loop.is_closed():
        raise SchedulerRefusedError(f"{loop!r} is closed and runs nothing any more")
    if loop.is_running() and running_loop() is not loop:
        raise SchedulerRefusedError(
            f"{loop!r} runs in another thread; call schedule() there (loop.call_soon_threadsafe), or before it runs"
        )
    if wanted != scheduler_of(loop):
        _set_scheduler(loop, wanted)


def _set_scheduler(loop: asyncio.AbstractEventLoop, wanted: TaskScheduler) -> None:
    why_not = refusal(loop)
    if why_not is not None:
        raise SchedulerRefusedError(
            f"{loop!r} cannot take the scheduler {wanted!r}: {why_not}; take asyncio's own loop (loop='asyncio')"
        )
    if loop.is_running() and queue_of(loop) is not None:
        raise SchedulerRefusedError(
            f"{loop!r} runs with the scheduler {scheduler_of(loop)!r}, which can be replaced only while it does not run"
        )
    set_queue(loop, wanted, None if type(wanted) is FirstInFirstOut else lambda: _steps(loop, wanted))


def _steps(loop: asyncio.AbstractEventLoop, scheduler: TaskScheduler) -> StepQueue:
    def failed(what: str, error: BaseException | None) -> None:
        context: dict[str, Any] = {
            "message": f"select() of the task scheduler {scheduler!r} {what}; the step that has been ready for longest "
            "runs instead, now and whenever that happens again",
        }
        if error is not None:
            context["exception"] = error
        loop.call_exception_handler(context)

    return step_queue(scheduler, task_of=task_of, failed=failed, unknown_lane=_unknown_lane)


def _unknown_lane(lane: str, default: str) -> None:
    logger.warning("no lane of this loop is called %r: tasks that wish for it go by %r", lane, default)


def scheduler_of(loop: asyncio.AbstractEventLoop) -> TaskScheduler:
    """The scheduler that the loop was given, else `FirstInFirstOut`."""
    queue = queue_of(loop)
    return FirstInFirstOut() if queue is None else queue.scheduler


def groups(loop: asyncio.AbstractEventLoop | None = None) -> dict[str | None, GroupAccount]:
    """What each group of a loop with `FairShares` has used so far, by its name; None is work in no group.

    `loop` is the one that runs in this thread unless another is given, from whatever thread. What a callback uses is in
    the account when it has ended. NoLoopError (a RuntimeError) if none runs here and none is given;
    SchedulerRefusedError (a RuntimeError) if the loop's scheduler is not `FairShares`.
    """
    asked = running_loop() if loop is None else loop
    if asked is None:
        raise NoLoopError("no event loop runs in this thread; say whose account is meant: groups(loop)")
    queue = queue_of(asked)
    if queue is None or not isinstance(queue.steps, Shares):
        raise SchedulerRefusedError(
            f"{asked!r} keeps no account of groups: its scheduler is {scheduler_of(asked)!r};"
            " give it one that does: schedule(loop, 'fair')"
        )
    return queue.steps.account()


def _lanes_here() -> Sequence[str] | None:
    """The lanes of the loop that runs in this thread; None if there are none."""
    loop = running_loop()
    if loop is None:
        return None
    scheduler = scheduler_of(loop)
    return scheduler.lanes if isinstance(scheduler, PriorityLanes) else None


ask_for_lanes(_lanes_here)

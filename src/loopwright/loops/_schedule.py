"""Task schedulers on asyncio's standard loops, and bounds on tasks on any."""

from __future__ import annotations

import asyncio
import difflib
import functools
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
    waiting_rank,
)
from loopwright.errors import NoLoopError, NotALoopError, SchedulerRefusedError
from loopwright.loops._asyncio_private import running_loop
from loopwright.loops._asyncio_queues import context_of, queue_of, refusal, set_queue, task_of
from loopwright.loops._asyncio_ready import ReadyQueue
from loopwright.loops._limit import TaskLimit, checked_max_tasks
from loopwright.loops._limit_foreign import LimitFront, front_of, no_front
from loopwright.loops._stands_for import loop_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    thread while it does not. What is queued already stays queued. While the loop does not run, another scheduler or
    limit can take the place of one; the same ones again change nothing.

    `max_tasks` counts tasks that have started and not finished. A task beyond it waits for its turn: by its deadline
    under `Deadlines`, else by its lane (those of `PriorityLanes()` where the scheduler has none), and first in, first
    out. `task_limit()` shows how it stands. A task that was there before the limit is not held back by it. Every loop
    whose tasks are asyncio's can be bounded, uvloop's and rloop's too. Those get a `call_soon` and a `close` of ours in
    front of their own, so that every `call_soon()` costs one call of a Python function more, for as long as the bound
    is there.

    Only steps and wake-ups of tasks (`asyncio.Task`, in C and in Python, and classes derived from it) are reordered.
    Every other callback keeps its order among its like, and no step overtakes one that was queued before it. What is
    ready when a pass of the loop begins goes before the steps; those end after about half a millisecond, when timers
    and I/O are looked at again. So a loop with more steps ready than fit into that makes shorter passes than asyncio's.
    Everything else is as asyncio documents it.

    NotALoopError (a TypeError) if `loop` is no event loop; UnknownSchedulerError (a ValueError) or NotASchedulerError
    (a TypeError) if `scheduler` is none; MaxTasksValueError or MaxTasksTypeError (a ValueError, a TypeError) if
    `max_tasks` is no whole number of 1 or more. SchedulerRefusedError (a RuntimeError) if the loop takes no scheduler
    but "fifo" (uvloop, rloop, and whatever runs callbacks in its own way) or no bound (what stands for another loop, or
    takes no attributes), is closed, runs in another thread, or runs with another scheduler or limit.
    """
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise NotALoopError(f"loop must be an event loop (an asyncio.AbstractEventLoop), not {loop!r}")
    wanted, most = scheduler_named(scheduler), checked_max_tasks(max_tasks)
    if loop.is_closed():
        raise SchedulerRefusedError(f"{loop!r} is closed and runs nothing any more")
    if loop.is_running() and running_loop() is not loop:
        raise SchedulerRefusedError(
            f"{loop!r} runs in another thread; call schedule() there (loop.call_soon_threadsafe), or before it runs"
        )
    if type(wanted) is not type(scheduler_of(loop)) or wanted != scheduler_of(loop) or most != _max_tasks(loop):
        _set_queue(loop, wanted, most)


def _set_queue(loop: asyncio.AbstractEventLoop, wanted: TaskScheduler, most: int | None) -> None:
    # By its class: one of a user's may derive from it, and have any notion of equality.
    in_order = type(wanted) is FirstInFirstOut
    queue, front, why_not = queue_of(loop), front_of(loop), refusal(loop)
    in_front = in_order and queue is None and why_not is not None
    if in_front:
        why_not = None if most is None else no_front(loop)
    if why_not is not None:
        what = "have its tasks bounded (max_tasks)" if in_order else f"take the scheduler {wanted!r}"
        raise SchedulerRefusedError(f"{loop!r} cannot {what}: {why_not}; take asyncio's own loop (loop='asyncio')")
    if loop.is_running() and (queue is not None or front is not None):
        raise SchedulerRefusedError(
            f"{loop!r} runs with {scheduler_of(loop)!r} and max_tasks={_max_tasks(loop)}, which can be replaced only"
            " while it does not run"
        )
    if front is not None:
        front.lift()
    if in_front:
        if most is not None:
            LimitFront(loop, most, lambda handle: _rank(loop, handle))
        return
    old = None if queue is None else queue.limit

    def limit(append: Callable[[Any], None]) -> TaskLimit | None:
        if old is not None:
            if old.max_tasks == most:
                return old
            old.lift()
        return None if most is None else TaskLimit(loop, most, ready=append, rank=lambda handle: _rank(loop, handle))

    set_queue(loop, wanted, None if in_order else lambda: _steps(loop, wanted), limit)


def _max_tasks(loop: asyncio.AbstractEventLoop) -> int | None:
    front = front_of(loop)
    by = queue_of(loop) if front is None else front
    return None if by is None or by.limit is None else by.limit.max_tasks


def _rank(loop: asyncio.AbstractEventLoop, handle: Any) -> float:
    """Where a task stands among those that wait for a slot."""
    return waiting_rank(scheduler_of(loop), context_of(handle))


def _steps(loop: asyncio.AbstractEventLoop, scheduler: TaskScheduler) -> StepQueue:
    def failed(what: str, error: BaseException | None) -> None:
        context: dict[str, Any] = {
            "message": f"select() of the task scheduler {scheduler!r} {what}; the step that has been ready for longest "
            "runs instead, now and whenever that happens again",
        }
        if error is not None:
            context["exception"] = error
        loop.call_exception_handler(context)

    return step_queue(
        scheduler, task_of=task_of, failed=failed, unknown_lane=functools.partial(_unknown_lane, scheduler)
    )


def _unknown_lane(scheduler: TaskScheduler, lane: str, default: str) -> None:
    lanes = scheduler.lanes if isinstance(scheduler, PriorityLanes) else (default,)
    near = difflib.get_close_matches(lane.strip().lower(), lanes, n=1)
    logger.warning(
        "no lane of this loop is called %r: tasks that wish for it go by %r; %sthere are: %s",
        lane,
        default,
        f"did you mean {near[0]!r}? " if near else "",
        ", ".join(lanes),
    )


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
    asked = running_loop() if loop is None else loop_behind(loop)
    if asked is None:
        raise NoLoopError("no event loop runs in this thread; say whose account is meant: groups(loop)")
    queue = queue_of(asked)
    if not isinstance(queue, ReadyQueue) or not isinstance(queue.steps, Shares):
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

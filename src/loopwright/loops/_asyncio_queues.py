"""Which queue of ready callbacks a standard loop has, and how it is given another.

The private names of asyncio that this leans on are those of `_asyncio_ready.py`, which says where they were read.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import FirstInFirstOut, Shares
from loopwright.loops._asyncio_accounted import AccountedReadyQueue
from loopwright.loops._asyncio_ready import ReadyQueue, is_step
from loopwright.loops._native_loop import NativeEventLoop
from loopwright.loops._native_obstacle import NO_SCHEDULER_YET

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from loopwright._core import StepQueue, TaskScheduler
    from loopwright.loops._limit import TaskLimit

__all__ = ["LimitedQueue", "OurQueue", "context_of", "queue_of", "refusal", "set_queue", "task_of"]


def holding_append(inbox: collections.deque[Any], limit: TaskLimit) -> Callable[[Any], None]:
    """What takes a handle into the inbox unless the limit keeps it: asked at once, as it wants to know whose child."""
    append = inbox.append

    def hold_or_append(handle: Any) -> None:
        callback = handle._callback
        # From other threads come no steps, so that the limit is asked in the loop's thread alone.
        if not (is_step(callback) and limit.holds(handle, callback.__self__)):
            append(handle)

    return hold_or_append


class LimitedQueue:
    """What a standard loop has in `_ready` while the number of its tasks is bounded, and nothing is reordered."""

    __slots__ = ("__weakref__", "_inbox", "append", "limit", "popleft", "scheduler")

    def __init__(self, inbox: collections.deque[Any], limit: TaskLimit) -> None:
        self.scheduler: TaskScheduler = FirstInFirstOut()
        self.limit = limit
        self.append = holding_append(inbox, limit)
        self.popleft = inbox.popleft
        self._inbox = inbox

    def __bool__(self) -> bool:
        return bool(self._inbox)

    def __len__(self) -> int:
        return len(self._inbox)

    def clear(self) -> None:
        self.limit.close()
        self._inbox.clear()

    def emptied(self) -> tuple[collections.deque[Any], list[Any], list[tuple[float, Any]]]:
        """As of a `ReadyQueue`."""
        return self._inbox, [], []


OurQueue: TypeAlias = ReadyQueue | LimitedQueue


def refusal(loop: Any) -> str | None:
    """Why this loop can be given no queue of ours; None if it can be."""
    standard: Any = asyncio.BaseEventLoop
    if not isinstance(loop, standard):
        return "it is no loop of asyncio's and has a ready queue of its own"
    if isinstance(loop, NativeEventLoop):
        return NO_SCHEDULER_YET
    for name in ("_run_once", "_call_soon", "_add_callback", "run_forever"):
        if getattr(type(loop), name) is not getattr(standard, name) or name in vars(loop):
            return f"it runs callbacks in its own way (it has a {name}() that is not asyncio's)"
    queue = loop._ready
    if type(queue) is not collections.deque and queue_of(loop) is None:
        return f"something else has replaced its queue of ready callbacks by {queue!r}"
    return None


def task_of(handle: Any) -> Any:
    """The task whose step or wake-up this handle is; None if it was cancelled."""
    return getattr(handle._callback, "__self__", None)


def context_of(handle: Any) -> Context:
    """The context that this handle's callback runs in."""
    context: Context = handle._context
    return context


def queue_of(loop: Any) -> OurQueue | None:
    """The queue of ours that the loop has, if it has one."""
    queue = getattr(loop, "_ready", None)
    return queue if isinstance(queue, ReadyQueue | LimitedQueue) else None


def set_queue(
    loop: Any,
    scheduler: TaskScheduler,
    make_steps: Callable[[], StepQueue] | None,
    make_limit: Callable[[Callable[[Any], None]], TaskLimit | None],
) -> None:
    """Give a loop that takes one a queue for this scheduler; all that is queued stays so.

    Without `make_steps` nothing is reordered, and without a limit either the loop gets its own queue back.
    `make_limit(append)` gives the limit, if there is to be one; `append` queues what it has held back.

    In the loop's thread, or while it does not run. To replace a queue of ours, only while it does not run.
    """
    inbox = loop._ready
    plain: list[Any] = []
    steps: list[tuple[float, Any]] = []
    if isinstance(inbox, ReadyQueue | LimitedQueue):
        inbox, plain, steps = inbox.emptied()
    limit = make_limit(inbox.append)
    if make_steps is None:
        inbox.extendleft(reversed([*plain, *(step for _, step in steps)]))
        loop._ready = inbox if limit is None else LimitedQueue(inbox, limit)
        return
    made = make_steps()
    for since, step in steps:
        made.push(step, step._context, since)
    queue: ReadyQueue
    if isinstance(made, Shares):
        queue = AccountedReadyQueue(loop, inbox, plain, made, scheduler, limit)
    else:
        queue = ReadyQueue(loop, inbox, plain, made, scheduler, limit)
    if limit is not None:
        queue.append = holding_append(inbox, limit)
    loop._ready = queue

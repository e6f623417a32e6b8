"""`max_tasks` on loops that are not asyncio's own (uvloop, rloop, a user's): asked at their `call_soon()`.

Theory of operation
-------------------
Such a loop has no ready queue that anybody could get at, but tasks do not use one: in C and in Python, from 3.11 to
3.15, a task hands every step of its own to the loop by calling `loop.call_soon`, looked up on that one loop; so do the
futures that wake it. An attribute of the loop is therefore found before the method of its class, and stands in front of
it: it asks the limit about the first step of every task, and hands everything else on. What the loop queues by itself
(I/O, timers, `call_soon_threadsafe()`) does not come by, and need not: it never is a task's step.

Nothing can be reordered so, for what was handed on is the loop's. A task held back is not in the loop at all, and gets
into it by the method that was there before.

**A stall** is looked for when the loop is about to wait, which such a loop tells nobody. So while a task waits for its
slot, and tasks that have one take steps, a callback of ours is queued that looks whether anything was queued since, and
if so queues itself again. When nothing was in several passes, no task has anything to do, and that is the moment. What
comes from outside, like the loop's timers, has had its turn in these passes too, and may have queued something. It
stops there: a loop that waits is not woken, and without tasks that wait for a slot there is no such callback. Rejected:
a timer, which wakes a loop that waits; and one look, for `call_later(0, …)` and the like do not come by here.

**The end.** asyncio's loop clears its queue when it is closed; so `close` has something of ours in front as well, that
forgets what is held, when the loop is closed, and takes away both.

**If somebody puts something in front of ours**, it can be taken away only by whoever did so. Ours then lets everything
pass.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, Final

from loopwright.loops._asyncio_ready import is_step
from loopwright.loops._asyncio_tasks import HeldStep
from loopwright.loops._limit import TaskLimit

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop, Handle
    from collections.abc import Callable

__all__ = ["LimitFront", "front_of", "no_front"]

#: Where a loop has its front, beside what the front replaces: whoever stands before that hides it.
_PLACE: Final = "_loopwright_limit"
_TRIAL: Final = "_loopwright_trial"
#: So many passes in which nothing was queued make a loop one that is about to wait.
QUIET_PASSES: Final = 2


def no_front(loop: AbstractEventLoop) -> str | None:
    """Why the tasks of this loop cannot be bounded; None if they can be."""
    try:
        # A stand-in (as `LoopHandle` is) makes what it makes for another, whose tasks would never come by.
        stands_for_another = loop.create_future().get_loop() is not loop
    except NotImplementedError:
        return "it makes no futures"
    if stands_for_another:
        return "it stands for another loop"
    try:
        setattr(loop, _TRIAL, None)
        delattr(loop, _TRIAL)
    except (AttributeError, TypeError):
        return f"nothing can be put in front of its call_soon(), as {type(loop).__name__} takes no attributes"
    return None


def front_of(loop: AbstractEventLoop) -> LimitFront | None:
    """What stands in front of the loop, if anything of ours does."""
    front = getattr(loop, _PLACE, None)
    return front if isinstance(front, LimitFront) else None


def _nothing() -> None:
    """Queued to see what the loop says of that."""


class LimitFront:
    """Stands in front of a loop, of which `no_front()` says nothing, and holds tasks back as its `limit` says.

    Made in the loop's thread, or while it does not run. `rank` as of a `TaskLimit`.
    """

    def __init__(self, loop: AbstractEventLoop, max_tasks: int, rank: Callable[[Handle], Any]) -> None:
        self._loop = loop
        self._queue: Callable[..., Handle] = loop.call_soon
        self._close = loop.close
        self._standing = True
        self._looking = False
        self._quiet = 0
        self._context = contextvars.Context()
        self._idle: Callable[[], object] = _nothing
        self.limit = TaskLimit(loop, max_tasks, ready=self._let_go, rank=rank, on_idle=self._on_idle)
        self._before = {name: vars(loop)[name] for name in ("call_soon", "close") if name in vars(loop)}
        self._ours: dict[str, Any] = {"call_soon": self.call_soon, "close": self.close}
        for name, ours in (*self._ours.items(), (_PLACE, self)):
            setattr(loop, name, ours)

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """What the loop has in the place of its own."""
        self._quiet = 0
        step = self._standing and is_step(callback)
        if step and not self.limit.knows(callback.__self__):  # type: ignore[attr-defined] # steps are methods
            handle = self._begin(callback, args, context)
        # Nearly all have one argument or none, and to pass on any number of them takes longer than all of the rest.
        elif not args:
            handle = self._queue(callback, context=context)
        elif len(args) == 1:
            handle = self._queue(callback, args[0], context=context)
        else:
            handle = self._queue(callback, *args, context=context)
        if step:
            self._look_out()
        return handle

    def close(self) -> None:
        """What the loop has in the place of its own."""
        self._close()  # raises if the loop is running
        if self._standing:
            self.limit.close()
            self._leave()

    def lift(self) -> None:
        """Start all that wait, and take this away. In the loop's thread, or while it does not run."""
        self.limit.lift()
        self._leave()

    def _leave(self) -> None:
        self._standing = False
        own = vars(self._loop)
        for name, ours in self._ours.items():
            if own.get(name) is ours:
                delattr(self._loop, name)
                if name in self._before:
                    setattr(self._loop, name, self._before[name])
        if own.get(_PLACE) is self:
            delattr(self._loop, _PLACE)

    def _begin(self, callback: Any, args: tuple[Any, ...], context: contextvars.Context | None) -> Handle:
        loop = self._loop
        if loop.is_closed() or loop.get_debug():
            # A closed loop raises, and one in debug mode does so in another thread, before anything is noted here.
            self._queue(_nothing, context=self._context).cancel()
        step = HeldStep(callback, args, loop, context)
        if self.limit.holds(step, callback.__self__):
            return step
        return self._queue(callback, *args, context=context)

    def _let_go(self, step: Any) -> None:
        """Queue what was held back."""
        step.queue(self._queue)
        self._quiet = 0
        self._look_out()

    def _on_idle(self, _: AbstractEventLoop, idle: Callable[[], object]) -> Callable[[], None]:
        self._idle = idle
        return lambda: None

    def _look_out(self) -> None:
        # After the step that may begin a stall, so that the step has run before the first look.
        if not self._looking and self.limit.may_stall():
            self._looking = True
            self._queue(self._look, context=self._context)

    def _look(self) -> None:
        if self._quiet < QUIET_PASSES:
            self._quiet += 1
            self._queue(self._look, context=self._context)
        else:
            self._looking = False
            self._idle()

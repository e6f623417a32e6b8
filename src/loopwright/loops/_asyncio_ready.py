"""A queue of ready callbacks in the place of a standard loop's own, which lets a task scheduler order the steps of
tasks.

Further private names of asyncio that Loopwright leans on, read in the sources of CPython 3.11.7, 3.12.1, 3.13.0, 3.14
and 3.15, where all of this is the same:

- `BaseEventLoop._ready` is a deque. Its `append` is called by `_call_soon`, `_add_callback`, `_run_once` (timers that
  are due) and since 3.14 `call_soon_threadsafe`; `clear` by `close`; and in `_run_once`, once each and in this order,
  its truth ("is there no need to wait?"), its length ("how many may this pass run?") and that many times `popleft`,
  whose result is skipped if its `_cancelled` is true. Nothing else is done with it, and nobody keeps a reference to it.
- `run_forever` calls `_run_once` until `_stopping`, which `stop()` sets and the end of a run resets.
- `Handle._callback` of a task's step is a `TaskStepMethWrapper`, of its wake-up the built-in function `task_wakeup`,
  both with the task in `__self__`; of a task in Python (`_PyTask`) its bound methods `__step` and `__wakeup`.
  `Handle._context` is the context the callback runs in: for both of these, the task's own.

Theory of operation.

*A pass.* Its length, when asked for, says how many callbacks go: all plain ones (whatever is no step of a task) that
are ready then, and as many steps as are, but no more than fit into a slice of time, after which timers and I/O are
looked at again. Plain callbacks keep their places, and in those of the steps goes what the scheduler chooses: with no
wishes that is exactly asyncio's order. Only where more steps are ready than fit, plain callbacks go first, or timers
and I/O would wait for 10,000 bulk steps. So neither can starve the other: what either adds to the plain ones is for the
next pass, and between two passes there are always some of both. A step that becomes ready within a pass may be chosen
in it, so that urgent work overtakes; the number of steps does not grow by it. How many fit is learned from pass to
pass, for each of the length must be popped: what is left when the time is over is answered with a handle that counts as
cancelled, and that should not be 10,000 times.

*Who was queued first.* asyncio calls the done callbacks of a future before the task that awaited it goes on, and leans
on that itself: `sock_connect()` takes its writer away so. Hence a step overtakes other steps, and no plain callback
that was queued before it. Where one is chosen that would, it is held until those have run, at once, and those of them
that this pass did not count go in the place of steps.

*Other threads* only ever append, and that is the `append` of a deque itself, as atomic as before, for which nothing of
ours runs: the inbox. It is sorted into plain callbacks and steps in the loop's thread, when a pass begins and before
each step is chosen. Where a loop is given a scheduler, its own deque becomes the inbox: so whoever is about to append
to that very deque in another thread is not too late.

*Stopping.* asyncio says that a loop which is being stopped runs what was ready when the current pass began, and leaves
what became ready since for the next run. Our passes are slices of that. Hence each has one `popleft` more than
callbacks, at which it is seen that the loop was stopped; then what is left of those steps is put aside, and the stop
put off until they have run, in one more pass that looks at nothing else. Rejected: to replace the loop's `stop`. It
would be done by whoever calls it through the class, too late or not at all, and be one more thing to keep alive and
restore.

*A KeyboardInterrupt* can end a pass at any point. Counts are made anew when the next one begins; steps are moved by
single calls into C. Should one have left a count of steps too high, the pass just ends earlier.
"""

from __future__ import annotations

import asyncio
import math
import types
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loopwright._core import StepQueue, TaskScheduler
    from loopwright.loops._limit import TaskLimit

__all__ = ["NOTHING", "ReadyQueue", "is_step"]

#: Seconds of steps in a pass, after which timers and I/O have their turn. A look at them costs some microseconds.
SLICE: Final = 0.0005
#: The most steps of a pass, however short they are.
MOST_STEPS: Final = 2048
#: From so many steps a pass on the clock is read at every eighth only.
MANY_STEPS: Final = 32

_TASKS: Final = (asyncio.Task, asyncio.tasks._PyTask)  # type: ignore[attr-defined] # the latter for those without C
_MethodType: Final = types.MethodType
_BuiltinType: Final = types.BuiltinMethodType
_STEP_NAME: Final = "TaskStepMethWrapper"
_step_type: Any = object()


class _Nothing:
    """A handle with nothing to call: a pass skips it."""

    _cancelled = True


NOTHING: Final = _Nothing()


def is_step(callback: Any) -> bool:
    """Whether this callback of any type is a step or wake-up of a task."""
    global _step_type  # noqa: PLW0603 - asyncio shows it nowhere, so it is known from the first that comes by
    kind = type(callback)
    if kind is _BuiltinType:
        return callback.__name__ == "task_wakeup" and isinstance(callback.__self__, _TASKS)
    if kind is _MethodType:
        return callback.__name__ in ("__step", "__wakeup") and isinstance(callback.__self__, _TASKS)
    if kind.__name__ == _STEP_NAME:
        _step_type = kind
        return True
    return False


class ReadyQueue:
    """What a standard loop has in `_ready` while its task steps are ordered by a scheduler."""

    __slots__ = (
        "__weakref__",
        "_after",
        "_before",
        "_boundary",
        "_budget",
        "_exact",
        "_final",
        "_gap",
        "_held",
        "_held_after",
        "_in_between",
        "_inbox",
        "_left",
        "_loop",
        "_mask",
        "_now",
        "_pass_due",
        "_plain",
        "_plain_left",
        "_pop",
        "_push",
        "_ran",
        "_since",
        "_size",
        "_steps",
        "_until",
        "append",
        "limit",
        "scheduler",
    )

    def __init__(
        self,
        loop: Any,
        inbox: deque[Any],
        plain: Iterable[Any],
        steps: StepQueue,
        scheduler: TaskScheduler,
        limit: TaskLimit | None,
    ) -> None:
        self.scheduler = scheduler
        self.limit = limit
        self.append: Callable[[Any], None] = inbox.append
        self._loop = loop
        self._inbox = inbox
        self._plain = deque((0, handle) for handle in plain)
        self._steps = steps
        self._pop = steps.pop
        self._push = steps.push
        self._pass_due = False
        self._plain_left = 0  # plain callbacks that are still to go in this pass
        self._left = 0  # steps that are, and one
        self._final = 0  # of the plain callbacks, the first so many are steps that a loop being stopped still runs
        self._exact = 0  # the same, while that pass begins
        self._size = 0  # how many steps the pass began with
        self._in_between = False  # whether steps go between plain callbacks in this pass, and not after them
        self._before = 0  # if so, how many go before the next plain one
        self._gap = 0  # how many came since the last plain one did
        self._ran = 0  # how many plain callbacks have run
        self._after: dict[Any, int] = {}  # of steps that go after plain callbacks: how many must have run
        self._held: Any = None  # a step that was chosen, and goes as soon as `_held_after` have
        self._held_after = 0
        self._set_budget(MOST_STEPS)
        self._now = self._boundary = self._since = monotonic()
        self._until = 0.0

    # What asyncio calls, beside append()

    def __bool__(self) -> bool:
        # Kept for this pass alone: should it be broken off before it begins, no later run is stopped by it.
        self._exact, self._final = self._final, 0
        if self._exact:
            self._loop._stopping = True
        self._pass_due = True
        return bool(self._inbox or self._plain or self._steps)

    def __len__(self) -> int:
        if not self._pass_due:  # somebody is curious
            return len(self._inbox) + len(self._plain) + len(self._steps)
        self._pass_due = False
        return self._begin()

    def popleft(self) -> Any:  # noqa: C901 - a call for a part of it costs as much as the part
        if self._held is not None:
            return self._next_before_held()
        if self._plain_left > 0:
            if self._before <= 0:
                return self._next_plain()
            self._before -= 1
        left = self._left = self._left - 1
        if left > 0:
            inbox = self._inbox
            if inbox and not self._loop._stopping:
                # Mostly one, of the step before. What follows is _sort() without a call for it.
                if len(inbox) == 1 and not self._plain and type(inbox[0]._callback) is _step_type:
                    handle = inbox.popleft()
                    self._push(handle, handle._context, self._since)
                    self._gap += 1
                else:
                    self._sort(self._since)
            if left & self._mask or self._in_time(left):
                try:
                    step = self._pop(self._now)
                except IndexError:
                    return NOTHING
                after = self._after and self._after.pop(step, 0)
                return self._hold(step, after) if after and after > self._ran else step
        elif self._plain_left > 0:  # steps that were to go before it have gone in the pass before
            self._left = 1
            return self._next_plain()
        elif left == 0:
            self._end()
        return NOTHING

    def clear(self) -> None:
        if self.limit is not None:
            self.limit.close()
        self._inbox.clear()
        self._plain.clear()
        self._steps.clear()
        self._after.clear()
        self._held = None
        self._plain_left = self._left = self._exact = self._final = 0

    # Ours

    @property
    def steps(self) -> StepQueue:
        """The steps that the scheduler orders."""
        return self._steps

    def emptied(self) -> tuple[deque[Any], list[Any], list[tuple[float, Any]]]:
        """The inbox, which goes on being appended to, the plain callbacks in order, and the steps with their times.

        The queue must not be used any more. In the loop's thread, or while it does not run.
        """
        self._sort(monotonic())
        steps = self._steps.entries()
        if self._held is not None:
            steps.insert(0, (steps[0][0] if steps else self._boundary, self._held))
        return self._inbox, [handle for _, handle in self._plain], steps

    def _begin(self) -> int:
        """A pass begins: how many times it may call `popleft()`."""
        if self._exact:
            self._plain_left, self._before, self._left, self._exact = self._exact, 0, 0, 0
            return self._plain_left
        now = self._now = self._boundary = monotonic()
        if self._inbox:
            self._sort(now)
        # Later than what is ready by now, by the least there is: a clock might not have gone on.
        self._since = math.nextafter(now, math.inf)
        plain = self._plain_left = len(self._plain)
        if self._loop._stopping:
            steps, self._until = len(self._steps), math.inf
        else:
            steps, self._until = self._steps.ready(self._budget + 1), 0.0
        if steps > self._budget and self._until == 0.0:
            steps, self._in_between = self._budget, False
        else:
            self._in_between = True
        self._before = self._plain[0][0] if plain and self._in_between else 0
        self._size, self._left, self._gap = steps, steps + 1, 0
        return plain + steps + 1 + (self._held is not None)

    def _next_plain(self) -> Any:
        self._plain_left -= 1
        self._ran += 1
        handle = self._plain.popleft()[1]
        if not self._plain:
            self._after.clear()
        elif self._in_between and self._plain_left > 0:
            self._before += self._plain[0][0]
        return handle

    def _hold(self, step: Any, after: int) -> Any:
        """Hold the step until so many plain callbacks have run; the first of those."""
        self._held, self._held_after = step, after
        return self._next_before_held()

    def _next_before_held(self) -> Any:
        """The next plain callback that goes before the step that is held; if there is none, that step."""
        if self._ran >= self._held_after:
            step, self._held = self._held, None
            return step
        if self._plain_left <= 0:  # those of this pass have run: one that came in it goes, in the place of a step
            left = self._left = self._left - 1
            if left <= 0:
                if left == 0:
                    self._end()
                return NOTHING
            self._plain_left = 1
        return self._next_plain()

    def _sort(self, since: float) -> None:
        """Put what came into the inbox where it belongs; its steps are ready since `since`."""
        inbox, push = self._inbox, self._push
        for _ in range(len(inbox)):  # and not what other threads add meanwhile, for ever
            handle = inbox.popleft()
            callback = handle._callback
            if type(callback) is _step_type or is_step(callback):
                push(handle, handle._context, since)
                self._gap += 1
                if self._plain:
                    self._after[handle] = self._ran + len(self._plain)
            else:
                self._plain.append((self._gap, handle))
                self._gap = 0

    def _in_time(self, left: int) -> bool:
        """Whether there is time for one more step in this pass; if not, what plain callbacks are left end it."""
        now = self._now = monotonic()
        if self._until == 0.0:
            # Only now, lest plain callbacks that take long leave no time for steps.
            self._until = now + SLICE
        elif now >= self._until:
            self._set_budget(max(1, self._size - left))
            self._left, self._before, self._in_between = 1, 0, False
            return False
        self._since = max(self._since, now)
        return True

    def _set_budget(self, steps: int) -> None:
        self._budget = min(steps, MOST_STEPS)
        self._mask = 7 if steps > MANY_STEPS else 0

    def _end(self) -> None:
        """The last callback of a pass has run."""
        loop = self._loop
        if loop._stopping:
            rest = self._steps.take(self._boundary)
            if rest:
                self._plain.extendleft((0, step) for step in reversed(rest))
                self._final = len(rest)
                self._ran -= len(rest)  # which these will add to
                loop._stopping = False
        elif self._size == self._budget < MOST_STEPS and monotonic() < self._until:
            self._set_budget(self._budget * 2)

"""How the steps of tasks are put in order, as descriptions that every loop implements, and as the one interface there
is to write a scheduler of one's own.

The four descriptions are frozen values: no loop, no state. What does their work is a `StepQueue`
(`_scheduling_queues`), which each loop that takes schedulers makes for itself.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from loopwright._core._wishes import DEADLINE, GROUP, PRIORITY, checked_weight
from loopwright.errors import NotASchedulerError, SchedulingTypeError, SchedulingValueError, UnknownSchedulerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextvars import Context

__all__ = [
    "Deadlines",
    "FairShares",
    "FirstInFirstOut",
    "PriorityLanes",
    "ReadyStep",
    "TaskScheduler",
    "scheduler_named",
    "scheduler_names",
    "selects_itself",
]


class ReadyStep:
    """One step of a task, or its wake-up, that could run now: what a `TaskScheduler` chooses from."""

    __slots__ = ("_step", "context", "since", "task")

    def __init__(self, step: Any, context: Context, since: float, task: Any) -> None:
        self._step = step
        self.task = task
        """The task (an `asyncio.Task`, or of a class like it)."""
        self.context = context
        """The context that the step will run in."""
        self.since = since
        """When it was seen to be ready, in seconds of `time.monotonic()`, to the length of a slice of a pass."""

    @property
    def priority(self) -> str | None:
        """The lane that `priority()` was given; None if it was not."""
        return self.context.get(PRIORITY)

    @property
    def group(self) -> str | None:
        """The group that `group()` was given; None if it was not."""
        wish = self.context.get(GROUP)
        return None if wish is None else wish.name

    @property
    def weight(self) -> float | None:
        """The weight that `group()` was given; None if it was not."""
        wish = self.context.get(GROUP)
        return None if wish is None else wish.weight

    @property
    def deadline(self) -> float | None:
        """When it is due, in seconds of `time.monotonic()`; None if `deadline()` said nothing."""
        return self.context.get(DEADLINE)

    def __repr__(self) -> str:
        wishes = {name: getattr(self, name) for name in ("priority", "group", "weight", "deadline")}
        told = "".join(f" {name}={value!r}" for name, value in wishes.items() if value is not None)
        return f"<ReadyStep of {self.task!r} since {self.since:.3f}{told}>"


class TaskScheduler:
    """Which step of which task runs next. Subclass it and write `select()`; or take one of the four that are there.

    A scheduler orders task steps and wake-ups alone: timers, I/O and every other callback keep asyncio's order. The
    same scheduler may be given to many loops in many threads; one with state of its own has to be ready for that.
    """

    def select(self, ready: Sequence[ReadyStep], /) -> int | ReadyStep:
        """Choose from `ready`, which is never empty and has those first that have been ready for longest.

        Called in the loop's thread before every step, so at the cost of a call of Python and of whatever it does; must
        not wait. Gives the step, or its index as a list has it (-1 is the last). Should it choose a step of a task that
        has an earlier one there, the earlier one runs: the steps of a task stay in their order.

        If it raises, or gives anything else, the loop's exception handler is told the first time, and the step that has
        been ready for longest runs.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no select() of its own")


@dataclass(frozen=True)
class FirstInFirstOut(TaskScheduler):
    """The order of asyncio: whatever became ready first runs first, and the loop is as it was. Costs nothing."""


@dataclass(frozen=True)
class PriorityLanes(TaskScheduler):
    """Lanes, the most urgent first; within a lane first in, first out. `with priority("urgent"):` chooses the lane.

    A step of a higher lane always goes before those of lower ones, with one exception, so that nothing starves: the
    step at the head of a lane that has waited for longer than `aging` seconds goes as soon as `aged_every` others have
    gone since the last such exception; of several, the one that has waited longest. Two bounds follow:

    - With `n` steps of its own lane and of higher ones before it, a step runs at latest after those and
      `n / aged_every + 1` others. Alone in the first lane, it waits for one at most.
    - A step that has waited for longer than `aging`, with `n` steps of lower or higher lanes that have waited at least
      as long, runs at latest after `(n + 1) * (aged_every + 1)` steps.

    ValueError or TypeError if a lane is no str, empty or there twice, `default` is none of them, or a number is no such
    number.
    """

    lanes: tuple[str, ...] = ("urgent", "high", "normal", "low", "bulk")
    """Names, the most urgent first."""
    default: str = "normal"
    """Where what wished for nothing goes, and what wished for a lane that is not there."""
    aging: float | None = 0.1
    """Seconds after which a step may go before those of higher lanes; None for never, and then lower lanes can
    starve."""
    aged_every: int = 10
    """How many other steps go between two such exceptions, at least."""

    def __post_init__(self) -> None:
        lanes: Any = self.lanes
        if isinstance(lanes, str) or not all(isinstance(lane, str) for lane in lanes):
            raise SchedulingTypeError(f"lanes must be names of lanes, such as ('urgent', 'normal'), not {self.lanes!r}")
        object.__setattr__(self, "lanes", tuple(self.lanes))
        if not self.lanes or "" in self.lanes or len(set(self.lanes)) < len(self.lanes):
            raise SchedulingValueError(
                f"lanes must be at least one name, none of them empty or there twice, not {self.lanes!r}"
            )
        if self.default not in self.lanes:
            raise SchedulingValueError(f"default must be one of {', '.join(self.lanes)}, not {self.default!r}")
        if self.aging is not None:
            _check_seconds("aging", self.aging)
        _check_whole("aged_every", self.aged_every)


@dataclass(frozen=True)
class FairShares(TaskScheduler):
    """Groups get the loop in proportion to their weights. `with group("tenant-7", weight=2):` chooses the group.

    What counts is the CPU time of callbacks (`time.thread_time()`), of tasks and of every other callback whose context
    names the group: the one that has had least for its weight goes next, however many tasks it has. A group that comes
    back from having nothing to do is in no arrears: it shares from now on and collects nothing for then. Work in no
    group is a group of its own, named None. `groups()` shows the account.

    ValueError or TypeError if `weight` is no finite number above 0, or `remembered` no whole number of 1 or more.
    """

    weight: float = 1.0
    """The weight of a group that was never given one, and of work in no group."""
    remembered: int = 1000
    """How many groups with nothing to do are kept in the account. Those idle for longest are forgotten when there are
    twice as many."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", checked_weight("weight", self.weight))
        _check_whole("remembered", self.remembered)


@dataclass(frozen=True)
class Deadlines(TaskScheduler):
    """The step with the earliest deadline goes first; first in, first out where they are equal.
    `with deadline(0.5):` sets one.

    What has none goes last, and can starve while the loop has more to do than it can; or it has until `default` seconds
    after it became ready. ValueError or TypeError if `default` is neither None nor a number above 0.
    """

    default: float | None = None
    """Seconds from becoming ready, for a step without a deadline; None for after all that have one."""

    def __post_init__(self) -> None:
        if self.default is not None:
            _check_seconds("default", self.default)


def scheduler_names() -> tuple[str, ...]:
    """The names that `scheduler_named()` knows."""
    return tuple(_NAMED)


def scheduler_named(scheduler: Any) -> TaskScheduler:
    """The scheduler of that name: "fifo", "priority", "fair" or "deadline"; a `TaskScheduler` itself; for None, "fifo".

    UnknownSchedulerError (a ValueError) with the nearest name if there is none; NotASchedulerError (a TypeError) if it
    is something else, or a scheduler without a `select()`.
    """
    if scheduler is None:
        return FirstInFirstOut()
    if isinstance(scheduler, TaskScheduler):
        if not selects_itself(scheduler) and not isinstance(scheduler, tuple(_NAMED.values())):
            raise NotASchedulerError(
                f"{type(scheduler).__qualname__} has no select(); write it to say which step is next"
            )
        return scheduler
    if isinstance(scheduler, str):
        found = _NAMED.get(scheduler)
        if found is None:
            near = difflib.get_close_matches(scheduler.strip().lower(), _NAMED, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UnknownSchedulerError(
                f"no task scheduler is called {scheduler!r}; {hint}there are: {', '.join(_NAMED)}"
            )
        return found()
    told = f"scheduler must be a TaskScheduler or the name of one ({', '.join(_NAMED)}), not {scheduler!r}"
    if isinstance(scheduler, type) and issubclass(scheduler, TaskScheduler):
        told += f"; that is the class, call it first: {scheduler.__qualname__}()"
    raise NotASchedulerError(told)


def selects_itself(scheduler: TaskScheduler) -> bool:
    """Whether its class has a `select()`, which is then asked, also if it derives from one of the descriptions."""
    return type(scheduler).select is not TaskScheduler.select


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchedulingTypeError(f"{name} must be a number of seconds above 0, or None, not {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise SchedulingValueError(f"{name} must be a finite number of seconds above 0, or None, not {value!r}")


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SchedulingTypeError(f"{name} must be a whole number, 1 or more, not {value!r}")
    if value < 1:
        raise SchedulingValueError(f"{name} must be a whole number, 1 or more, not {value!r}")


_NAMED: Final[Mapping[str, type[TaskScheduler]]] = {
    "fifo": FirstInFirstOut,
    "priority": PriorityLanes,
    "fair": FairShares,
    "deadline": Deadlines,
}

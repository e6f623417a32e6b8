"""What does the work of a `TaskScheduler`: queues of steps, given the time by whoever asks.

Theory of operation. A loop pushes every step that becomes ready, with the context it will run in and the time, and pops
one before each step it runs. A step is whatever the loop likes (asyncio's handles); only its context is read, once, at
the push: a wish counts from the next step of a task. The times pushed never go back, so within one lane or group the
first is the one that has waited longest. `take(until)` gives out all that was pushed by then, which is how a loop that
is being stopped runs what was ready, and nothing since.

Steps of one task stay in order since a task has one step at a time in the queue of a loop, except where somebody calls
a task's private methods; `Selected` (`_scheduling_selected`) holds even then, as a user's choice is checked anyway.

Rejected: one heap for everything, keyed by lane or virtual time. Priorities that change with time (aging, shares) would
need every key of it made anew, and a heap of 10,000 bulk steps makes each urgent one pay for them.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

from loopwright._core._scheduling import Deadlines, FairShares, PriorityLanes, selects_itself
from loopwright._core._scheduling_selected import Selected
from loopwright._core._scheduling_shares import Shares
from loopwright._core._wishes import DEADLINE, PRIORITY

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from loopwright._core._scheduling import TaskScheduler

__all__ = ["DueFirst", "InOrder", "Lanes", "StepQueue", "step_queue", "waiting_rank"]

#: So many unknown lanes are remembered, and told of, each.
UNKNOWN_LANES = 100


class StepQueue(Protocol):
    """Steps that are ready, and which of them is next."""

    def push(self, step: Any, context: Context, since: float, /) -> None:
        """Take in a step, ready since `since` (seconds of any clock that does not go back)."""

    def pop(self, now: float, /) -> Any:
        """Give out the step that is next. IndexError if there is none."""

    def take(self, until: float, /) -> list[Any]:
        """Give out all steps that are ready since `until` or before, in a good order."""

    def entries(self) -> list[tuple[float, Any]]:
        """Every step there is with the time it is ready since, in order of it."""

    def clear(self) -> None:
        """Forget all steps."""

    def ready(self, most: int, /) -> int:
        """How many steps there are; `most` if there are more."""

    def __len__(self) -> int: ...


def step_queue(
    scheduler: TaskScheduler,
    *,
    task_of: Callable[[Any], Any],
    failed: Callable[[str, BaseException | None], None],
    unknown_lane: Callable[[str, str], None],
) -> StepQueue:
    """The queue that does what the scheduler describes.

    `task_of(step)` gives a step's task; `failed(what, error)` is told once of a `select()` that raised or gave what is
    no choice; `unknown_lane(lane, default)` of a lane that is wished for and not there, once for each.
    """
    if selects_itself(scheduler):
        return Selected(scheduler.select, task_of, failed)
    match scheduler:
        case PriorityLanes():
            return Lanes(scheduler, unknown_lane)
        case FairShares():
            return Shares(scheduler)
        case Deadlines():
            return DueFirst(scheduler)
        case _:
            return InOrder()


def waiting_rank(scheduler: TaskScheduler, context: Context) -> float:
    """Where a task that may not start yet stands among others: the lowest starts first."""
    if isinstance(scheduler, Deadlines):
        due = context.get(DEADLINE)
        return math.inf if due is None else due
    description = scheduler if isinstance(scheduler, PriorityLanes) else PriorityLanes()
    lane = context.get(PRIORITY)
    return description.lanes.index(lane if lane in description.lanes else description.default)


class InOrder:
    """First in, first out."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, Any]] = deque()

    def push(self, step: Any, _context: Context, since: float, /) -> None:
        self._steps.append((since, step))

    def pop(self, _now: float, /) -> Any:
        return self._steps.popleft()[1]

    def take(self, until: float, /) -> list[Any]:
        taken = []
        while self._steps and self._steps[0][0] <= until:
            taken.append(self._steps.popleft()[1])
        return taken

    def entries(self) -> list[tuple[float, Any]]:
        return list(self._steps)

    def clear(self) -> None:
        self._steps.clear()

    def ready(self, most: int, /) -> int:
        return min(most, len(self._steps))

    def __len__(self) -> int:
        return len(self._steps)


class Lanes:
    """What `PriorityLanes` describes."""

    def __init__(self, description: PriorityLanes, unknown_lane: Callable[[str, str], None]) -> None:
        self._lanes: tuple[deque[tuple[float, Any]], ...] = tuple(deque() for _ in description.lanes)
        self._by_name: dict[str | None, deque[tuple[float, Any]]] = dict(
            zip(description.lanes, self._lanes, strict=True)
        )
        self._default_name = description.default
        self._by_name[None] = self._default = self._by_name[description.default]
        self._unknown_lane = unknown_lane
        self._aging = math.inf if description.aging is None else description.aging
        self._aged_every = description.aged_every
        self._turns = 0  # steps since the last that went out of its turn
        # Until then no head of the lanes below this one can be old enough. One above it has other lanes below.
        self._none_aged_until = -math.inf
        self._below: deque[tuple[float, Any]] | None = None

    def push(self, step: Any, context: Context, since: float, /) -> None:
        lane = self._by_name.get(context.get(PRIORITY))
        if lane is None:
            lane = self._unknown(cast("str", context[PRIORITY]))
        lane.append((since, step))

    def _unknown(self, name: str) -> deque[tuple[float, Any]]:
        if len(self._by_name) < len(self._lanes) + UNKNOWN_LANES:
            self._by_name[name] = self._default
            self._unknown_lane(name, self._default_name)
        return self._default

    def pop(self, now: float, /) -> Any:
        for lane in self._lanes:
            if lane:
                if self._turns < self._aged_every:
                    self._turns += 1
                elif now >= self._none_aged_until or lane is not self._below:
                    return self._oldest_below(lane, now).popleft()[1]
                return lane.popleft()[1]
        raise IndexError("no step is ready")

    def _oldest_below(self, first: deque[tuple[float, Any]], now: float) -> deque[tuple[float, Any]]:
        """Of the lanes below `first`, the one whose head has waited longest, if for long enough; else `first`."""
        since, oldest = math.inf, first
        for lane in reversed(self._lanes):
            if lane is first:
                break
            if lane and lane[0][0] <= since:
                since, oldest = lane[0][0], lane
        if since + self._aging <= now:
            self._turns = 0
            return oldest
        # What comes into an empty lane later is ready since `now` at the earliest.
        self._none_aged_until = min(since, now) + self._aging
        self._below = first
        return first

    def take(self, until: float, /) -> list[Any]:
        taken = []
        for lane in self._lanes:
            while lane and lane[0][0] <= until:
                taken.append(lane.popleft()[1])
        return taken

    def entries(self) -> list[tuple[float, Any]]:
        return sorted((entry for lane in self._lanes for entry in lane), key=_since)

    def clear(self) -> None:
        for lane in self._lanes:
            lane.clear()

    def ready(self, most: int, /) -> int:
        return min(most, len(self))

    def __len__(self) -> int:
        return sum(map(len, self._lanes))


class DueFirst:
    """What `Deadlines` describes."""

    def __init__(self, description: Deadlines) -> None:
        self._default = description.default
        self._due: list[tuple[float, int, float, Any]] = []
        self._count = itertools.count()
        self._never_due: deque[tuple[float, Any]] = deque()

    def push(self, step: Any, context: Context, since: float, /) -> None:
        due = context.get(DEADLINE)
        if due is None:
            if self._default is None:
                self._never_due.append((since, step))
                return
            due = since + self._default
        heapq.heappush(self._due, (due, next(self._count), since, step))

    def pop(self, _now: float, /) -> Any:
        if self._due:
            return heapq.heappop(self._due)[3]
        return self._never_due.popleft()[1]

    def take(self, until: float, /) -> list[Any]:
        entries = sorted(self._due)  # which is a heap, too
        taken = [entry[3] for entry in entries if entry[2] <= until]
        self._due = [entry for entry in entries if entry[2] > until]
        while self._never_due and self._never_due[0][0] <= until:
            taken.append(self._never_due.popleft()[1])
        return taken

    def entries(self) -> list[tuple[float, Any]]:
        due = [(since, step) for _, _, since, step in sorted(self._due)]
        return sorted([*due, *self._never_due], key=_since)

    def clear(self) -> None:
        self._due.clear()
        self._never_due.clear()

    def ready(self, most: int, /) -> int:
        return min(most, len(self))

    def __len__(self) -> int:
        return len(self._due) + len(self._never_due)


def _since(entry: tuple[float, Any]) -> float:
    return entry[0]

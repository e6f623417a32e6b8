"""Shares of a loop: groups are charged for the CPU time they use, and the one that has had least for its weight is
next.

Theory of operation. Each group has a virtual time: what it was charged, over its weight. The queue's own virtual time
is that of the group that was chosen last, and never goes back (start-time fair queueing: Goyal, Vin and Cheng, 1996). A
group that has something to do again begins there, if it is behind: what it might have had is gone. One that is ahead
stays ahead: it had more than its share while others waited. What a group uses while no step of anybody waits is taken
from nobody, so the queue's time goes along with it.

A group with steps waiting stands in a heap by its virtual time. Charges of other callbacks can make an entry there too
early, never too late, so it is put right when it comes to the top.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright._core._wishes import GROUP

if TYPE_CHECKING:
    from contextvars import Context

    from loopwright._core._scheduling import FairShares

__all__ = ["GroupAccount", "Shares"]


@dataclass(frozen=True, slots=True)
class GroupAccount:
    """What a group of `FairShares` has used of its loop, and what it could do now."""

    weight: float
    """Its share, in proportion to that of others."""
    cpu_time: float
    """Seconds of CPU time that its callbacks took, those of tasks and all others."""
    steps: int
    """How many steps of tasks it has had."""
    ready: int
    """How many steps of its tasks could run now."""


class _Group:
    __slots__ = ("cpu_time", "in_heap", "name", "steps", "virtual", "waiting", "weight")

    def __init__(self, name: str | None, weight: float) -> None:
        self.name = name
        self.weight = weight
        self.virtual = 0.0
        self.cpu_time = 0.0
        self.steps = 0
        self.waiting: deque[tuple[float, Any]] = deque()
        self.in_heap = False


class Shares:
    """What `FairShares` describes: a queue of steps that has to be told what each of them cost."""

    def __init__(self, description: FairShares) -> None:
        self._weight = description.weight
        self._remembered = description.remembered
        self._groups: dict[str | None, _Group] = {}
        self._heap: list[tuple[float, int, _Group]] = []
        self._count = itertools.count()
        self._virtual = 0.0
        self._running: _Group | None = None

    def push(self, step: Any, context: Context, since: float, /) -> None:
        group = self._group(context)
        group.waiting.append((since, step))
        if not group.in_heap and group is not self._running:
            self._enter(group)

    def _enter(self, group: _Group) -> None:
        group.virtual = max(group.virtual, self._virtual)
        # In this order: a KeyboardInterrupt in between has it in there twice, and not never. `mend()` puts that right.
        heapq.heappush(self._heap, (group.virtual, next(self._count), group))
        group.in_heap = True

    def _group(self, context: Context) -> _Group:
        """The group that work in this context belongs to, with the weight last asked for."""
        wish = context.get(GROUP)
        if wish is None:
            name, weight = None, None
        else:
            name, weight = wish
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name, self._weight)
            if len(self._groups) > 2 * self._remembered:
                self._forget()
        if weight is not None:
            group.weight = weight
        return group

    def _forget(self) -> None:
        """Drop the groups that have been idle for longest: judged by their time, behind which nobody falls."""
        idle = [each for each in self._groups.values() if not (each.waiting or each.in_heap or each is self._running)]
        idle.sort(key=lambda group: group.virtual)
        # The newest of all is the one that is being made, which has nothing waiting yet.
        newest = next(reversed(self._groups))
        for group in idle[: max(0, len(idle) - self._remembered)]:
            if group.name != newest:
                del self._groups[group.name]

    def pop(self, _now: float, /) -> Any:
        heap = self._heap
        while heap:
            virtual, _, group = heap[0]
            if virtual != group.virtual:
                heapq.heapreplace(heap, (group.virtual, next(self._count), group))
                continue
            # In this order: a KeyboardInterrupt between any two leaves no group with steps out of heap and `_running`,
            # but one that stays in the heap, to which `charge()` adds it.
            self._running = group
            group.in_heap = False
            heapq.heappop(heap)
            if group.waiting:
                if virtual > self._virtual:
                    self._virtual = virtual
                group.steps += 1
                return group.waiting.popleft()[1]
        raise IndexError("no step is ready")

    def charge(self, seconds: float) -> None:
        """What the step that was popped last, or the callback that was begun last, took of the CPU. Then none runs."""
        group = self._running
        if group is None:
            return
        group.cpu_time += seconds
        group.virtual += seconds / group.weight
        if group.waiting:
            if not group.in_heap:
                heapq.heappush(self._heap, (group.virtual, next(self._count), group))
                group.in_heap = True
        elif not self._heap and group.virtual > self._virtual:
            self._virtual = group.virtual
        self._running = None

    @property
    def charged(self) -> bool:
        """Whether something runs that the next charge is for."""
        return self._running is not None

    def begin(self, context: Context) -> None:
        """A callback that is no step of a task runs now: whatever is charged next is its."""
        group = self._group(context)
        group.virtual = max(group.virtual, self._virtual)
        self._running = group

    def account(self) -> dict[str | None, GroupAccount]:
        """What each group has had. May be asked from any thread."""
        return {
            group.name: GroupAccount(group.weight, group.cpu_time, group.steps, len(group.waiting))
            for group in tuple(self._groups.values())  # in one go, for another thread may add to them
        }

    def take(self, until: float, /) -> list[Any]:
        taken = []
        for group in self._groups.values():
            while group.waiting and group.waiting[0][0] <= until:
                taken.append(group.waiting.popleft())
        self._put_in_heap()
        return [step for _, step in sorted(taken, key=_since)]

    def mend(self) -> None:
        """What a KeyboardInterrupt anywhere in here may have left behind is put right; nothing runs."""
        self.charge(0.0)
        self._put_in_heap()

    def _put_in_heap(self) -> None:
        """Make the heap anew of the groups that have something waiting."""
        for group in self._groups.values():
            group.in_heap = bool(group.waiting) and group is not self._running
        self._heap = [(each.virtual, next(self._count), each) for each in self._groups.values() if each.in_heap]
        heapq.heapify(self._heap)

    def entries(self) -> list[tuple[float, Any]]:
        return sorted((entry for group in self._groups.values() for entry in group.waiting), key=_since)

    def clear(self) -> None:
        for group in self._groups.values():
            group.waiting.clear()
        self._put_in_heap()

    def ready(self, most: int, /) -> int:
        count = len(self._heap)  # each has at least one, and there may be thousands
        return most if count >= most else min(most, len(self))

    def __len__(self) -> int:
        running = self._running
        count = 0 if running is None or running.in_heap else len(running.waiting)
        return count + sum(len(group.waiting) for _, _, group in self._heap)


def _since(entry: tuple[float, Any]) -> float:
    return entry[0]

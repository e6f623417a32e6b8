"""Who may start when at most N are to be under way: slots, those that ride in them, and those that wait.

Theory of operation
-------------------
A *member* is anything that can be a key of a dictionary; it is asyncio's tasks that are meant, but nothing of asyncio
is known here. A member *enters*, possibly as the child of another, and *finishes*. In between it is one of these:

- It *holds a slot*: it has started. There are `limit` slots.
- It *rides* in the slot of its parent, which has started, too, and so at once. A slot is free again when everybody in
  it has finished, whoever of them took it. Were children to wait for slots of their own, `limit` members that wait for
  their children would wait for ever.
- It *waits*, ordered by rank (lower first) and then first in, first out. It has not started, so it has no children.
- It is *outside*: never counted, nor waits. Its children are members like others; or, if it is outside *with all its
  own*, they are outside as it is.

Somebody waits only while every slot is taken, so whatever frees a slot says who starts now. Members that had begun
before anybody could make them wait are *forced* in: they take slots beyond the limit if need be, and nobody else
starts until enough have finished.

Rejected: numbers that are counted up and down (`asyncio.Semaphore`). They cannot tell who holds what, and a member
that is forgotten costs a slot for good.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Standing", "TaskSlots"]

Member = TypeVar("Member")


class Standing(Enum):
    """What a member is."""

    HOLDS = auto()
    RIDES = auto()
    WAITS = auto()
    OUTSIDE = auto()
    OUTSIDE_WITH_ALL = auto()
    """Its children are outside, too."""


@dataclass(slots=True)
class _Place:
    """A member's: with a number where it waits (its entry in the heap), with those of its slot where it has one."""

    standing: Standing
    slot: set[Any] | None = None
    number: int = -1


class TaskSlots(Generic[Member]):
    """Slots for `limit` members that have started. One thread at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._places: dict[Member, _Place] = {}
        self._slots: dict[int, set[Member]] = {}  # by id(): sets have no hash, and are in here for as long as in use
        self._queue: list[tuple[Any, int, Member]] = []
        self._waiting = 0
        self._riding = 0
        self._numbers = itertools.count()

    @property
    def started(self) -> int:
        """How many slots are taken; above `limit` only by those that were forced in."""
        return len(self._slots)

    @property
    def riding(self) -> int:
        """How many have started without a slot of their own."""
        return self._riding

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return len(self._slots) >= self.limit

    def standing(self, member: Member) -> Standing | None:
        """What it is; None for whoever has not entered, or has finished."""
        place = self._places.get(member)
        return None if place is None else place.standing

    def slots(self) -> Iterator[set[Member]]:
        """Who is in each of the slots that are taken. Not to be changed."""
        return iter(self._slots.values())

    def enter(self, member: Member, rank: Callable[[], Any], parent: Member | None = None) -> Standing:
        """`member` wants to start; `rank()` is asked for only if it has to wait. What has become of it.

        `parent` is a member that has started, or outside; what is neither counts as none.
        """
        above = None if parent is None else self._places.get(parent)
        if above is not None and above.standing is Standing.OUTSIDE_WITH_ALL:
            place = _Place(above.standing)
        elif above is not None and above.slot is not None:
            place = self._ride(member, above.slot)
        elif self.full:
            place = _Place(Standing.WAITS, number=next(self._numbers))
            self._wait((rank(), place.number, member))
        else:
            place = self._take(member)
        self._places[member] = place
        return place.standing

    def force(self, member: Member) -> None:
        """`member` has begun already: it takes a slot, be there a free one or not."""
        self._places[member] = self._take(member)

    def put_outside(self, member: Member, *, with_all: bool = False) -> list[Member]:
        """`member` is not to be counted (any more), wherever it was. Who starts now in its stead.

        Those that ride where it was stay there.
        """
        self._leave(member)
        self._places[member] = _Place(Standing.OUTSIDE_WITH_ALL if with_all else Standing.OUTSIDE)
        return self._start()

    def finish(self, member: Member) -> list[Member]:
        """`member` has ended, or gives up waiting; nothing happens if it is none. Who starts now, in that order."""
        self._leave(member)
        return self._start()

    def clear(self) -> None:
        """Forget everybody."""
        for everybody in (self._places, self._slots, self._queue):
            everybody.clear()
        self._waiting = self._riding = 0

    def unlimit(self) -> list[Member]:
        """No limit from now on. Who starts, in order: all that wait."""
        self.limit = sys.maxsize
        return self._start()

    def _take(self, member: Member) -> _Place:
        slot = {member}
        self._slots[id(slot)] = slot
        return _Place(Standing.HOLDS, slot)

    def _ride(self, member: Member, slot: set[Member]) -> _Place:
        slot.add(member)
        self._riding += 1
        return _Place(Standing.RIDES, slot)

    def _wait(self, entry: tuple[Any, int, Member]) -> None:
        if self._queue:
            _ = entry < self._queue[0]  # raises, if ranks cannot be compared, while nothing has been changed yet
        heapq.heappush(self._queue, entry)
        self._waiting += 1

    def _leave(self, member: Member) -> None:
        place = self._places.pop(member, None)
        if place is None:
            return
        if place.standing is Standing.WAITS:
            self._waiting -= 1  # its entry in the heap stays, and is passed over when its turn comes
            if len(self._queue) > 2 * self._waiting + 64:
                self._sweep()
        elif place.slot is not None:
            self._riding -= place.standing is Standing.RIDES
            place.slot.discard(member)
            if not place.slot:
                del self._slots[id(place.slot)]

    def _sweep(self) -> None:
        """Or a thousand that give up while nobody finishes would be remembered for as long as that takes."""
        self._queue = [entry for entry in self._queue if self._waits(entry)]
        heapq.heapify(self._queue)

    def _waits(self, entry: tuple[Any, int, Member]) -> bool:
        place = self._places.get(entry[2])
        return place is not None and place.number == entry[1]

    def _start(self) -> list[Member]:
        started: list[Member] = []
        while self._waiting and not self.full:
            entry = heapq.heappop(self._queue)
            if self._waits(entry):
                self._waiting -= 1
                self._places[entry[2]] = self._take(entry[2])
                started.append(entry[2])
        if not self._waiting:
            self._queue.clear()  # what is left is of those that gave up
        return started

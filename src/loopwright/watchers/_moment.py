"""What is to be done before long, unless it is taken back: one timer for all that waits.

Theory of operation. In a virtual machine a timer is dear: to set one that is nearer than the scheduler's tick, to be
interrupted by it and woken cost together half as much as to start a program (65 us beside 130), and to set it anew for
each of many costs more than to let it ring. So it is set once, and those that come while it runs wait for the next
time. What is not needed any more by then is taken back; and as long as it rings for nobody, it is set for longer.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from loopwright.watchers._plain import PlainPidfdSet

if TYPE_CHECKING:
    import asyncio

    from loopwright._native import PidfdSet

__all__ = ["ALARM", "Impatient", "Moment"]

#: The key in a set of pidfds under which it is told.
ALARM = 0xFFFF_FFFF
#: How long those wait who come first, or when the last who waited was kept waiting.
SHORTEST = 0.001
#: And when all were done before.
LONGEST = 0.004


class Impatient(Protocol):
    """What waits for its moment."""

    def come_due(self) -> None:
        """It has waited long enough."""


class Moment:
    """Those that wait, each for as long as the timer is set, or twice that at the most."""

    __slots__ = ("_due", "_is_set", "_seconds", "_young")

    def __init__(self) -> None:
        self._seconds = SHORTEST
        self._is_set = False
        #: Those that the timer was set for, and those that came while it ran: they wait for the next.
        self._due: dict[Impatient, None] = {}
        self._young: dict[Impatient, None] = {}

    def add(self, who: Impatient) -> bool:
        """Whether it is the only one, so that the timer must be set."""
        if self._is_set:
            self._young[who] = None
            return False
        self._due[who] = None
        return True

    def discard(self, who: Impatient) -> None:
        """It does not wait any more, if it did."""
        if self._due.pop(who, self) is self:
            self._young.pop(who, None)

    def set_timer(self, loop: asyncio.AbstractEventLoop, pidfds: PidfdSet | PlainPidfdSet | None) -> None:
        """Of the set, which tells of it under ALARM, if that has one (it says why); else the loop's."""
        self._is_set = True
        if pidfds is not None and not isinstance(pidfds, PlainPidfdSet):
            with contextlib.suppress(OSError):  # no descriptor is left for one
                pidfds.alarm(int(self._seconds * 1e9), ALARM)
                return
        loop.call_later(self._seconds, self.come, loop, pidfds)

    def come(self, loop: asyncio.AbstractEventLoop, pidfds: PidfdSet | PlainPidfdSet | None) -> None:
        """The timer has rung: for those that it was set for, and it is set for the others."""
        self._is_set = False
        self._seconds = SHORTEST if self._due else min(2 * self._seconds, LONGEST)
        due, self._due, self._young = self._due, self._young, {}
        try:
            while due:
                due.popitem()[0].come_due()
        finally:
            self._due |= due  # if one of them raised
            if self._due:
                self.set_timer(loop, pidfds)

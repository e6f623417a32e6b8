"""What is to be done before long, whatever happens: one timer for all that is asked for until it rings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from loopwright.watchers._plain import PlainPidfdSet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._native import PidfdSet

__all__ = ["ALARM", "Moment"]

#: The key in a set of pidfds under which it is told.
ALARM = 0xFFFF_FFFF
SECONDS = 0.001


class Moment:
    """Callbacks that wait for one moment."""

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], object]] = []

    def add(self, callback: Callable[[], object]) -> bool:
        """Whether it is the first, so that the timer must be set."""
        self._callbacks.append(callback)
        return len(self._callbacks) == 1

    def set_timer(self, loop: asyncio.AbstractEventLoop, pidfds: PidfdSet | PlainPidfdSet | None) -> None:
        """Of the set, which tells of it under ALARM, if that has one (it says why); else the loop's."""
        if pidfds is not None and not isinstance(pidfds, PlainPidfdSet):
            with contextlib.suppress(OSError):  # no descriptor is left for one
                pidfds.alarm(int(SECONDS * 1e9), ALARM)
                return
        loop.call_later(SECONDS, self.come)

    def come(self) -> None:
        """Call all of them."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

"""A number of places, and who waits for one.

Theory of operation. Places are handed over, not announced: whoever gives one back has it counted as taken by the first
who waits, in the same step. So nobody who comes later can take it in between, as with a condition that wakes
somebody who then looks for himself. A waiter that is cancelled, or closed, after a place was handed to it, and before
it ran, gives it back.

Where a place is not enough (there is an `obstacle`), a task asks about that as long as somebody waits and there is
room, and hands out one place after each answer. Where nothing is taken the obstacle is not asked: nothing that could
go away is in the way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from loopwright._core import helper
from loopwright.errors import PoolFullError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Places"]


class Places:
    """`size` places. First come, first served. On one loop's thread."""

    def __init__(
        self, size: int, max_waiting: int | None, obstacle: Callable[[], Awaitable[bool]] | None, interval: float
    ) -> None:
        self.size = size
        self.taken = 0
        self._max_waiting = max_waiting
        self._obstacle = obstacle
        self._interval = interval
        # Ordered and with keys, so that of very many who wait any one can go away at no cost.
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._asking: asyncio.Task[None] | None = None
        self._idle: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiters)

    async def take(self, *, bounded: bool = True) -> None:
        """Wait for a place, and take it. PoolFullError if too many wait already, and that is to count."""
        if not self._waiters and self._has_room and (self._obstacle is None or not self.taken):
            self.taken += 1
            return
        # Those whom an obstacle keeps from a place that is free do not count.
        if bounded and self._max_waiting is not None and self.waiting >= self._max_waiting + self.size - self.taken:
            raise PoolFullError(
                f"{self.taken} of {self.size} places are taken and {self.waiting} calls wait, "
                f"where max_waiting={self._max_waiting} allows no more: wait for some before starting others"
            )
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        self._hand_over()
        try:
            await waiter
        except BaseException:  # a call that is closed while it waits goes, too, and that cancels no waiter
            if not waiter.done() or waiter.cancelled():
                self._waiters.pop(waiter, None)
                self._wake_idle()
            elif waiter.exception() is None:
                self.give_back()
            raise

    def give_back(self) -> None:
        """Have one place less taken."""
        self.taken -= 1
        self._hand_over()
        self._wake_idle()

    def turn_away(self, error: Callable[[], Exception]) -> None:
        """Have this raised by all that wait."""
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(error())
        self._wake_idle()

    async def wait_idle(self) -> None:
        """Wait until no place is taken, and nobody waits."""
        while self.taken or self._waiters:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._idle:
                    self._idle.remove(waiter)

    async def stop_asking(self) -> None:
        """Be done with the obstacle. For when nobody waits any more."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])

    @property
    def _has_room(self) -> bool:
        return self.taken < self.size

    def _hand_over(self) -> None:
        while self._waiters and self._has_room:
            if self._obstacle is not None and self.taken:
                if self._asking is None or self._asking.done():
                    asking = helper(self._ask(self._obstacle))
                    self._asking = asyncio.get_running_loop().create_task(asking, name="loopwright pool waits for room")
                return
            self._hand_over_one()

    def _hand_over_one(self) -> None:
        waiter, _ = self._waiters.popitem(last=False)
        if not waiter.done():  # else it was cancelled, and has not run yet
            self.taken += 1
            waiter.set_result(None)

    async def _ask(self, obstacle: Callable[[], Awaitable[bool]]) -> None:
        try:
            while self._waiters and self._has_room:
                if self.taken and await obstacle():
                    await asyncio.sleep(self._interval)
                elif self._waiters and self._has_room:  # it took a while to ask
                    self._hand_over_one()
        except Exception as error:  # noqa: BLE001 - told to those who would wait for ever otherwise
            failure = error
            self.turn_away(lambda: failure)

    def _wake_idle(self) -> None:
        if not self.taken and not self._waiters:
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)

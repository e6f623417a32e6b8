"""What a StreamWriter on one of our pipes asks whether it may go on writing, and whether the pipe is closed."""

from __future__ import annotations

import asyncio

__all__ = ["WriteProtocol"]


class WriteProtocol(asyncio.StreamReaderProtocol):
    """asyncio's own for streams, but that each `wait_closed()` waits by itself.

    asyncio has all of them await one future, which the first that is cancelled cancels: the others, and all that come
    after, are then told of a cancellation that is not theirs, and before the pipe is closed. (Not by a shield: from
    Python 3.14 on it tells the loop of an error for which nobody waits any more.)
    """

    _waiters: tuple[asyncio.Future[None], ...] = ()

    def _get_close_waiter(self, _stream: asyncio.StreamWriter) -> asyncio.Future[None]:
        closed: asyncio.Future[None] = self._closed  # type: ignore[attr-defined]
        if closed.done():
            return closed
        waiter = closed.get_loop().create_future()
        self._waiters = (*(each for each in self._waiters if not each.done()), waiter)
        return waiter

    def connection_lost(self, exc: Exception | None) -> None:
        """Also tell those who wait for it."""
        super().connection_lost(exc)
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if waiter.done():
                continue
            if exc is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(exc)

"""A stream of things that happened, to be iterated over."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["Events"]

E = TypeVar("E")

#: How many events are kept for somebody who does not take them.
KEPT = 1000


class Events(Generic[E]):
    """What a watcher saw, for `async for`; ends when the watched process has ended or the watcher was closed.

    The newest 1000 are kept until they are taken; `missed` counts those given up. `close()`, or leaving it as a context
    manager, ends the watching behind it. To be used on the watcher's loop, by one task at a time.
    """

    def __init__(self, on_close: Callable[[], object]) -> None:
        self._on_close = on_close
        self._kept: deque[E] = deque(maxlen=KEPT)
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None
        self.missed = 0
        """How many events were given up because nobody took them."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._kept:
            if self._ended:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._kept.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch for this no more. What was seen can still be taken. Idempotent."""
        if not self._ended:
            self._end()
        self._on_close()

    def _put(self, event: E) -> None:
        if self._ended:
            return
        self.missed += len(self._kept) == KEPT
        self._kept.append(event)
        self._wake()

    def _end(self, error: BaseException | None = None) -> None:
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

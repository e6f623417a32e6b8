"""A coroutine whose first step is held back until there is room for it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

__all__ = ["Held"]


class Held(Coroutine[Any, Any, Any]):
    """Waits for a future, then is the coroutine it was made of.

    A class and not an `async def` around it: a task that is cancelled before its first step throws into what was never
    started, and then a coroutine inside would be lost with "was never awaited".
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], turn: asyncio.Future[None]) -> None:
        self.cr_held = coro
        """The coroutine that is held back."""
        self._turn = turn
        self._running: Coroutine[Any, Any, Any] | None = None
        self.__name__ = getattr(coro, "__name__", type(coro).__name__)
        self.__qualname__ = getattr(coro, "__qualname__", type(coro).__qualname__)

    def __getattr__(self, name: str) -> Any:
        # What debuggers ask a coroutine (`cr_frame`, `cr_await`, ...), `Task.print_stack()` among them.
        if name.startswith("cr_") and name != "cr_held":
            return getattr(self.cr_held, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    async def _run(self) -> Any:
        try:
            await self._turn
        except BaseException:
            self.cr_held.close()
            raise
        return await self.cr_held

    def send(self, value: Any) -> Any:
        """Go on."""
        if self._running is None:
            self._running = self._run()
        return self._running.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits."""
        if self._running is None:
            self.cr_held.close()
            self._running = self._run()
        return self._running.throw(*error)

    def close(self) -> None:
        """End it where it is."""
        if self._running is not None:
            self._running.close()
        self.cr_held.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._run().__await__())

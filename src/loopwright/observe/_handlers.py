"""Calling what a user handed in, be it a function or a coroutine function, so that its failure hurts nobody else."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handler", "Handlers", "check_callable", "optional_handler"]


def check_callable(callback: object, what: str) -> None:
    """TypeError for what cannot be called; a coroutine, which a forgotten pair of brackets makes, is named as such."""
    if asyncio.iscoroutine(callback):
        callback.close()
        raise TypeError(f"{what} must be a function or coroutine function; this is a coroutine: leave out the brackets")
    if not callable(callback):
        raise TypeError(f"{what} must be a function or coroutine function, not {callback!r}")


class Handler:
    """A callback with its arguments and the context (contextvars) in which it was handed in."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> None:
        self.callback = callback
        self.args = args
        self.context = contextvars.copy_context() if context is None else context


def optional_handler(callback: Callable[..., object] | None) -> Handler | None:
    """A handler for a `callback=` that may be None."""
    if callback is None:
        return None
    check_callable(callback, "callback")
    return Handler(callback)


class Handlers:
    """Calls handlers on one loop: each by `call_soon`, so one that raises meets the loop's exception handler."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()  # the loop itself holds tasks weakly

    def call(self, handler: Handler, *more: Any) -> None:
        """Have `handler.callback(*more, *handler.args)` called soon; what it returns is run as a task if awaitable."""
        self._loop.call_soon(self._call, handler, more, context=handler.context)

    def _call(self, handler: Handler, more: tuple[Any, ...]) -> None:
        result = handler.callback(*more, *handler.args)
        if asyncio.iscoroutine(result):
            task = self._loop.create_task(result)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler(
                {"message": "a coroutine function handed to a watcher raised", "exception": error, "task": task}
            )

    async def finish(self) -> None:
        """Wait for the coroutines that were called, but not for one that is itself waiting here."""
        current = asyncio.current_task()
        while left := [task for task in self._tasks if task is not current]:
            await asyncio.wait(left)

"""`LoopHandle`: what other threads get for an event loop that is shared."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from loopwright.errors import LoopClosedError, WrongThreadError
from loopwright.policies._loop_base import LoopBase
from loopwright.policies._submits import Submits
from loopwright.policies._targets import target_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from loopwright.policies._loop_thread import LoopThread
    from loopwright.policies._targets import Target

__all__ = ["LoopHandle"]

Ts = TypeVarTuple("Ts")

#: Reading one value, which any thread may.
READ = ("get_debug", "get_exception_handler", "get_task_factory", "is_closed", "is_running", "time")


class LoopHandle(Submits, LoopBase):  # type: ignore[misc]
    """An event loop as other threads may use it: `call_soon_threadsafe()`, `submit()`, and what only reads.

    `owner` is the thread that may use all of the loop, also while it is not running; without one, that is whichever
    runs it at the time. There, every method is the loop's own, so that what is handed to
    `asyncio.run_coroutine_threadsafe(coroutine, handle)` becomes a task of that loop. In any other thread, methods that
    are not safe there raise WrongThreadError (a RuntimeError), which names the method, the loop, and what to do.

    Two handles are equal if they are of one loop. A handle is not equal to its loop: code that keeps things by loop
    must not find in one thread what belongs to the other.
    """

    def __init__(self, loop: AbstractEventLoop, *, owner: threading.Thread | None = None) -> None:
        self._loop: AbstractEventLoop = loop._loop if isinstance(loop, LoopHandle) else loop
        self._owner = owner
        self._target = target_of(loop)

    @classmethod
    def _of_thread(cls, core: LoopThread) -> LoopHandle:
        handle = cls(core.loop, owner=core.thread)
        handle._target = core
        return handle

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._loop!r}{self._whose()}>"

    def _whose(self) -> str:
        return "" if self._owner is None else f", which belongs to thread {self._owner.name!r}"

    def __eq__(self, other: object) -> bool:
        return self._loop is other._loop if isinstance(other, LoopHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash((LoopHandle, id(self._loop)))

    def _here(self) -> bool:
        return self._target.here() or self._owner is threading.current_thread()

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Have the loop call this in its thread, in `context` or a copy of the caller's; what it gives can be cancelled
        within the loop only. LoopClosedError (a RuntimeError) in a forked child, whose parent has the loop's thread."""
        if self._target.inherited:
            raise LoopClosedError(self._target.gone())
        return self._loop.call_soon_threadsafe(
            callback, *args, context=contextvars.copy_context() if context is None else context
        )

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Have the loop's exception handler called, in its thread; here, if the loop is closed or not running."""
        if self._loop.is_running() and not self._here():
            self._loop.call_soon_threadsafe(self._loop.call_exception_handler, context)
        else:
            self._loop.call_exception_handler(context)

    def _loop_behind(self) -> AbstractEventLoop:
        return self._loop

    def _work_target(self) -> Target:
        return self._target


def _read(name: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any) -> Any:
        return getattr(self._loop, name)()

    return method


def _guarded(name: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        if self._here():
            return getattr(self._loop, name)(*args, **options)
        for given in (*args, *options.values()):
            if inspect.iscoroutine(given):
                given.close()  # or Python would say beneath this that it was never awaited
        raise WrongThreadError(
            f"{name}() was called in thread {threading.current_thread().name!r} on a loop that other threads share:"
            f" {self._loop!r}{self._whose()}. {_mend(name)}"
        )

    return method


def _mend(name: str) -> str:
    if name in ("run_until_complete", "run_forever", "create_task"):
        return (
            "Use submit() of what this was called on, as asyncio.get_event_loop().submit(coroutine), or a loop of this"
            " thread's own (asyncio.new_event_loop())"
        )
    if name == "close":
        return "Only who made it closes it"
    if name == "stop":
        return "Only its own thread stops it, or loop.call_soon_threadsafe(loop.stop)"
    return (
        "Use call_soon_threadsafe() of what this was called on (as asyncio.get_event_loop()) to have it called there,"
        " its submit() for coroutines, or a loop of this thread's own"
    )


for _name, _function in vars(asyncio.AbstractEventLoop).items():
    # By rule and not one by one, so that a method that a later Python adds is not forgotten.
    if not _name.startswith("_") and callable(_function) and _name not in vars(LoopHandle):
        setattr(LoopHandle, _name, (_read if _name in READ else _guarded)(_name, _function))

"""From one event loop to another, and from threads without one: `on()` and `submit()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, overload

from loopwright.errors import LoopClosedError, WrongLoopError
from loopwright.policies._targets import ForeignLoop, target_of
from loopwright.policies._work import WorkFuture, as_coroutine

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Coroutine

    from loopwright.policies._targets import Target

__all__ = ["on", "start", "submit"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@overload
def submit(
    loop: Any, work: Coroutine[Any, Any, T], /, *, context: contextvars.Context | None = None
) -> WorkFuture[T]: ...
@overload
def submit(
    loop: Any,
    work: Callable[[Unpack[Ts]], Awaitable[T]],
    /,
    *args: *Ts,
    context: contextvars.Context | None = None,
) -> WorkFuture[T]: ...
def submit(loop: Any, work: Any, /, *args: Any, context: contextvars.Context | None = None) -> WorkFuture[Any]:  # type: ignore[misc] # mypy: Any is no *Ts
    """Run `work` on `loop`, from any thread; a future to be awaited on any loop, or waited for in any thread.

    `loop` is an event loop that runs in whatever thread, or will; a `ThreadLoop`, a `LoopHandle`, or a `LoopPool`,
    which chooses one of its own. `work` is a coroutine, or a function that gives an awaitable when it is called, with
    `args`, in the loop. It runs in a copy of `context`, or of the caller's.

    This is `asyncio.run_coroutine_threadsafe()` with a context, a future that can be awaited, and a `cancel()` after
    which the future is done when the work has ended. LoopClosedError (a RuntimeError) for a loop that is closed, and
    from the future if it is closed before the work has ended; the coroutine is then closed. NotALoopError for what is
    no loop, and a TypeError as well for what is no work.
    """
    coroutine = as_coroutine(work, args)
    of_pool: Callable[..., WorkFuture[Any]] | None = getattr(type(loop), "_start", None)
    if of_pool is not None:
        return of_pool(loop, coroutine, context)
    try:
        target = target_of(loop)
    except BaseException:
        coroutine.close()
        raise
    return start(target, coroutine, context)


def start(target: Target, coroutine: Any, context: contextvars.Context | None = None) -> WorkFuture[Any]:
    """Send the coroutine there; it is closed if that fails."""
    future: WorkFuture[Any] = WorkFuture(target)
    future._start_in(coroutine, context)
    return future


@overload
async def on(loop: Any, work: Coroutine[Any, Any, T], /) -> T: ...
@overload
async def on(loop: Any, work: Callable[[Unpack[Ts]], Awaitable[T]], /, *args: *Ts) -> T: ...
async def on(loop: Any, work: Any, /, *args: Any) -> Any:  # type: ignore[misc] # mypy: Any is no *Ts
    """Run `work` on another event loop, and give its result here: `await on(loop, coroutine)`.

    `loop` and `work` are those of `submit()`. On the loop that runs here already, the work is simply awaited. What the
    work raises is raised here; it sees the context of the caller. If the task that awaits this is cancelled, the work
    is, and both end together. CancelledError, too, if somebody else cancels the work.

    WrongLoopError (a RuntimeError) if the loop is not running, as nobody would do the work; LoopClosedError (a
    RuntimeError) if it is closed, or is closed before the work has ended. The coroutine is then closed.
    """
    if hasattr(type(loop), "_start"):
        return await submit(loop, work, *args)
    coroutine = as_coroutine(work, args)
    try:
        target = target_of(loop)
        if target.here():
            return await coroutine
        _check_running(target, loop)
    except BaseException:
        coroutine.close()
        raise
    return await start(target, coroutine)


def _check_running(target: Target, loop: Any) -> None:
    if target.running():
        return
    if target.loop.is_closed() or not isinstance(target, ForeignLoop):  # one in a thread of ours runs until it is ended
        raise LoopClosedError(f"Event loop is closed: {loop!r}")
    raise WrongLoopError(
        f"{loop!r} is not running, so nobody would do the work that was to be done there; run it in a thread"
        " (ThreadLoop, LoopPool), or use submit(), which does not wait"
    )

"""Work handed from one event loop, or thread, to another: the future that stands for it, `WorkFuture`.

Theory of operation
-------------------
*What is handed in* is a coroutine, or a function that gives one in the loop where it is to run. It becomes a task
there, in a copy of the caller's context. What stands for it here is a `WorkFuture`, a `concurrent.futures.Future`, so
that any thread can wait for it, which any loop can await, too.

*Cancelling asks.* As with a task of asyncio, `cancel()` throws CancelledError into the work, which may clean up, or
refuse; the future is done when the work has ended, and not before. (A future of `run_coroutine_threadsafe()` is
cancelled at once, while its work still runs, with nobody to hear how that ends.) A task that awaits it and is cancelled
cancels the work and ends with it, as if it awaited a task of its own loop.

*Nobody waits for ever.* Where the loop's thread is ours, it fails what is unfinished at its end. A loop of anybody
else's tells nobody of its close, and a task that was pending there is simply never run again. But closing drops what
the loop has queued. So a timer far in the future holds an object, the `_Tether`, that nothing else does: when that is
gone while the work is unfinished, the loop is closed. It costs no wake-up, and holds for asyncio's loops and uvloop's.
Rejected: asking `is_closed()` every second, and putting a `close()` of ours into a loop that is not ours.

*Never retrieved*: if the work failed, and nobody asked for its outcome until the future is collected, the exception
handler of its loop is told, as it is of asyncio's futures.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.errors import LoopClosedError, NoLoopError, WrongThreadError
from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._patience import PatientFuture
from loopwright.policies._targets import ForeignLoop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from loopwright.policies._targets import Target

__all__ = ["WorkFuture", "as_coroutine"]

T = TypeVar("T")

#: Seconds, ten years: for a timer that is never to go off.
FAR = 3e8


class _Tether:
    """Dropped by its loop when that is closed."""

    def hold(self) -> None:
        """What the timer calls that never goes off."""


class WorkFuture(PatientFuture[T]):
    """What was handed to a loop, for whoever waits for it: `await` it on any loop, or call `result()` in any thread.

    A `concurrent.futures.Future`, with these rules. `cancel()` throws CancelledError into the work, and gives True if
    the work was not done yet; the future is done when the work has ended, which need not be by that. Work that has not
    begun never does, and the future is cancelled at once. `result()`, `exception()`
    raise WrongThreadError (a RuntimeError) within the very loop that runs the work, which they would wait for for ever.
    In a forked child they and `await` raise LoopClosedError (a RuntimeError) for work that was unfinished at the
    fork, in a `ThreadLoop`, a `LoopPool` or a loop of a policy of ours: its thread is the parent's.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self._task: asyncio.Task[T] | None = None
        self._what = "work"
        self._untold: BaseException | None = None
        self._timer: Callable[[], asyncio.TimerHandle | None] = lambda: None
        """Weak: it is the loop alone that must hold what the tether hangs on."""
        self._unbegun: list[Coroutine[Any, Any, T]] = []
        """The coroutine, for whoever takes it first, to begin or to close it: to pop is one step for all threads."""

    def __repr__(self) -> str:
        state = "running" if self.running() else self._state.partition("_")[0].lower()
        return f"<{type(self).__name__} of {self._what}() on {self._where()}: {state}>"

    def _where(self) -> str:
        thread = getattr(self._target, "name", None)
        return f"{self._target.loop!r}" if thread is None else f"{self._target.loop!r} of thread {thread!r}"

    def _start_in(self, work: Coroutine[Any, Any, T], context: contextvars.Context | None) -> None:
        """Send the work there, to run in a copy of the context; it is closed if that fails."""
        context = contextvars.copy_context() if context is None else context.copy()
        target = self._target
        self._unbegun.append(work)
        self._what = getattr(work, "__qualname__", None) or repr(work)
        tether: _Tether | None = None
        target.unfinished[id(self)] = self
        try:
            if isinstance(target, ForeignLoop):
                tether = _Tether()
                weakref.finalize(tether, self._loop_is_gone).atexit = False
            target.post(self._begin, tether, context=context)
        except BaseException as error:
            self._end(error)  # for whoever counts it
            self._untold = None
            self._close_unbegun()
            raise
        if tether is not None and target.loop.is_closed():  # closed just before the post, it would not drop this
            self._loop_is_gone()

    def _begin(self, tether: _Tether | None) -> None:
        """In the loop."""
        try:
            work = self._unbegun.pop()
        except IndexError:  # cancelled in this moment
            return
        loop = self._target.loop
        try:
            self._task = loop.create_task(work)
        except BaseException as error:
            work.close()
            self._end(error)
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            return
        self._task.add_done_callback(self._finish)
        if tether is not None:
            timer = loop.call_later(FAR, tether.hold)
            try:
                self._timer = weakref.ref(timer)
            except TypeError:  # rloop's, which then cannot tell us of its close
                self._timer = lambda: timer

    def _finish(self, task: asyncio.Task[T]) -> None:
        """In the loop."""
        if task.cancelled():
            self._end(None, cancelled=True)
        elif (error := task.exception()) is not None:
            self._end(error)
        else:
            self._end(None, task.result())

    def _end(self, error: BaseException | None, result: Any = None, *, cancelled: bool = False) -> None:
        self._target.unfinished.pop(id(self), None)
        # Who cancels work that has not begun may meet, in another thread, the end of its loop: the first one counts.
        try:
            if self.done():
                pass
            elif cancelled:
                if super().cancel():
                    super().set_running_or_notify_cancel()
            elif error is not None:
                self._untold = error
                super().set_exception(error)
            else:
                super().set_result(result)
        except concurrent.futures.InvalidStateError:
            self._untold = None
        # Only now: this drops the tether.
        timer = self._timer()
        if timer is not None:
            timer.cancel()

    def _fail(self, error: Exception, /) -> None:
        self._end(error)
        self._close_unbegun()

    def _close_unbegun(self) -> bool:
        """Close the coroutine if nobody has begun it; whether that is so."""
        try:
            work = self._unbegun.pop()
        except IndexError:
            return False
        work.close()
        return True

    def _loop_is_gone(self) -> None:
        if not self.done():
            self._fail(LoopClosedError(f"{self._target.loop!r} was closed before the work that it was given had ended"))

    def cancel(self) -> bool:
        """Ask the work to end; False if it has ended. From any thread, and from signal handlers."""
        if self.done():
            return self.cancelled()
        if self._close_unbegun():
            self._end(None, cancelled=True)
        elif self._target.here():
            self._cancel_task()
        else:
            # A loop that is ending cancels everything by itself.
            with contextlib.suppress(LoopClosedError):
                self._target.post(self._cancel_task)
        return True

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def running(self) -> bool:
        """Whether the work has begun and not ended."""
        return self._task is not None and not self.done()

    def result(self, timeout: float | None = None) -> T:
        """Wait at most `timeout` seconds for the work to end; its result, or what it raised.

        TimeoutError if it has not ended, `concurrent.futures.CancelledError` if it was cancelled.
        """
        self._check_can_end("result")
        try:
            return super().result(timeout)
        finally:
            self._told()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result()`; what the work raised, or None."""
        self._check_can_end("exception")
        try:
            return super().exception(timeout)
        finally:
            self._told()

    def _told(self) -> None:
        if self.done():
            self._untold = None

    def _check_can_end(self, method: str) -> None:
        if self.done():
            return
        # Asked here, and not told to every future by the fork: their locks may be held by threads that are not there.
        if self._target.inherited:
            raise LoopClosedError(self._target.gone())
        if self._target.here():
            raise WrongThreadError(
                f"{method}() was called within {self._target.loop!r}, which runs the work that it would wait for: it"
                " would wait for ever. await the future instead"
            )

    def __await__(self) -> Generator[Any, None, T]:
        loop = running_loop()
        if loop is None:
            raise NoLoopError("await needs a running event loop; in a thread without one, call result()")
        if not self.done() and self._target.inherited:
            raise LoopClosedError(self._target.gone())
        waiter: _Waiter[T] = _Waiter(self, loop)
        return (yield from waiter.__await__())

    def __del__(self) -> None:
        error = getattr(self, "_untold", None)
        if error is not None:
            self._target.loop.call_exception_handler(
                {
                    "message": f"the exception of work given to a loop was never retrieved: {self._what}() on"
                    f" {self._where()}; await or ask result() of what submit() gave",
                    "exception": error,
                }
            )


class _Waiter(asyncio.Future[T]):
    """Stands for the work on the loop of a task that awaits it, and is done when the work is."""

    def __init__(self, work: WorkFuture[T], loop: AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._work_future = work
        self._why: tuple[Any, ...] = ()
        work.add_done_callback(self._wake)

    def _wake(self, _: object) -> None:
        loop = self.get_loop()
        if running_loop() is loop:
            self._copy()
            return
        # Closed: then nobody awaits any more, and a failure is told by the future's end.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._copy)

    def _copy(self) -> None:
        work = self._work_future
        if self.done():
            return
        if work.cancelled():
            super().cancel(*self._why)
        elif (error := work.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(work.result())

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the work; this ends when that does."""
        if self.done():
            return False
        self._why = (msg,)
        return self._work_future.cancel()


def as_coroutine(work: Any, args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    """The work as a coroutine that has not begun; TypeError for what is none."""
    if asyncio.iscoroutine(work):
        if args:
            work.close()
            raise TypeError("arguments go with a function; a coroutine has its own already")
        return work
    if callable(work):
        called: Any = _called(work, args)
        # For those who look at the future, or at the task.
        called.__name__ = getattr(work, "__name__", called.__name__)
        called.__qualname__ = getattr(work, "__qualname__", called.__qualname__)
        return called  # type: ignore[no-any-return]
    hint = "; an awaitable of one loop cannot be awaited on another" if inspect.isawaitable(work) else ""
    raise TypeError(f"work for a loop is a coroutine or a function that gives one, not {work!r}{hint}")


async def _called(function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
    awaitable = function(*args)
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            f"{function!r} gave {awaitable!r}, which cannot be awaited: work for a loop is a coroutine function; for a"
            " plain one there are call_soon_threadsafe() and asyncio.to_thread()"
        )
    return await awaitable

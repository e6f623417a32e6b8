"""What a `ThreadLoop` gives to those outside its thread: futures, tasks and handles that every thread may use.

Theory of operation
-------------------
*A remote future* is an asyncio future whose loop is the ThreadLoop. To end it and to hang callbacks on it is one
operation of C under the interpreter's lock, and what it schedules goes through `ThreadLoop.call_soon()`, which is safe
from any thread. `get_loop()` gives the loop as the caller sees it: the real one within the loop's thread, so that
tasks there can await it, wait_for() it and gather() it; the ThreadLoop elsewhere, so that gather() and
run_until_complete() outside know it as theirs.

*A remote task* is such a future, tied to a task (or to another future) that is made in the loop's thread. It is there
at once, and so is `cancel()`: both are posted, first come first served, and neither waits for the thread. So they may
be called from a signal handler, as `asyncio.Runner` calls `cancel()` at Ctrl-C.

*Held back* are callbacks of asyncio's own functions that were hung on it from outside, until somebody runs the loop:
gather() counts its futures while it walks through them, and in a loop that runs already the first may be done before
it has seen the second.

*The rest*: `asyncio.all_tasks(thread_loop)` cannot know of tasks that belong to the real loop. One future stands there
for all of them: `cancel()` cancels them, and it is done when they are. That is what `asyncio.Runner` and the many
programs that do the same by hand need to end what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.errors import LoopClosedError
from loopwright.loops._asyncio_threads import counts_on_rest, list_as_task
from loopwright.policies._loop_thread import report_failures

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine

    from loopwright.policies._thread_calls import PostedCalls

__all__ = ["RemoteFuture", "RemoteHandle", "RemoteTask", "RemoteTimerHandle", "Rest"]

T = TypeVar("T")


class RemoteFuture(asyncio.Future[T]):
    """A future of a `ThreadLoop`, which any thread may end, and tasks within the loop may await."""

    def __init__(self, owner: PostedCalls) -> None:
        super().__init__(loop=owner)
        self._owner = owner

    def get_loop(self) -> AbstractEventLoop:
        """The `ThreadLoop`; within its own thread, the loop that runs there."""
        return self._owner._as_seen_here()

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: contextvars.Context | None = None) -> None:
        """Have `fn(future)` called, in the loop's thread, when it is done."""
        if counts_on_rest(fn) and self._owner._hold_back(self, fn, context):
            return
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Forget every such callback; how many there were."""
        return self._owner._forget_held(self, fn) + super().remove_done_callback(fn)

    def _add_held(self, fn: Callable[[Any], object], context: contextvars.Context | None) -> None:
        super().add_done_callback(fn, context=context)


class RemoteTask(RemoteFuture[T]):
    """What stands outside for a task in the loop's thread: `make()`, called there, gives the task, or another future.

    It has what `asyncio.Task` has, without being one. `cancel()` may be called from any thread and from a signal
    handler; it asks, and does not wait.
    """

    def __init__(
        self,
        owner: PostedCalls,
        make: Callable[[], asyncio.Future[T]],
        *,
        coro: Coroutine[Any, Any, T] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(owner)
        self._make: Callable[[], asyncio.Future[T]] | None = make
        self._coro = coro
        self._name = name
        self._inner: asyncio.Future[T] | None = None
        self._caller_knows = False

    def _begin(self) -> None:
        """In the loop's thread: make it, once."""
        make, self._make = self._make, None
        if make is None or self.done():
            return
        try:
            self._inner = make()
        except BaseException as error:
            self._owner._core.unfinished.pop(id(self), None)
            super().set_exception(error)
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            return
        self._inner.add_done_callback(self._finish)

    def _finish(self, inner: asyncio.Future[T]) -> None:
        self._owner._core.unfinished.pop(id(self), None)
        if self.done():
            return
        try:
            error = inner.exception()
        except asyncio.CancelledError as cancelled:
            super().cancel(*cancelled.args)
            return
        if error is None:
            super().set_result(inner.result())
            return
        super().set_exception(error)
        if self._caller_knows:
            self.exception()  # raised there already, it need not be told as never retrieved

    def _fail(self, error: Exception, /) -> None:
        """In the loop's thread, where it ends without this: let nobody wait for ever."""
        if not self.done():
            with contextlib.suppress(LoopClosedError):  # its callbacks find no loop any more
                super().set_exception(error)
            if self._inner is None and self._coro is not None:
                self._coro.close()

    def _known_to_caller(self) -> None:
        """Its exception, a SystemExit or KeyboardInterrupt, is raised where the loop was run."""
        self._caller_knows = True

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask it to end, as `asyncio.Task.cancel()`; False if it is done, or the loop is closed."""
        if self.done():
            return False
        try:
            self._owner._post_or_now(self._cancel_inner, msg)
        except LoopClosedError:
            return False
        return True

    def _cancel_inner(self, msg: Any | None) -> None:
        if self._inner is not None:
            self._inner.cancel(msg)

    def cancelling(self) -> int:
        """How often it was asked to end, less `uncancel()`; what was asked just now may not have arrived."""
        return self._inner.cancelling() if isinstance(self._inner, asyncio.Task) else 0

    def uncancel(self) -> int:
        """Take one of those back; how many are left."""
        return self._inner.uncancel() if isinstance(self._inner, asyncio.Task) else 0

    def set_result(self, _: T, /) -> None:
        """RuntimeError, as of a task."""
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, _: type | BaseException, /) -> None:
        """RuntimeError, as of a task."""
        raise RuntimeError("Task does not support set_exception operation")

    def get_coro(self) -> Any:
        """The coroutine."""
        return self._coro

    def get_name(self) -> str:
        """The task's name."""
        inner = self._inner
        return inner.get_name() if isinstance(inner, asyncio.Task) else self._name or "not begun"

    def set_name(self, value: object, /) -> None:
        """Name the task."""
        self._name = str(value)
        if isinstance(self._inner, asyncio.Task):
            self._inner.set_name(value)

    def get_stack(self, *, limit: int | None = None) -> list[Any]:
        """Where the task is, as of `asyncio.Task`; empty before it has begun."""
        return self._inner.get_stack(limit=limit) if isinstance(self._inner, asyncio.Task) else []

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        """Print where the task is, as `asyncio.Task`; nothing before it has begun."""
        if isinstance(self._inner, asyncio.Task):
            self._inner.print_stack(limit=limit, file=file)


class _Asking(threading.local):
    tasks_of_real_loop = False


_asking = _Asking()


class Rest(RemoteFuture[None]):
    """Stands in `asyncio.all_tasks(thread_loop)` for every task that is left in the loop's thread."""

    def __init__(self, owner: PostedCalls) -> None:
        super().__init__(owner)
        list_as_task(self)

    def __repr__(self) -> str:
        return f"<every task that is left in {self._owner!r}>"

    def get_loop(self) -> AbstractEventLoop:
        """The `ThreadLoop`: within its thread the tasks stand for themselves."""
        return self._owner

    def done(self) -> bool:
        """Whether there is none."""
        if super().done():
            return True
        if (
            _asking.tasks_of_real_loop
        ):  # since 3.14 all_tasks() asks every one of another make before it looks whose it is
            return True
        _asking.tasks_of_real_loop = True
        try:
            return not self._owner._tasks_left()
        finally:
            _asking.tasks_of_real_loop = False

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask every one to end; this is done when they have ended. Their errors go to the exception handler."""
        if self.done():
            return False
        try:
            self._owner._post_or_now(self._cancel_all, msg)
        except LoopClosedError:
            return False
        return True

    def _cancel_all(self, msg: Any | None) -> None:
        tasks = self._owner._tasks_left()
        for task in tasks:
            task.cancel(msg)
        if not tasks:
            self._all_ended(tasks)
        else:
            asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: self._all_ended(tasks))

    def _all_ended(self, tasks: list[asyncio.Task[Any]]) -> None:
        report_failures(self._owner._as_seen_here(), tasks)
        if not super().done():
            self.set_result(None)
            self._owner._new_rest()


class RemoteHandle(asyncio.Handle):
    """A callback that was handed to the loop from outside its thread, and that any thread may cancel."""

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: Any, context: contextvars.Context | None
    ) -> None:
        super().__init__(callback, args, loop, context)
        self._what = callback, args
        self._off = False

    def cancel(self) -> None:
        """Do not call it, unless that has begun. (asyncio's takes the callback away, which another thread may miss.)"""
        self._off = True

    def cancelled(self) -> bool:
        """Whether `cancel()` was called."""
        return self._off

    def fire(self) -> None:
        """In the loop's thread."""
        if not self._off:
            callback, args = self._what
            callback(*args)


class RemoteTimerHandle(asyncio.TimerHandle):
    """A callback for later that was handed to the loop from outside its thread, and that any thread may cancel."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        owner: PostedCalls,
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(when, callback, args, owner, context)
        self._what = callback, args
        self._off = False
        self._owner = owner
        self._inner: asyncio.TimerHandle | None = None

    def arm(self, call_when_due: Callable[[Callable[[], None]], asyncio.TimerHandle]) -> None:
        """In the loop's thread: have the loop call it."""
        if not self._off:
            self._inner = call_when_due(self.fire)

    def cancel(self) -> None:
        """Do not call it, unless that has begun."""
        if not self._off:
            self._off = True
            try:
                self._owner._post_or_now(self._cancel_inner)
            except LoopClosedError:
                return

    def cancelled(self) -> bool:
        """Whether `cancel()` was called."""
        return self._off

    def _cancel_inner(self) -> None:
        if self._inner is not None:
            self._inner.cancel()

    def fire(self) -> None:
        """In the loop's thread."""
        if not self._off:
            callback, args = self._what
            callback(*args)

"""What a `ThreadLoop` posts to its thread: callbacks, timers, tasks, calls in an executor."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

from loopwright.errors import LoopClosedError
from loopwright.policies._loop_base import LoopBase
from loopwright.policies._remote import RemoteFuture, RemoteHandle, RemoteTask, RemoteTimerHandle, Rest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from loopwright.policies._loop_thread import LoopThread

__all__ = ["PostedCalls"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PostedCalls(LoopBase):  # type: ignore[misc]
    """The part of `ThreadLoop` that does not wait."""

    _core: LoopThread
    _run_by: threading.Thread | None
    _held: list[tuple[RemoteFuture[Any], Callable[[Any], object], contextvars.Context]]
    _rest: Rest | None

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Have the loop call this in its thread. May be called from any thread."""
        if self._core.here():
            return self._core.loop.call_soon(callback, *args, context=context)
        return self.call_soon_threadsafe(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Have the loop call this in its thread. May be called from any thread."""
        context = contextvars.copy_context() if context is None else context
        handle = RemoteHandle(callback, args, self, context)
        self._core.post(handle.fire, context=context)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have the loop call this in `delay` seconds. May be called from any thread."""
        # From when the thread hears of it: the clock of uvloop stands still while that sleeps.
        loop = self._core.loop
        return self._timer(self.time() + delay, lambda fire: loop.call_later(delay, fire), callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have the loop call this when its `time()` is `when`. May be called from any thread."""
        loop = self._core.loop
        return self._timer(when, lambda fire: loop.call_at(when, fire), callback, args, context)

    def _timer(
        self,
        when: float,
        arm: Callable[[Callable[[], None]], asyncio.TimerHandle],
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        handle = RemoteTimerHandle(when, callback, args, self, context)
        if self._core.here():
            context.run(handle.arm, arm)
        else:
            self._core.post(handle.arm, arm, context=context)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future that any thread may end and that tasks within the loop may await."""
        return self._core.loop.create_future() if self._core.here() else RemoteFuture(self)

    def create_task(self, coro: Any, *, name: str | None = None, **options: Any) -> Any:
        """Run the coroutine as a task in the loop's thread; what stands for it here is returned at once.

        `options` are those of the real loop: `context`, since 3.14 `eager_start`. Within the loop, its own task.
        """
        loop = self._core.loop
        if name is not None:
            options["name"] = name
        if self._core.here():
            return loop.create_task(coro, **options)
        self._check_open()
        if not asyncio.iscoroutine(coro) and loop.get_task_factory() is None:
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        return self._begun(RemoteTask(self, lambda: loop.create_task(coro, **options), coro=coro, name=name))

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """Have `func(*args)` called by the executor, or the loop's default one; a future."""
        loop = self._core.loop
        if self._core.here():
            return loop.run_in_executor(executor, func, *args)
        return self._begun(RemoteTask(self, lambda: loop.run_in_executor(executor, func, *args)))

    def _begun(self, task: RemoteTask[T]) -> RemoteTask[T]:
        """The task, which is posted."""
        self._core.unfinished[id(task)] = task
        try:
            self._core.post(task._begin)
        except BaseException:
            del self._core.unfinished[id(task)]
            raise
        return task

    def _post_or_now(self, callback: Callable[..., object], *args: Any) -> None:
        if self._core.here():
            callback(*args)
        else:
            self._core.post(callback, *args)

    def _check_open(self) -> None:
        if self._core.closing:
            raise LoopClosedError(self._core.gone())

    # --- for _remote.py ---

    def _as_seen_here(self) -> AbstractEventLoop:
        return self._core.loop if self._core.here() else self

    def _hold_back(self, future: RemoteFuture[Any], fn: Any, context: contextvars.Context | None) -> bool:
        if self._run_by is not None or self._core.here():
            return False
        self._held.append((future, fn, contextvars.copy_context() if context is None else context))
        return True

    def _forget_held(self, future: RemoteFuture[Any], fn: Any) -> int:
        kept = [each for each in self._held if each[0] is not future or each[1] != fn]
        forgotten = len(self._held) - len(kept)
        self._held = kept
        return forgotten

    def _tasks_left(self) -> list[asyncio.Task[Any]]:
        return list(asyncio.all_tasks(self._core.loop))

    def _new_rest(self) -> None:
        if not self._core.closing:
            self._rest = Rest(self)

    def _loop_behind(self) -> AbstractEventLoop:
        return self._core.loop

    def _work_target(self) -> LoopThread:
        return self._core

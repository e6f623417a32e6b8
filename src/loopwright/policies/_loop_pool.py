"""`LoopPool`: a number of event loops, each in a thread of its own, and a rule which of them gets the next work.

Theory of operation
-------------------
Choosing a loop, counting the work and posting it happen under one lock, so that the rule sees what was chosen before
it, and so that the end, which first forbids new work under that lock and then waits for the count to reach nothing,
misses none. The count goes down in a callback of the work's future, whatever ended the work, a broken loop included.

The lock is re-entrant: a signal handler may submit in the middle of a submit.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
import time
import warnings
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, overload

from loopwright.errors import (
    ArgumentsConflictError,
    LoopDiedError,
    LoopPoolClosedError,
    LoopStuckError,
    WrongThreadError,
)
from loopwright.loops import loop_factory
from loopwright.policies._balance import LoopLoad, balance_named
from loopwright.policies._bridge import submit
from loopwright.policies._config import close_policy, policy_and_maker
from loopwright.policies._handle import LoopHandle
from loopwright.policies._loop_thread import LoopThread
from loopwright.policies._pool_options import checked_number, policy_factory, results
from loopwright.policies._thread_loop import CLOSE_TIMEOUT
from loopwright.policies._work import WorkFuture

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from loopwright.loops import LoopFactory, LoopLike
    from loopwright.policies._balance import Balance
    from loopwright.policies._config import PolicyLike

__all__ = ["LoopPool"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Member:
    """One loop of a pool."""

    def __init__(self, make: LoopFactory, name: str) -> None:
        self.core = LoopThread(make, name=name, on_pause=self._pause)
        self.handle = LoopHandle._of_thread(self.core)
        self.works: dict[int, WorkFuture[Any]] = {}
        self.done = 0

    def load(self) -> LoopLoad:
        return LoopLoad(self.core.name, len(self.works), self.done, alive=not self.core.closing)

    def _pause(self, error: BaseException | None) -> None:
        # A stop() means nothing here. SystemExit of a task is its future's, of a callback it would be nobody's.
        if error is not None and self.core.died is None and not self.core.inherited:
            self.core.loop.call_exception_handler(
                {"message": f"{error!r} in the loop {self.core.name!r} of a pool, which goes on", "exception": error}
            )


class LoopPool:
    """`n` event loops, each in a thread of its own, for work from any thread and any loop.

    `n` is how many, 1 or more; None is one for each CPU that this process may use. `loop` says which kind, as
    `loopwright.loops.loop_factory()` takes it; or `policy` makes them, with its `new_event_loop()`: anything
    that `policy_from()` takes; one that is made here, of words, is closed at the end. `balance` is
    "round-robin", "least-busy" (the fewest unfinished pieces of work, the first of several), or a function as
    `Balance` describes it. Threads are named `name-1`, `name-2` and so on. `close_timeout` is how many seconds the end
    waits for what was cancelled.

    The loops run from the start to `close()`. Use it as `with LoopPool() as pool:` or, from a coroutine, as `async
    with`: the block's end waits for all work, and cancels it if the block ends with an exception. Every method may be
    called from any thread, except where it says otherwise. In a forked child the pool is closed.
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        balance: str | Balance = "round-robin",
        loop: LoopLike | None = None,
        policy: PolicyLike = None,
        name: str = "pool",
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        number = checked_number(n)
        if not close_timeout >= 0:
            raise ValueError(f"close_timeout must be a number of seconds, 0 or more, not {close_timeout!r}")
        self._balance = balance_named(balance)
        if loop is not None and policy is not None:
            raise ArgumentsConflictError("loop and policy both say which loops the pool makes; give one of them")
        made, self._ours = (None, False) if policy is None else policy_and_maker(policy)
        self._policy = made
        make = loop_factory("asyncio" if loop is None else loop) if made is None else policy_factory(made)
        self._name = name
        self._close_timeout = close_timeout
        self._lock = threading.RLock()
        self._closing = False
        self._members: list[_Member] = []
        try:
            for each in range(1, number + 1):
                self._members.append(_Member(make, f"{name}-{each}"))
        except BaseException:
            self._closing = True
            self._end_loops()
            self._close_policy()
            raise
        _pools.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open"
        running = sum(len(member.works) for member in self._members)
        return f"<{type(self).__name__} {self._name!r} {state}: {len(self._members)} loops, {running} running>"

    def __del__(self) -> None:
        if not getattr(self, "_closing", True) and not all(member.core.closing for member in self._members):
            told = f"unclosed pool {self!r}"
            self._closing = True
            for member in self._members:
                member.core.begin_end()
            # Last, as it raises where warnings are errors.
            warnings.warn(told, ResourceWarning, stacklevel=1, source=self)

    @property
    def loops(self) -> tuple[LoopHandle, ...]:
        """The loops, in their order, as other threads may use them: for `on()` and `submit()` to a certain one."""
        return tuple(member.handle for member in self._members)

    @property
    def closed(self) -> bool:
        """Whether the end has begun: no more work is taken."""
        return self._closing

    def report(self) -> tuple[LoopLoad, ...]:
        """What each loop has to do and has done, in their order. What was sent to one by `loops` is not counted."""
        with self._lock:
            return tuple(member.load() for member in self._members)

    @overload
    def submit(
        self, work: Coroutine[Any, Any, T], /, *, context: contextvars.Context | None = None
    ) -> WorkFuture[T]: ...
    @overload
    def submit(
        self,
        work: Callable[[Unpack[Ts]], Awaitable[T]],
        /,
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> WorkFuture[T]: ...
    def submit(self, work: Any, /, *args: Any, context: contextvars.Context | None = None) -> WorkFuture[Any]:  # type: ignore[misc] # mypy: Any is no *Ts
        """Run `work` on one of the loops; a future to be awaited on any loop, or waited for in any thread.

        `work` is a coroutine, or a function that gives an awaitable when it is called, with `args`, in that loop. It
        runs in a copy of `context`, or of the caller's. LoopPoolClosedError (a RuntimeError) once the end has begun;
        LoopDiedError (a RuntimeError) where no loop is alive, and from the future if its loop breaks. What a function
        given as `balance` raises; ValueError if it gives no index of a loop. The coroutine is then closed.
        """
        return submit(self, work, *args, context=context)

    def map(self, function: Callable[..., Awaitable[T]], /, *iterables: Iterable[Any]) -> Iterator[T]:
        """The results of `function(*items)` for the items of the iterables, in their order, as of `Executor.map()`.

        `function` gives an awaitable. All is submitted at once; the iterator waits in the calling thread, so it is for
        threads without a running loop. What is left is cancelled when it raises or is closed.
        """
        futures = [self.submit(function, *items) for items in zip(*iterables, strict=False)]
        return results(futures)

    def _start(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context | None) -> WorkFuture[Any]:
        try:
            with self._lock:
                member = self._choose()
                future: WorkFuture[Any] = WorkFuture(member.core)
                member.works[id(future)] = future
                future.add_done_callback(functools.partial(self._note_end, member))
                future._start_in(coroutine, context)
        except BaseException:
            coroutine.close()
            raise
        return future

    def _choose(self) -> _Member:
        if self._closing:
            raise LoopPoolClosedError(f"{self!r} takes no more work: it was closed, or is being closed")
        alive = [member for member in self._members if not member.core.closing]
        if not alive:
            error = LoopDiedError(f"{self!r} has no loop left: {self._members[0].core.gone()}")
            error.__cause__ = self._members[0].core.died
            raise error
        index: Any = self._balance([member.load() for member in alive])
        if not isinstance(index, int) or not 0 <= index < len(alive):
            raise ValueError(f"balance gave {index!r}, which is no index of one of {len(alive)} loops")
        return alive[index]

    def _note_end(self, member: _Member, future: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            member.works.pop(id(future), None)
            member.done += 1

    def close(self, *, cancel: bool = False, timeout: float | None = None) -> None:
        """Take no more work, wait for what runs, end the loops and their threads; idempotent.

        What runs may take `timeout` seconds to end, None for as long as it needs; then it is cancelled. With `cancel`
        it is cancelled at once. Tasks that work has left behind are cancelled and awaited in any case.

        WrongThreadError (a RuntimeError) within one of the pool's loops, which would wait for itself. LoopStuckError (a
        RuntimeError) if a loop does not end within `close_timeout` seconds after that, because a callback blocks or a
        task does not let itself be cancelled; further calls wait again.
        """
        self._check_not_within("close")
        with self._lock:
            self._closing = True
        if not cancel:
            self._wait_for_all(None if timeout is None else time.monotonic() + timeout)
        for work in self._running():
            work.cancel()
        deadline = time.monotonic() + self._close_timeout
        self._wait_for_all(deadline)
        self._end_loops(deadline)
        self._close_policy()

    def _close_policy(self) -> None:
        if self._ours and self._policy is not None:
            close_policy(self._policy)

    def _wait_for_all(self, deadline: float | None) -> None:
        for work in self._running():
            if not work._wait(None if deadline is None else deadline - time.monotonic()):
                return

    async def aclose(self, *, cancel: bool = False, timeout: float | None = None) -> None:  # as close() has it
        """`close()` for a coroutine: other tasks of its loop run meanwhile. If this is cancelled, the end goes on."""
        self._check_not_within("aclose")
        ended: concurrent.futures.Future[None] = concurrent.futures.Future()

        def end() -> None:
            try:
                self.close(cancel=cancel, timeout=timeout)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                ended.set_exception(error)
            else:
                ended.set_result(None)

        # Not in the loop's executor, which may be full of what waits for this pool.
        threading.Thread(target=end, name=f"{self._name}-end").start()
        await asyncio.shield(asyncio.wrap_future(ended))

    def _running(self) -> list[WorkFuture[Any]]:
        return [work for member in self._members for work in tuple(member.works.values())]

    def _end_loops(self, deadline: float | None = None) -> None:
        deadline = time.monotonic() + self._close_timeout if deadline is None else deadline
        for member in self._members:
            member.core.begin_end()
        stuck = []
        for member in self._members:
            try:
                member.core.join(max(0.0, deadline - time.monotonic()))
            except LoopStuckError as error:
                stuck.append(str(error))
        if stuck:
            raise LoopStuckError("\n".join(stuck))

    def _check_not_within(self, method: str) -> None:
        within = next((member for member in self._members if member.core.here()), None)
        if within is not None:
            raise WrongThreadError(
                f"{method}() was called within the loop {within.core.name!r} of the pool that it is to end, and would"
                " wait for itself; call it from outside"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=error is not None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(cancel=error is not None)

    def _leave_to_parent(self) -> None:
        self._lock = threading.RLock()
        self._closing = True
        for member in self._members:
            member.works = {}


_pools: weakref.WeakSet[LoopPool] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in tuple(_pools):
        pool._leave_to_parent()


if hasattr(os, "register_at_fork"):  # Unix
    os.register_at_fork(after_in_child=_after_fork_in_child)

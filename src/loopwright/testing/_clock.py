"""An event loop on which an hour of waiting takes no time.

Theory of operation
-------------------
A loop asks its selector to wait for descriptors until its next timer is due. This loop's selector looks whether a
descriptor is ready *now*; if none is, it does not wait but puts the clock forward by what it was told to wait. So time
stands still while anything is left to run, jumps when nothing is, and every timer meets exactly the time it was set
for. What is the same on every run can be asserted on: three restarts happened at 0.5, 1.5 and 3.5, not "about then".

What takes real time and what takes fake time do not go together. Therefore:

- *Work handed to threads* (`asyncio.to_thread()`, `run_in_executor()`, name look-ups) stops the clock: it is waited for
  in real time, and no timer fires meanwhile, however long it takes.
- *Descriptors* work, and one that is ready is always served before the clock moves. But one that becomes ready a moment
  later, such as the pipe of a child process, loses against any timer there is: against a child process a timeout always
  wins. Use a loop with a real clock for these.
- *Calls from other threads* (`call_soon_threadsafe()`) are waited for only while there is no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import time
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from loopwright.errors import ClockStuckError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor

__all__ = ["FakeClockEventLoop", "run_with_fake_clock"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: As asyncio's loops take it for theirs.
RESOLUTION = time.get_clock_info("monotonic").resolution


class FakeClockEventLoop(asyncio.SelectorEventLoop):
    """asyncio's selector loop with a clock that jumps to the next timer as soon as nothing is left to run.

    `time()` begins at `start` seconds. It is exact up to 2**24 seconds (half a year); beyond, it is off by a few steps
    of a float, some nanoseconds, and goes one on with every pass of the loop.

    Where there is neither a timer nor anything to run, only a descriptor or another thread can wake the loop; that is
    waited for in real time, for `patience` seconds, and then ClockStuckError leaves `run_forever()`, with the tasks
    that wait in its message: a deadlock fails a test instead of hanging it.
    """

    def __init__(self, *, start: float = 0.0, patience: float = 5.0) -> None:
        self._fake_time = start
        self._patience = patience
        self._stops = 0
        super().__init__(_Selector(self._idle))
        if not patience >= 0:
            self.close()  # not before it is a loop: asyncio's __del__ minds
            raise ValueError(f"patience must be a number of seconds, 0 or more, not {patience!r}")

    def time(self) -> float:
        """Seconds on the fake clock."""
        return self._fake_time

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As asyncio's; the clock stands until the work is done."""
        stopped = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._stopped_clock())
            future = super().run_in_executor(executor, func, *args)
            stopped = undo.pop_all()
        future.add_done_callback(lambda _: stopped.close())
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As asyncio's; the clock stands meanwhile (asyncio gives the threads a timeout since 3.12)."""
        with self._stopped_clock():
            await super().shutdown_default_executor(*args, **options)

    @contextlib.contextmanager
    def _stopped_clock(self) -> Iterator[None]:
        self._stops += 1
        try:
            yield
        finally:
            self._stops -= 1

    def _idle(self, wait: Callable[[float | None], Any], timeout: float | None) -> Any:
        """No descriptor is ready; the loop would wait `timeout` seconds, or for ever if that is None."""
        if self._stops and timeout != 0:
            return wait(None)
        if timeout is not None:
            self._fake_time = _after(self._fake_time, timeout)
            return []
        ready = wait(self._patience)
        if not ready:
            waiting = "".join(f"\n  {task!r}" for task in asyncio.all_tasks(self))
            raise ClockStuckError(
                f"nothing has happened for {self._patience:g} real seconds at fake time {self._fake_time:g}, and no "
                f"timer is set: this would wait for ever. Unfinished tasks:{waiting or ' none'}"
            )
        return ready


def _after(now: float, delay: float) -> float:
    """The time at which a timer that is due in `delay` seconds fires.

    asyncio fires what is due before `time() + resolution`. With a time so large that a float has no room for the sum,
    nothing would ever be due; such a clock goes two steps of a float further, for the addition may lose one.
    """
    then = now + delay
    return then if then + RESOLUTION > then else then + 2 * math.ulp(then)


class _Selector(selectors.DefaultSelector):
    """Looks, and asks `idle(wait, timeout)` what to do when no descriptor is ready."""

    def __init__(self, idle: Callable[[Callable[[float | None], Any], float | None], Any]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> Any:
        return super().select(0) or self._idle(super().select, timeout)


def run_with_fake_clock(main: Coroutine[Any, Any, T], *, start: float = 0.0, patience: float = 5.0) -> T:
    """`asyncio.run()` on a new `FakeClockEventLoop`: give what `main` returns, in no time.

    Raises what `main` raises, and ClockStuckError if it waits for what can never happen (see `FakeClockEventLoop`).
    RuntimeError, as from asyncio.run(), where a loop already runs in this thread.
    """
    with asyncio.Runner(loop_factory=lambda: FakeClockEventLoop(start=start, patience=patience)) as runner:
        return runner.run(main)

"""`ThreadLoop`: an event loop that runs in a thread of its own, as seen by all other threads.

Theory of operation
-------------------
The real loop runs in its thread from the start to `close()` (`_loop_thread.py`), and code within it sees that one:
uvloop stays uvloop, at its own speed. This object is for those outside. A method there belongs to one of these kinds:

- *posted*: `call_soon()`, `call_later()`, `create_task()`, `run_in_executor()`: done in the thread, soon; what is
  returned is there at once (`_remote.py`). The context is the caller's.
- *waited for*: `run_until_complete()`, `run_forever()`, and what has to give an answer, such as `remove_reader()`.
- *carried*: coroutine methods. They give a coroutine that runs the real one in the thread, wherever it is awaited.

Within the loop's thread each of them is the real loop's.

*Running* means what asyncio means by it: that somebody is in `run_until_complete()` or `run_forever()`. One thread at a
time may be, and `close()` is refused meanwhile. The thread itself runs all the while, so what was handed in goes on
between two of those calls. That `is_running()` is False then keeps programs right that ask it before they run
something, and policies that ask it before they close.

*Stops are kept.* `stop()`, and SystemExit or KeyboardInterrupt out of a task, end the call that runs the loop. With
none, the next one ends at once, as if it had been called before it: that is how asyncio has it, where nothing happens
outside those calls. An exception that nobody waited for until `close()` goes to the exception handler.

*A stop and a result at once.* asyncio gives the result if the future is done by the end of the pass in which it was
stopped, and such a stop, by a done callback of the future for example, is over then. Here the news of the result takes
some passes more than that of the stop, a pass for each future on the way. So a stop waits for some passes of the thread
before it counts, and a result for the end of the pass in which it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
import warnings
from typing import TYPE_CHECKING, Any

from loopwright.errors import LoopClosedError, LoopDiedError, LoopRunningError
from loopwright.loops import loop_factory
from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._loop_thread import LoopThread
from loopwright.policies._patience import patient_get
from loopwright.policies._remote import RemoteFuture, RemoteTask, Rest
from loopwright.policies._submits import Submits
from loopwright.policies._targets import Answer
from loopwright.policies._thread_calls import PostedCalls
from loopwright.policies._thread_methods import complete
from loopwright.policies._thread_signals import SignalHandlers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopwright.loops import LoopLike

__all__ = ["ThreadLoop"]


#: Seconds that `close()` waits for the thread.
CLOSE_TIMEOUT = 10.0
#: Passes of the loop in which a future may still become done after a stop: three are needed for `gather()` of a `Rest`.
GRACE = 4


def _nothing() -> None:
    """To be called in the loop, by whoever wants to know that it is there again."""


class _Told:
    """What the thread tells its `ThreadLoop`, which it must not keep alive."""

    def __init__(self) -> None:
        self.changed: queue.SimpleQueue[object] = queue.SimpleQueue()
        """Wakes whoever runs the loop: it was stopped, it died, or what was waited for is done. Not an Event, whose
        lock KeyboardInterrupt may leave held (`_patience.py`), and the loop's thread would wait for it for ever."""
        self.stopped = False
        self.stopped_by: BaseException | None = None

    def pause(self, error: BaseException | None) -> None:
        self.stopped = True
        self.stopped_by = error or self.stopped_by
        self.changed.put(None)

    def forget(self) -> BaseException | None:
        error, self.stopped_by, self.stopped = self.stopped_by, None, False
        with contextlib.suppress(queue.Empty):
            while True:
                self.changed.get_nowait()
        return error


@complete
class ThreadLoop(Submits, PostedCalls, SignalHandlers):
    """An event loop that `make` makes in a new thread, where it runs until `close()`.

    `make` is what `loopwright.loops.loop_factory()` takes, with its exceptions; what it raises in the thread is raised
    here. `name` is the thread's. `close()` waits `close_timeout` seconds at most.

    It has every method of `asyncio.AbstractEventLoop`, to be used from any thread: `asyncio.run()`, `asyncio.Runner`
    and programs that call `run_until_complete()` need not know that their loop is elsewhere. Code that runs within it
    sees the loop that was made. Futures, tasks and handles that it gives may be used from any thread, too; a
    transport or server may not, as it is the real loop's.

    LoopClosedError (a RuntimeError) from everything that gives it work after `close()`, and in a forked child.
    LoopDiedError (a RuntimeError) where it broke.
    """

    def __init__(self, make: LoopLike, *, name: str | None = None, close_timeout: float = CLOSE_TIMEOUT) -> None:
        if not close_timeout >= 0:
            raise ValueError(f"close_timeout must be a number of seconds, 0 or more, not {close_timeout!r}")
        self._close_timeout = close_timeout
        self._told = _Told()
        self._one_runs = threading.Lock()
        self._run_by: threading.Thread | None = None
        self._signals: dict[int, Any] = {}
        self._held: list[tuple[RemoteFuture[Any], Callable[[Any], object], contextvars.Context]] = []
        self._core = LoopThread(loop_factory(make), name=name, on_pause=self._told.pause)
        self._rest: Rest | None = Rest(self)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed() else "running" if self.is_running() else "open"
        return f"<{type(self).__name__} {self._core.name!r} {state} of {self._core.loop!r}>"

    def __del__(self) -> None:
        core: LoopThread | None = getattr(self, "_core", None)  # none if its making failed
        if core is not None and not core.closing:
            told = f"unclosed event loop {self!r}"
            core.begin_end()
            # Last, as it raises where warnings are errors.
            warnings.warn(told, ResourceWarning, stacklevel=1, source=self)

    # --- running it ---

    @contextlib.contextmanager
    def _running(self, method: str) -> Iterator[None]:
        self._check_open()
        if self._core.here():
            raise LoopRunningError(
                f"This event loop is already running: {method}() was called within it; await instead"
            )
        if running_loop() is not None:
            raise LoopRunningError(
                f"Cannot run the event loop while another loop is running: {method}() would hold that one up;"
                " use `await loopwright.on(loop, coroutine)`"
            )
        if not self._one_runs.acquire(blocking=False):
            by = self._run_by
            raise LoopRunningError(
                f"This event loop is already running: thread {by and by.name!r} waits for it in run_until_complete() or"
                " run_forever(), which only one may; use submit(coroutine).result()"
            )
        try:
            self._run_by = threading.current_thread()
            held, self._held = self._held, []
            for future, fn, context in held:
                future._add_held(fn, context)
            yield
        finally:
            self._told.forget()
            self._run_by = None
            self._one_runs.release()

    def _wait(self, future: asyncio.Future[Any] | None, landed: list[object]) -> None:
        """Until something is in `landed`, or the loop was stopped; raises what stopped it."""
        told, passes = self._told, 0
        while True:
            if told.stopped_by is not None:
                if isinstance(future, RemoteTask):
                    future._known_to_caller()
                raise told.stopped_by
            if landed:
                return
            if not told.stopped:
                # In the main thread signal handlers run meanwhile, and what they raise is raised here.
                patient_get(told.changed)
            elif future is None or future.done() or passes == GRACE:
                return
            else:
                passes += 1
                Answer(self._core, _nothing).result()

    def run_until_complete(self, future: Any) -> Any:
        """Wait until the future or coroutine is done, give its result or raise what it raised.

        As asyncio's; the work is done in the loop's thread, which this thread waits for. Where Ctrl-C raises
        KeyboardInterrupt in that waiting the work goes on, until it is cancelled or the loop closed.
        LoopRunningError (a RuntimeError) within any running loop, and while another thread runs this one.
        """
        with self._running("run_until_complete"):
            if asyncio.isfuture(future) and future.get_loop() is self._core.loop:
                inner = future
                waited: asyncio.Future[Any] = self._begun(RemoteTask(self, lambda: inner))
            else:
                waited = asyncio.ensure_future(future, loop=self)
            landed: list[object] = []  # of this call alone: the news of one that Ctrl-C ended may still be on its way

            def land() -> None:
                landed.append(None)
                self._told.changed.put(None)

            def wake(_: object) -> None:  # in the loop's thread
                # Two passes later: a stop in this one ends an asyncio loop with it, and uvloop with the next.
                self._core.loop.call_soon(self._core.loop.call_soon, land)

            waited.add_done_callback(wake)
            try:
                self._wait(waited, landed)
            finally:
                waited.remove_done_callback(wake)
            if not waited.done():
                raise RuntimeError("Event loop stopped before Future completed.")
            return waited.result()

    def run_forever(self) -> None:
        """Wait until `stop()` is called. LoopRunningError (a RuntimeError) as from `run_until_complete()`."""
        with self._running("run_forever"):
            self._wait(None, [])

    def stop(self) -> None:
        """End the call that runs the loop, or the next one if there is none. The thread goes on until `close()`."""
        self._post_or_now(self._core.loop.stop)

    def is_running(self) -> bool:
        """Whether a thread is in `run_until_complete()` or `run_forever()`; within the loop, True."""
        return self._run_by is not None or self._core.here()

    def is_closed(self) -> bool:
        """Whether `close()` was called, the loop broke, or this is a forked child's copy."""
        return self._core.closing

    def close(self) -> None:
        """Cancel what is left, await it, close the loop, and wait for its thread to end; idempotent.

        LoopRunningError (a RuntimeError) within the loop, and while a thread runs it. LoopStuckError (a RuntimeError)
        if the thread has not ended in time, because a callback blocks or a task does not let itself be cancelled;
        the message says which. The thread ends once it can, and a further `close()` waits for it again.
        """
        if self._core.here():
            raise LoopRunningError("Cannot close a running event loop: close() was called within it")
        if self._core.inherited:
            return
        by = self._run_by
        if by is not None:
            raise LoopRunningError(
                f"Cannot close a running event loop: thread {by.name!r} waits for it; stop() it first"
            )
        self._remove_all_signal_handlers()
        self._core.begin_end()
        self._core.join(self._close_timeout)
        error = self._told.forget()
        if error is not None and not isinstance(error, LoopDiedError):
            self._core.loop.call_exception_handler(
                {"message": "a loop was stopped by an exception", "exception": error}
            )
        self._rest, self._held = None, []

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Have the loop's exception handler called, in the loop's thread; here, if it is closed."""
        loop = self._core.loop
        try:
            self._post_or_now(loop.call_exception_handler, context)
        except LoopClosedError:
            loop.call_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log this, as the real loop does."""
        self._core.loop.default_exception_handler(context)

"""A loop that runs in a thread of its own, from the start to the end: what `ThreadLoop` and `LoopPool` stand on.

Theory of operation
-------------------
*The thread* makes the loop, runs it, and at the end cancels what is left, awaits it, and closes the loop, so all of
that happens where it belongs. Others reach it by `post()` alone.

*Nothing posted is lost.* `post()` and the beginning of the end take the same lock: what was posted before the end began
lies in the loop's queue before the thread sees that it has, and is run; what comes after is refused. The lock is
re-entrant, because a signal handler may post in the middle of a post.

*A stop does not end it.* `loop.stop()`, and SystemExit or KeyboardInterrupt out of a task, make `run_forever()` return
in every asyncio loop. Who waits for the loop is told (`on_pause`), and it runs on. Any other exception comes from the
loop itself, a broken selector for example; then the loop has died, and all that is under way fails.

*The thread is a daemon,* as Python waits at its exit for all others before any code of ours runs: a loop that was left
open would hang the exit for ever. An `atexit` function ends what is open, complains, and waits a bounded time.

*A forked child* has the objects and none of the threads. There each is closed, and what it holds of the parent's loop
is cut off (`detach_inherited`) and kept, since a loop that is collected complains.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import itertools
import os
import queue
import sys
import threading
import time
import traceback
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.errors import LoopClosedError, LoopDiedError, LoopStuckError, NotALoopError
from loopwright.loops._asyncio_private import detach_inherited, running_loop
from loopwright.policies._patience import patient_get

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from loopwright.loops import LoopFactory
    from loopwright.policies._targets import Unfinished

__all__ = ["LoopThread"]

#: How long the interpreter's exit waits for all loops that were left open, in seconds.
EXIT_WAIT = 5.0
#: Tasks may start others while they are cancelled; how often those are cancelled in turn.
ROUNDS = 10

_numbers = itertools.count(1)
_alive: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_inherited: list[AbstractEventLoop] = []


class LoopThread:
    """A loop made by `make()` in a new thread, and that thread. What `make()` raises is raised here."""

    loop: AbstractEventLoop

    def __init__(
        self,
        make: LoopFactory,
        *,
        name: str | None = None,
        on_pause: Callable[[BaseException | None], object],
    ) -> None:
        self.name = name or f"loop-{next(_numbers)}"
        self.closing = False
        """Whether the end has begun: nothing more can be posted."""
        self.died: BaseException | None = None
        self.inherited = False
        """Whether this is the copy of it in a forked child."""
        self.unfinished: dict[int, Unfinished] = {}
        """What others wait for, by id(). All that is in here when the thread ends fails."""
        self._on_pause = on_pause
        self._lock = threading.RLock()
        started: queue.SimpleQueue[AbstractEventLoop | BaseException] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._main, args=(make, started), name=self.name, daemon=True)
        self.thread.start()
        try:
            made = patient_get(started)
        except BaseException:  # Ctrl-C
            made = started.get()
            if isinstance(made, asyncio.AbstractEventLoop):
                self.loop = made
                self.begin_end()
            raise
        if isinstance(made, BaseException):
            raise made
        self.loop = made
        _alive.add(self)

    def here(self) -> bool:
        """Whether the caller runs within the loop."""
        return running_loop() is self.loop

    def post(self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> None:
        """Have the loop call this, from any thread. LoopClosedError once the end has begun."""
        if context is None:
            context = contextvars.copy_context()  # rloop takes the one of its own thread
        with self._lock:
            if self.closing:
                raise LoopClosedError(self.gone())
            self.loop.call_soon_threadsafe(callback, *args, context=context)

    def gone(self) -> str:
        """Why nothing can be posted."""
        if self.inherited:
            return f"Event loop is closed: {self.name!r} runs in the parent of this forked process; make one here"
        if self.died is not None:
            return f"Event loop is closed: {self.name!r} broke with {self.died!r}"
        return f"Event loop is closed ({self.name!r})"

    def running(self) -> bool:
        """Whether what is posted will be done."""
        return not self.closing

    def begin_end(self) -> None:
        """Have the thread cancel what is left, await it and close the loop; does not wait for that. Idempotent."""
        with self._lock:
            if not self.closing:
                self.closing = True
                self.loop.call_soon_threadsafe(self.loop.stop)

    def join(self, timeout: float | None) -> None:
        """Wait for the thread, at most `timeout` seconds: then LoopStuckError, which says what holds it."""
        if self.inherited:
            return
        self.thread.join(timeout)
        if self.thread.is_alive():
            raise LoopStuckError(
                f"the loop {self.name!r} did not end within {timeout:g} s: {self._what_holds_it()}. It is closed to new"
                " work and its thread ends as soon as it can; close() waits for it once more"
            )

    def _what_holds_it(self) -> str:
        frame = sys._current_frames().get(self.thread.ident or 0)
        if frame is not None and not _idle(frame):
            where = traceback.extract_stack(frame)[-1]
            what = frame.f_locals.get("self") if where.name in ("_run", "fire") else None
            called = "" if what is None else f", called by {what!r}"
            return f"its thread is in {where.name}() ({where.filename}, line {where.lineno}){called}"
        tasks = [task.get_name() for task in asyncio.all_tasks(self.loop)]
        return (
            f"tasks did not end though cancelled: {', '.join(sorted(tasks))}" if tasks else "it waits for its executor"
        )

    def _main(self, make: LoopFactory, started: queue.SimpleQueue[Any]) -> None:
        try:
            loop = make()
            if hasattr(type(loop), "_loop_behind"):
                raise NotALoopError(f"a thread runs a loop that has none of its own, and not {loop!r}")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - it is raised where the loop was asked for
            started.put(error)
            return
        started.put(loop)
        while self._run(loop):
            pass
        failure: Exception
        if self.died is not None:
            failure = LoopDiedError(f"the loop {self.name!r} broke: {self.died!r}")
            failure.__cause__ = self.died
            self._fail_unfinished(failure)
            self._on_pause(failure)
            _complain(loop, "a loop in a thread of its own broke", self.died)
        _finish(loop)
        self._fail_unfinished(LoopClosedError(f"the loop {self.name!r} was closed before this was done"))

    def _fail_unfinished(self, error: Exception) -> None:
        while self.unfinished:
            with contextlib.suppress(KeyError):  # finished meanwhile
                self.unfinished.popitem()[1]._fail(error)

    def _run(self, loop: AbstractEventLoop) -> bool:
        """Run the loop until it stops; whether it is to be run again."""
        stopped_by: BaseException | None = None
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            stopped_by = error
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            with self._lock:
                self.closing, self.died = True, error
            return False
        if self.closing:
            if stopped_by is not None:
                _complain(loop, "a callback ended a loop that was ending", stopped_by)
            return False
        self._on_pause(stopped_by)
        return True

    def leave_to_parent(self) -> None:
        """In a forked child: be closed, and touch nothing of the parent's."""
        self._lock = threading.RLock()  # another thread may have held it
        self.closing = self.inherited = True
        detach_inherited(self.loop)
        _inherited.append(self.loop)
        # A signal handler may fork while its thread waits for the loop: in the child nothing else would end that wait.
        self._on_pause(LoopClosedError(self.gone()))


def _idle(frame: Any) -> bool:
    """Whether a loop's thread merely waits for something to do; where the loop is in C, our own frame shows."""
    module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    return module == "selectors" or function in ("_run_once", "run_forever") or (module, function) == (__name__, "_run")


def _complain(loop: AbstractEventLoop, message: str, error: BaseException, **more: Any) -> None:
    loop.call_exception_handler({"message": message, "exception": error, **more})


def _finish(loop: AbstractEventLoop) -> None:
    """Cancel and await what is left, as `asyncio.Runner` does it, and close the loop; every error is reported."""
    for _ in range(ROUNDS):
        # Also with none: what was posted before the end began is in the queue, and may begin tasks.
        if not _step(loop, lambda: loop.run_until_complete(end_tasks(loop))) or not asyncio.all_tasks(loop):
            break
    _step(loop, lambda: loop.run_until_complete(loop.shutdown_asyncgens()))
    _step(loop, lambda: loop.run_until_complete(loop.shutdown_default_executor()))
    _step(loop, lambda: loop.run_until_complete(asyncio.sleep(0)))  # callbacks of what has just ended
    _step(loop, loop.close)


def _step(loop: AbstractEventLoop, function: Callable[[], object]) -> bool:
    """Whether it was done; the steps that follow are to be made all the same."""
    try:
        if loop.is_closed():
            return False
        function()
    except BaseException as error:  # noqa: BLE001 - it is reported
        _complain(loop, "an error while a loop's thread ended", error)
        return False
    return True


async def end_tasks(loop: AbstractEventLoop) -> None:
    """Cancel and await every other task of the loop, on it; what they raise goes to the exception handler."""
    await asyncio.sleep(0)
    me = asyncio.current_task()
    left = [task for task in asyncio.all_tasks(loop) if task is not me]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    report_failures(loop, left)


def report_failures(loop: AbstractEventLoop, tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            _complain(loop, "unhandled exception while a loop's tasks were cancelled", error, task=task)


def _at_exit() -> None:
    left = sorted((each for each in tuple(_alive) if not each.closing), key=lambda each: each.name)
    for each in left:
        each.begin_end()
    deadline = time.monotonic() + EXIT_WAIT
    for each in left:
        each.thread.join(max(0.0, deadline - time.monotonic()))
    if left:  # last, as it raises where warnings are errors
        names = ", ".join(repr(each.name) for each in left)
        warnings.warn(f"event loops in threads were left open: {names}; close() them", ResourceWarning, stacklevel=1)


def _after_fork_in_child() -> None:
    for each in tuple(_alive):
        if each.thread.is_alive() or not each.loop.is_closed():
            each.leave_to_parent()
    _alive.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # Unix
    os.register_at_fork(after_in_child=_after_fork_in_child)

"""What the contract suite of child watchers plays on: loops, children that end on cue, and a look behind the scenes.

The children are real ones, shells started with posix_spawn(3), and known to nobody: neither `subprocess` nor asyncio
nor Loopwright waits for them unless a test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
import unittest
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.testing._leaks import LeakCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from loopwright.watchers import AbstractChildWatcher

__all__ = ["LIMIT", "ORPHANED", "QUIET", "Hearing", "Stage", "WatcherTests", "refused", "same"]

T = TypeVar("T")

#: Longer than any test takes on a machine under load; what waits longer waits in vain. Seconds.
LIMIT = 20.0
#: How long a test listens for a call that must not come.
QUIET = 0.02
#: How long a watcher may take, after a callback has returned, to give the pid back.
GRACE = 10.0
#: As GRACE, for children whose loop was closed: nobody is in a hurry with those.
ORPHANED = 20.0


def refused(function: Callable[..., object], *args: object) -> None:
    """AssertionError unless the call raises RuntimeError."""
    try:
        function(*args)
    except RuntimeError:
        return
    raise AssertionError(f"{function!r} should have raised RuntimeError")


def same(actual: object, expected: object) -> None:
    """AssertionError, with both in it, unless they are equal: in a forked child nobody else would say so."""
    if actual != expected:
        raise AssertionError(f"{actual!r}\nshould have been\n{expected!r}")


class Hearing:
    """A callback that remembers how it was called, and where."""

    def __init__(self, then: Callable[..., object] | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: list[int] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self._then = then
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def __call__(self, *args: Any) -> None:
        self.threads.append(threading.get_ident())
        self.loops.append(asyncio.get_running_loop())
        self.calls.append(args)
        for loop, called in self._waiting:
            loop.call_soon_threadsafe(called.set)
        if self._then is not None:
            self._then(*args)

    async def heard(self, count: int = 1) -> list[tuple[Any, ...]]:
        """All calls, once there are `count`. The loop sleeps until then: a watcher that does not wake it is late."""
        called = asyncio.Event()
        waiting = (asyncio.get_running_loop(), called)
        self._waiting.append(waiting)
        try:
            while len(self.calls) < count:
                await called.wait()
                called.clear()
        finally:
            self._waiting.remove(waiting)
        return self.calls

    async def only(self) -> tuple[Any, ...]:
        """The one call there is, waited for; AssertionError if another follows."""
        await self.heard()
        await asyncio.sleep(QUIET)
        if len(self.calls) != 1:
            raise AssertionError(f"called {len(self.calls)} times: {self.calls}")
        return self.calls[0]

    async def nothing(self) -> None:
        """AssertionError if there was a call, or one comes within a moment."""
        await asyncio.sleep(QUIET)
        if self.calls:
            raise AssertionError(f"called in vain: {self.calls}")


class Stage:
    """One watcher, one loop, and the children of one test."""

    def __init__(
        self,
        watcher: AbstractChildWatcher,
        make_loop: Callable[[], asyncio.AbstractEventLoop],
        *,
        reaps_everybody: bool = False,
    ) -> None:
        self.watcher = watcher
        self.reaps_everybody = reaps_everybody
        self._make_loop = make_loop
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._children: set[int] = set()
        self._cue: tuple[int, int] | None = None
        self._held = 0
        self.loop = self.new_loop()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A further loop, closed at the end of the test."""
        loop = self._make_loop()
        self._loops.append(loop)
        return loop

    def run(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> T:
        """Run a coroutine on the stage's loop, or another; AssertionError if it takes longer than any should."""
        loop = self.loop if loop is None else loop
        main = loop.create_task(coroutine)
        late = loop.call_later(LIMIT, main.cancel)
        try:
            return loop.run_until_complete(main)
        except asyncio.CancelledError:
            raise AssertionError(f"still waiting after {LIMIT:g} s for what should have happened") from None
        finally:
            late.cancel()

    async def register(self, callback: Callable[..., object], *pids: int) -> None:
        """Register children, and let the loop go round once."""
        for pid in pids:
            self.watcher.add_child_handler(pid, callback)
        await asyncio.sleep(0)

    async def watched(self, script: str = "exit 0", then: Callable[..., object] | None = None) -> tuple[Hearing, int]:
        """A child that is held until `go()` or `ended()`, registered with a hearing of its own."""
        hearing, pid = Hearing(then), self.start(script, held=True)
        await self.register(hearing, pid)
        return hearing, pid

    def ended(self, *pids: int) -> None:
        """Let all that are held begin, and block, loop included, until these have ended."""
        self.go()
        for pid in pids:
            self.await_exit(pid)

    def start(self, script: str, *, held: bool = False) -> int:
        """Start a shell; `held` keeps it from beginning until `go()`. Gives its pid."""
        actions = []
        if held:
            if self._cue is None:
                self._cue = os.pipe()
            actions = [(os.POSIX_SPAWN_DUP2, self._cue[0], 0)]
            script = f"read _; {script}"
            self._held += 1
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, file_actions=actions)
        self._children.add(pid)
        return pid

    def go(self) -> None:
        """Let all that are held begin."""
        cue, self._cue = self._cue, None
        if cue is not None:
            os.write(cue[1], b"\n" * self._held)  # a line for each: a forked copy of this process may keep the end open
            for descriptor in cue:
                os.close(descriptor)
        self._held = 0

    def await_exit(self, pid: int) -> None:
        """Block, loop included, until the child has ended; it is left as it is."""
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def is_reaped(self, pid: int) -> bool:
        """Whether the child's pid was given back."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            self._children.discard(pid)
            return True
        return False

    def end(self, pid: int) -> None:
        """End a child that nobody but the test must have reaped, and reap it."""
        if not self._gone(pid):
            os.kill(pid, signal.SIGKILL)
            self.steal(pid)

    def check_left(self, pid: int, code: int) -> None:
        """AssertionError unless a child that is none of the watcher's business ended with this code; reap it."""
        if not self._gone(pid):
            same(self.steal(pid), code)

    def _gone(self, pid: int) -> bool:
        if not self.is_reaped(pid):
            return False
        if self.reaps_everybody:
            return True
        raise AssertionError(f"process {pid} was reaped by something that had no business with it")

    def steal(self, pid: int) -> int:
        """Wait for a child and reap it behind the watcher's back; gives its returncode."""
        _, status = os.waitpid(pid, 0)
        self._children.discard(pid)
        return os.waitstatus_to_exitcode(status)

    @contextlib.contextmanager
    def thread(self, function: Callable[[], T]) -> Iterator[list[T]]:
        """Call a function in a thread of its own, which the end of the block waits for; raises there what it raises.

        Gives a list in which what it returned stands after the block.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        try:
            yield results
        finally:
            thread.join(2 * LIMIT)
        if thread.is_alive():
            raise AssertionError(f"{function!r} in another thread did not return within {2 * LIMIT:g} s")
        if errors:
            raise errors[0]

    def elsewhere(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread of its own and wait for it; gives what it returns, raises what it raises."""
        with self.thread(lambda: function(*args)) as results:
            pass
        return results[0]

    @contextlib.contextmanager
    def warnings(self) -> Iterator[list[str]]:
        """The text of every warning that is logged while the block lasts."""
        found: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]  # a sink
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield found
        finally:
            root.removeHandler(handler)

    def check_all_reaped(self, grace: float | None = None) -> None:
        """AssertionError if a child is left that is neither the test's own to reap (`end`, `steal`) nor reaped."""
        deadline = time.monotonic() + (GRACE if grace is None else grace)
        while left := [pid for pid in self._children.copy() if not self.is_reaped(pid)]:
            if time.monotonic() > deadline:
                raise AssertionError(f"children handed to the watcher were not reaped: {left}")
            time.sleep(0.005)

    def strike(self) -> None:
        """Give everything back, whatever state the test left it in."""
        self.go()
        self.watcher.close()
        for loop in self._loops:
            loop.close()
        for pid in self._children:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # ours, or it must not be killed
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class WatcherTests:
    """What every part of the contract suite is built on: a class of tests that says what it tests."""

    #: Whether the watcher reaps, on purpose, every child that ends, and before it tells of it (`FastChildWatcher`). It
    #: is then not asked to leave anybody's children alone, nor to keep a pid for its callback; all else is.
    reaps_everybody = False

    def make_watcher(self) -> AbstractChildWatcher:
        """A new watcher of the kind that is tested. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override make_watcher() and return a new child watcher")

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """A new event loop of the kind that is tested; `asyncio.new_event_loop()` unless overridden."""
        return asyncio.new_event_loop()

    def may_refuse(self, fault: str) -> bool:
        """Whether the watcher may refuse children, by an exception, while there is such a fault; yes unless overridden.

        One that may not must report them all the same. The faults: "no descriptor left", "no thread can be started",
        "pidfd_open denied", "waitid(P_PIDFD) denied", "system calls interrupted".
        """
        return fault != "system calls interrupted"

    def prepare(self, watcher: AbstractChildWatcher, loop: asyncio.AbstractEventLoop) -> None:
        """Called before each test, in its thread: for watchers that need a loop attached; does nothing else."""

    def skip_if_it_reaps_everybody(self) -> None:
        """For tests of what such a watcher, as it says, does not promise."""
        if self.reaps_everybody:
            raise unittest.SkipTest("it reaps every child, and before it tells of it, on purpose")

    @contextlib.contextmanager
    def stage(self) -> Iterator[Stage]:
        """For one test: at its end everything is closed, and what then is left over is an error."""
        self.make_loop().close()  # what a library opens with its first loop and keeps is no leak
        with LeakCheck():
            stage = Stage(self.make_watcher(), self.make_loop, reaps_everybody=self.reaps_everybody)
            try:
                self.prepare(stage.watcher, stage.loop)
                yield stage
                stage.check_all_reaped()
            finally:
                stage.strike()

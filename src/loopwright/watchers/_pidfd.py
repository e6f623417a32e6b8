"""Exits told by process descriptors (pidfd_open(2), Linux 5.3; waitid(P_PIDFD), Linux 5.4).

Theory of operation. Each loop that has children to watch gets a set of pidfds (`PidfdSet`: one epoll descriptor),
which that loop watches with one `add_reader`. No signal handler, no thread, nothing that other code in the process
could disturb, and the cost of an exit does not grow with the number of children alive.

- **An exit is seen, published, then reaped**, in that order and on the loop. A user's handler is called by
  `call_soon`, so that one that raises meets the loop's exception handler and cannot hold up the others; it is reaped
  when the handler has returned. A child in the ledger (started by `loopwright.process`) is reaped by the ledger, once
  no signal is owed; a handler for one holds it there until then, or the ledger could reap it first.
- **Descriptors.** A handler opens a pidfd of its own and owns it; a watch for the ledger borrows the child's. A pidfd
  leaves the set before it is closed, or a later one of the same number could be taken for it.
- **Threads.** A set is touched only on its loop's thread; from elsewhere work goes there by `call_soon_threadsafe`.
  Registrations are under one lock, and what decides between "removed" and "called" is a single step under it.
- **Loops that close** call nothing any more. A watch is written down with its loop from its registration until its
  fate is settled on that loop, so whatever was still on its way when the loop closed (about to be watched, seen but
  not called, removed but not disarmed) is found: at the next registration or `close()` all of a closed loop's watches
  are given back, and children among them that have ended are reaped.
- **After a fork** the child gives its copies of the descriptors back and forgets all: taking a pidfd *out* of a set
  that it shares with its parent would take it out of the parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from loopwright._core import StatusLost
from loopwright._native import PidfdSet
from loopwright._spawning import child_of
from loopwright.errors import MechanismUnavailableError, NoLoopError, WatcherClosedError
from loopwright.watchers._base import AbstractChildWatcher
from loopwright.watchers._pidfd_watch import LoopSet, Watch
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._probe import probe_pidfd, try_pidfd

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._core import ExitStatus
    from loopwright._spawning import Child

__all__ = ["PidfdChildWatcher"]

logger = logging.getLogger("loopwright.watchers")


def _new_set() -> PidfdSet | PlainPidfdSet:
    return PidfdSet() if PidfdSet is not None else PlainPidfdSet()


class PidfdChildWatcher(AbstractChildWatcher):
    """Watches children through process descriptors: no signals, no threads, no interference, any number of loops.

    A descriptor a child, and one more a loop that has children to watch; with neither callbacks nor children it holds
    none. It works on every loop that has `add_reader`, in any thread, uvloop included. `loopwright.watchers.probe()`
    tells whether it works on this machine; where it does not, registering raises MechanismUnavailableError, an OSError.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sets: dict[asyncio.AbstractEventLoop, LoopSet] = {}
        self._handlers: dict[int, Watch] = {}
        self._attached: asyncio.AbstractEventLoop | None = None
        self._closed = False
        _watchers.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._handlers)} handlers"
        return f"<{type(self).__name__} {state}>"

    # --- the interface of every child watcher

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        if isinstance(pid, bool) or not isinstance(pid, int):
            raise TypeError(f"a process id is an int, not {pid!r}")
        if pid < 1:
            raise ValueError(f"a process id is 1 or more, not {pid}")
        if not callable(callback):
            raise TypeError(f"the callback for process {pid} must be callable, not {callback!r}")

        def on_exit(watch: Watch, status: ExitStatus | StatusLost) -> None:
            watch.loop.call_soon(self._call, watch, status, callback, args, context=watch.context)

        with self._lock:
            watch = Watch(pid, self._loop_for(pid), on_exit, child_of(pid), borrowed=False)
            self._take(self._handlers.get(pid))
            self._handlers[pid] = watch
            self._write_down(watch)
        if watch.pidfd >= 0:
            self._on_loop(watch, self._arm, watch)
        else:
            self._on_loop(watch, on_exit, watch, StatusLost(f"no process {pid} exists any more; something reaped it"))

    def remove_child_handler(self, pid: int) -> bool:
        with self._lock:
            return self._take(self._handlers.pop(pid, None))

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"attach_loop() takes an event loop or None, not {loop!r}")
        self._attached = loop

    def is_active(self) -> bool:
        return not self._closed and probe_pidfd().works

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop_closed_loops()
            for watch in list(self._handlers.values()):
                self._take(watch)
            self._handlers.clear()

    # --- for loopwright.process

    def watch_child(self, child: Child, on_exit: Callable[[ExitStatus | StatusLost], None]) -> None:
        """Have `on_exit(status)` called, on the loop that is running here, when a child in the ledger has ended.

        The ledger is told after that. Independent of any handler registered for the same pid.
        """

        def publish(watch: Watch, status: ExitStatus | StatusLost) -> None:
            with self._lock:
                watch.taken = True
                self._strike_out(watch)
            try:
                on_exit(status)
            finally:
                child.note_exit(status)

        with self._lock:
            watch = Watch(child.pid, self._loop_for(child.pid), publish, child, borrowed=True)
            self._write_down(watch)
        self._on_loop(watch, self._arm, watch)

    # --- underneath

    def _loop_for(self, pid: int) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise WatcherClosedError(f"cannot watch process {pid}: this {type(self).__name__} is closed")
        if not (mechanism := try_pidfd()).works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            loop = self._attached
        if loop is None:
            raise NoLoopError(
                f"cannot watch process {pid}: no event loop is running in this thread and none is attached; "
                "call this from a coroutine or callback, or attach_loop(loop) first"
            )
        if loop.is_closed():
            raise NoLoopError(f"cannot watch process {pid}: the attached event loop is closed; attach another")
        return loop

    def _on_loop(self, watch: Watch, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the watch's loop: now if this is its thread, else as soon as it runs."""
        if asyncio._get_running_loop() is watch.loop:
            function(*args)
            return
        try:
            watch.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed meanwhile
            self._disarm(watch)
            raise

    def _arm(self, watch: Watch) -> None:
        with self._lock:
            if watch.taken:
                return
            try:
                self._sets[watch.loop].arm(watch)
            except BaseException:
                watch.taken = True
                self._disarm(watch)
                raise

    def _take(self, watch: Watch | None) -> bool:
        """Decide that a handler will not be called; False if there is none, or it was decided otherwise before."""
        if watch is None or watch.taken:
            return False
        watch.taken = True
        if watch.loop.is_closed() or asyncio._get_running_loop() is watch.loop or not watch.loop.is_running():
            self._disarm(watch)
        else:
            # RuntimeError: the loop was closed between the two lines, and its set goes with the next registration
            with contextlib.suppress(RuntimeError):
                watch.loop.call_soon_threadsafe(self._disarm, watch)
        return True

    def _disarm(self, watch: Watch) -> None:
        with self._lock:
            self._strike_out(watch)
            watch.give_back()

    def _call(
        self,
        watch: Watch,
        status: ExitStatus | StatusLost,
        callback: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        with self._lock:
            if watch.taken:
                return
            watch.taken = True
            self._strike_out(watch)
        if isinstance(status, StatusLost):
            logger.warning("the exit status of process %d is lost and reported as 255: %s", watch.pid, status.reason)
        try:
            callback(watch.pid, status.returncode, *args)
        finally:
            watch.reap()

    def _write_down(self, watch: Watch) -> None:
        self._drop_closed_loops()
        if watch.loop not in self._sets:
            self._sets[watch.loop] = LoopSet(watch.loop, _new_set)
        self._sets[watch.loop].watches[watch.key] = watch

    def _strike_out(self, watch: Watch) -> None:
        if self._handlers.get(watch.pid) is watch:
            del self._handlers[watch.pid]
        loop_set = self._sets.get(watch.loop)
        if loop_set is not None and loop_set.watches.pop(watch.key, None) is not None:
            loop_set.disarm(watch)
            if not loop_set.watches:
                del self._sets[watch.loop]
                loop_set.close()

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._sets if loop.is_closed()]:
            loop_set = self._sets.pop(loop)
            loop_set.close()
            for watch in loop_set.watches.values():
                if self._handlers.get(watch.pid) is watch:
                    del self._handlers[watch.pid]
                if watch.taken:
                    watch.give_back()
                else:
                    watch.taken = True
                    watch.reap()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        for loop_set in self._sets.values():
            if loop_set.pidfds is not None:
                loop_set.pidfds.close()
            for watch in loop_set.watches.values():
                watch.child = None  # in this process it is no child, and the ledger has forgotten it
                watch.give_back()
        self._sets.clear()
        self._handlers.clear()


_watchers: weakref.WeakSet[PidfdChildWatcher] = weakref.WeakSet()


def _forget_in_forked_child() -> None:
    for watcher in _watchers:
        watcher._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)

"""Exits told by process descriptors (pidfd_open(2), Linux 5.3; waitid(P_PIDFD), Linux 5.4).

Theory of operation. Each loop that has children to watch gets a set of pidfds (`PidfdSet`: one epoll descriptor),
which that loop watches with one `add_reader`. No signal handler, no thread, nothing that other code in the process
could disturb, and the cost of an exit does not grow with the number of children alive.

- **An exit is seen, published, then reaped**, in that order and on the loop. A user's handler is called by
  `call_soon`, so that one that raises meets the loop's exception handler and cannot hold up the others; it is reaped
  when the handler has returned. A child in the ledger (started by `loopwright.process`) is reaped by the ledger, once
  no signal is owed.
- **Descriptors.** A handler opens a pidfd of its own and owns it; a watch for the ledger borrows the child's. A pidfd
  leaves the set before it is closed, or a later one of the same number could be taken for it.
- **Threads.** A set is touched only on its loop's thread; from elsewhere work goes there by `call_soon_threadsafe`.
  Registrations are under one lock, and what decides between "removed" and "called" is a single step under it.
- **Loops that close** take their sets with them: at the next registration or `close()` the sets of closed loops are
  given back, and children among them that have ended are reaped.
- **After a fork** the child gives its copies of the descriptors back and forgets all: taking a pidfd *out* of a set
  that it shares with its parent would take it out of the parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright._native import PidfdSet
from loopwright._spawning import child_of
from loopwright.errors import MechanismUnavailableError, NoLoopError, WatcherClosedError
from loopwright.watchers._base import AbstractChildWatcher
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._probe import probe_pidfd

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._spawning import Child

__all__ = ["PidfdChildWatcher"]

logger = logging.getLogger("loopwright.watchers")

#: A zombie that is being traced is withheld from its parent until the tracer lets go (ptrace(2)): ask again after this.
TRACED_RETRY = 0.05
KEY_MASK = 0xFFFF_FFFF
_keys = itertools.count(1)


class _Watch:
    """One pid watched for one taker. `taken` is set, once, by whoever decides its fate: the exit, or a removal."""

    __slots__ = ("context", "key", "loop", "on_exit", "pid", "pidfd", "taken")

    def __init__(
        self, pid: int, pidfd: int, loop: asyncio.AbstractEventLoop, on_exit: Callable[[_Watch, Any], None]
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.loop = loop
        self.on_exit = on_exit
        self.key = next(_keys) & KEY_MASK
        self.context = contextvars.copy_context()
        self.taken = False


class _LoopSet:
    """The pidfds of one loop. All methods on that loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pidfds = PidfdSet() if PidfdSet is not None else PlainPidfdSet()
        self.watches: dict[int, _Watch] = {}
        try:
            loop.add_reader(self.pidfds.fileno(), self._on_readable)
        except BaseException:
            self.pidfds.close()
            raise

    def add(self, watch: _Watch) -> None:
        self.pidfds.add(watch.pidfd, watch.key)
        self.watches[watch.key] = watch

    def discard(self, watch: _Watch) -> None:
        if self.watches.pop(watch.key, None) is not None:
            self.pidfds.discard(watch.pidfd)

    def _on_readable(self) -> None:
        for key, pid, code, value, usage in self.pidfds.drain():
            watch = self.watches.get(key)
            if watch is None:
                continue
            if pid == 0:
                self.loop.call_later(TRACED_RETRY, self._rearm, watch)
                continue
            self.discard(watch)
            watch.on_exit(watch, _status(pid, code, value, usage))

    def _rearm(self, watch: _Watch) -> None:
        if watch.key in self.watches:
            self.pidfds.rearm(watch.pidfd, watch.key)

    def close(self) -> None:
        """Give the set back; the loop, if it is still open, no longer watches it."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self.pidfds.fileno())
        self.pidfds.close()


class PidfdChildWatcher(AbstractChildWatcher):
    """Watches children through process descriptors: no signals, no threads, no interference, any number of loops.

    A descriptor a child, and one more a loop that has children to watch; with neither callbacks nor children it holds
    none. It works on every loop that has `add_reader`, in any thread, uvloop included. `loopwright.watchers.probe()`
    tells whether it works on this machine; where it does not, registering raises MechanismUnavailableError, an OSError.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sets: dict[asyncio.AbstractEventLoop, _LoopSet] = {}
        self._handlers: dict[int, _Watch] = {}
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
        loop = self._loop_for(pid)

        def on_exit(watch: _Watch, status: ExitStatus | StatusLost) -> None:
            watch.loop.call_soon(self._call, watch, status, callback, args, context=watch.context)

        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            pidfd = -1
        watch = _Watch(pid, pidfd, loop, on_exit)
        with self._lock:
            self._take(self._handlers.get(pid))
            self._handlers[pid] = watch
        if pidfd >= 0:
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
            for watch in list(self._handlers.values()):
                self._take(watch)
            self._handlers.clear()
            self._drop_closed_loops()

    # --- for loopwright.process

    def watch_child(self, child: Child, on_exit: Callable[[ExitStatus | StatusLost], None]) -> None:
        """Have `on_exit(status)` called, on the loop that is running here, when a child in the ledger has ended.

        The ledger is told after that. Independent of any handler registered for the same pid.
        """

        def publish(watch: _Watch, status: ExitStatus | StatusLost) -> None:
            watch.taken = True
            try:
                on_exit(status)
            finally:
                child.note_exit(status)
                self._drop_if_empty(watch.loop)

        watch = _Watch(child.pid, child.pidfd, self._loop_for(child.pid), publish)
        self._on_loop(watch, self._arm, watch)

    # --- underneath

    def _loop_for(self, pid: int) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise WatcherClosedError(f"cannot watch process {pid}: this {type(self).__name__} is closed")
        if not (mechanism := probe_pidfd()).works:
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

    def _on_loop(self, watch: _Watch, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the watch's loop: now if this is its thread, else as soon as it runs."""
        try:
            if asyncio._get_running_loop() is watch.loop:
                function(*args)
            else:
                watch.loop.call_soon_threadsafe(function, *args)
        except BaseException:
            with self._lock:
                if self._handlers.get(watch.pid) is watch:
                    del self._handlers[watch.pid]
                    _close(watch)
            raise

    def _arm(self, watch: _Watch) -> None:
        with self._lock:
            if watch.taken:
                return
            self._drop_closed_loops()
            loop_set = self._sets.get(watch.loop)
            if loop_set is None:
                loop_set = self._sets[watch.loop] = _LoopSet(watch.loop)
            try:
                loop_set.add(watch)
            except OSError:
                self._drop_if_empty(watch.loop)
                raise

    def _take(self, watch: _Watch | None) -> bool:
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

    def _disarm(self, watch: _Watch) -> None:
        with self._lock:
            loop_set = self._sets.get(watch.loop)
            if loop_set is not None:
                loop_set.discard(watch)
            _close(watch)
            self._drop_if_empty(watch.loop)

    def _call(
        self,
        watch: _Watch,
        status: ExitStatus | StatusLost,
        callback: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        with self._lock:
            if watch.taken:
                return
            watch.taken = True
            if self._handlers.get(watch.pid) is watch:
                del self._handlers[watch.pid]
            self._drop_if_empty(watch.loop)
        if isinstance(status, StatusLost):
            logger.warning("the exit status of process %d is lost and reported as 255: %s", watch.pid, status.reason)
        try:
            callback(watch.pid, status.returncode, *args)
        finally:
            _reap(watch)

    def _drop_if_empty(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            loop_set = self._sets.get(loop)
            if loop_set is not None and not loop_set.watches:
                del self._sets[loop]
                loop_set.close()

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._sets if loop.is_closed()]:
            loop_set = self._sets.pop(loop)
            for watch in loop_set.watches.values():
                watch.taken = True
                if self._handlers.get(watch.pid) is watch:
                    del self._handlers[watch.pid]
                    _reap(watch)
            loop_set.close()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        for loop_set in self._sets.values():
            loop_set.pidfds.close()
        for watch in self._handlers.values():
            _close(watch)
        self._sets.clear()
        self._handlers.clear()


def _status(pid: int, code: int, value: int, usage: tuple[Any, ...] | None) -> ExitStatus | StatusLost:
    if pid < 0:
        return StatusLost(
            f"something else in this program reaped it ({os.strerror(code)}); "
            "a call of os.wait() or os.waitpid(-1), or SIGCHLD being ignored, does that"
        )
    return ExitStatus.from_siginfo(code, value, None if usage is None else ResourceUsage(*usage))


def _reap(watch: _Watch) -> None:
    """Give the pid back, unless it is a child in the ledger, which does that in its own time."""
    if watch.pidfd >= 0:
        if child_of(watch.pid) is None:
            with contextlib.suppress(ChildProcessError):  # not our child, or reaped by somebody else
                os.waitid(os.P_PIDFD, watch.pidfd, os.WEXITED | os.WNOHANG)
        _close(watch)


def _close(watch: _Watch) -> None:
    if watch.pidfd >= 0:
        os.close(watch.pidfd)
        watch.pidfd = -1


_watchers: weakref.WeakSet[PidfdChildWatcher] = weakref.WeakSet()


def _forget_in_forked_child() -> None:
    for watcher in _watchers:
        watcher._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)

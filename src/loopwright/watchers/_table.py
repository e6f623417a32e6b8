"""What all watchers have in common: who is watched, for whom, on which loop, and what becomes of it.

Theory of operation. A mechanism (`_pidfd`, `_thread`, `_sigchld`...) says how an exit is seen: it makes a `Ward` for
each loop that has children to watch, which arms and disarms watches and calls `_tell(watch, status)` on that loop, or
`_tell_from_elsewhere()` in any thread. Everything else is decided here, once.

- **An exit is seen, told, then reaped**, in that order and on the loop. A user's handler is called by `call_soon`, so
  that one that raises meets the loop's exception handler and cannot hold up the others; the child is reaped when the
  handler has returned. A child in the ledger (started by `loopwright.process`) is reaped by the ledger, once no signal
  is owed; a handler for one holds it there until then, or the ledger could reap it first. A `subprocess.Popen` that was
  handed over reaps its child itself, or it would later report 0 (`Popen.poll()` takes ECHILD for success).
- **One handler a pid, and listeners.** Registering again replaces the handler; listeners (`watch()`, `watch_child()`)
  are independent of it and of each other. Whoever of them is called last reaps.
- **Threads.** Registrations are under one lock, and what decides between "removed" and "called" is a single step under
  it. A ward is armed on its loop's thread; from elsewhere work goes there by `call_soon_threadsafe`.
- **Loops that close** call nothing any more. A watch is written down with its loop from its registration until its
  fate is settled on that loop, so whatever was still on its way when the loop closed (about to be watched, seen but
  not called, removed but not disarmed) is found: all of a closed loop's watches are given back, and the children left
  to the reaper (`_reaper`), at the next registration or `close()` or when the reaper learns of it.
- **After a fork** the child gives its copies of descriptors back and forgets all: taking a pidfd *out* of a set that it
  shares with its parent would take it out of the parent's.
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
from loopwright.errors import NoLoopError, WatcherClosedError
from loopwright.watchers import _reaper, _watch
from loopwright.watchers._books import Books
from loopwright.watchers._named import Named, checked_pid
from loopwright.watchers._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._core import ExitStatus
    from loopwright._spawning import Child
    from loopwright.watchers._watch import Ward

__all__ = ["TableWatcher"]

logger = logging.getLogger("loopwright.watchers")


class TableWatcher(Books):
    """A child watcher but for its mechanism: how exits are seen is for subclasses to say."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._wards: dict[asyncio.AbstractEventLoop, Ward] = {}
        self._handlers: dict[int, Watch] = {}
        self._followers: dict[int, Watch] = {}
        self._listeners: dict[int, list[Watch]] = {}
        self._attached: asyncio.AbstractEventLoop | None = None
        self._closed = False
        _watchers.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._handlers) + len(self._followers)} handlers"
        return f"<{type(self).__name__} {state}>"

    # --- what a mechanism says

    def _check_usable(self, pid: int) -> None:
        """Raise what says why this watcher cannot watch the process now, if it cannot. Under the lock."""

    def _prepare(self, watch: Watch) -> ExitStatus | StatusLost | None:  # noqa: ARG002 - for those who override it
        """Get what is needed to watch it, in the registering thread, under the lock; what is known of it already.

        Whatever this raises, nothing is left of it.
        """
        return None

    # --- the interface of every child watcher

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        if type(pid) is not int or pid < 1:
            checked_pid(pid, processes_too="; add_child() takes process objects, too")
        self._add(Named(pid), callback, args)

    def remove_child_handler(self, pid: int) -> bool:
        with self._lock:
            table = self._followers if pid in self._followers else self._handlers
            return self._take(table.pop(pid, None))

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"attach_loop() takes an event loop or None, not {loop!r}")
        self._attached = loop

    def is_active(self) -> bool:
        return not self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop_closed_loops()
            listeners = [watch for watches in self._listeners.values() for watch in watches if not watch.borrowed]
            for watch in (*self._handlers.values(), *self._followers.values(), *listeners):
                self._take(watch)
            self._handlers.clear()
            self._followers.clear()
        for watch in listeners:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it whoever waited there
                watch.loop.call_soon_threadsafe(watch.callback, None)
        self._ended()

    # --- for loopwright.process

    def watch_child(self, child: Child, on_exit: Callable[[ExitStatus | StatusLost], None]) -> None:
        """Have `on_exit(status)` called, on the loop that is running here, when a child in the ledger has ended.

        The ledger is told after that. Independent of any handler registered for the same pid, and of `close()`.
        """
        self._register(lambda loop: Watch(child.pid, loop, on_exit, None, child=child, borrowed=True), child.pid)

    # --- underneath

    def _register(
        self,
        make: Callable[[asyncio.AbstractEventLoop], Watch],
        pid: int,
        known: ExitStatus | StatusLost | None = None,
    ) -> Watch:
        with self._lock:
            watch = make(self._loop_for(pid))
            try:
                known = known or (_reaper.claim(pid) if watch.child is None else watch.child.status)
                if known is None and not watch.followed:
                    known = self._prepare(watch)
            except BaseException:
                watch.give_back()
                raise
            if watch.args is None:
                self._listeners.setdefault(pid, []).append(watch)
            else:
                table = self._followers if watch.followed else self._handlers
                replaced = table.get(pid)
                table[pid] = watch  # first, or who waits for the last child would be told that there is none
                self._take(replaced)
            self._write_down(watch)
        if known is not None:
            self._on_loop(watch, watch.loop.call_soon, self._tell, watch, known)
        elif watch.followed:
            self._on_loop(watch, self._follow, watch)
        else:
            self._on_loop(watch, self._arm, watch)
        return watch

    def _loop_for(self, pid: int) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise WatcherClosedError(f"cannot watch process {pid}: this {type(self).__name__} is closed")
        self._check_usable(pid)
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
            self._ended()
            raise

    def _arm(self, watch: Watch) -> None:
        with self._lock:
            if watch.taken:
                return
            try:
                self._wards[watch.loop].arm(watch)
            except BaseException:
                watch.taken = True
                self._disarm(watch)
                self._ended()
                raise

    def _take(self, watch: Watch | None) -> bool:
        """Decide that a watch will not be called; False if there is none, or it was decided otherwise before."""
        if watch is None or watch.taken:
            return False
        watch.taken = True
        if watch.loop.is_closed() or asyncio._get_running_loop() is watch.loop or not watch.loop.is_running():
            self._disarm(watch)
        else:
            with contextlib.suppress(RuntimeError):  # closed meanwhile: its ward goes with the next registration
                watch.loop.call_soon_threadsafe(self._disarm, watch)
        self._ended()
        return True

    def _disarm(self, watch: Watch) -> None:
        with self._lock:
            self._strike_out(watch)
            watch.give_back()

    # --- told of an exit

    def _tell(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        """On the loop's thread: have its taker called."""
        if watch.args is None:
            self._publish(watch, status)
        else:
            watch.loop.call_soon(self._call, watch, status, context=watch.context)

    def _tell_from_elsewhere(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        """In any thread."""
        call = self._publish if watch.args is None else self._call
        try:
            watch.loop.call_soon_threadsafe(call, watch, status, context=watch.context)
        except RuntimeError:  # the loop is closed
            self.sweep()

    def _call(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        with self._lock:
            if watch.taken:
                return
            watch.taken = True
            self._strike_out(watch)
        try:
            if isinstance(status, StatusLost) and isinstance(status := watch.settle(status), StatusLost):
                reason = status.reason
                logger.warning("the exit status of process %d is lost and reported as 255: %s", watch.pid, reason)
            watch.callback(watch.pid, status.returncode, *(watch.args or ()))
        finally:
            self._settled(watch)

    def _publish(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        with self._lock:
            if watch.taken:
                return
            watch.taken = True
            self._strike_out(watch)
        status = watch.settle(status)
        try:
            watch.callback(status)
        finally:
            if watch.borrowed and watch.child is not None:
                watch.child.note_exit(status)
                watch.give_back()
                self._ended()
            else:
                self._settled(watch)

    def _settled(self, watch: Watch) -> None:
        """It was called: the pid is given back, unless somebody else here has yet to hear of the same exit."""
        try:
            if watch.pid in self._handlers or watch.pid in self._listeners:
                watch.give_back()
            else:
                watch.reap()
        finally:  # an object that was handed over may raise, and nobody else tells who waits
            self._ended()


_watchers: weakref.WeakSet[TableWatcher] = weakref.WeakSet()


def _forget_in_forked_child() -> None:
    _watch.reaping.lock = threading.RLock()
    for watcher in _watchers:
        watcher._leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)

"""The tables of a watcher: who is watched, on which loop; what becomes of them when a loop closes or the process forks.

The rules are those of `_table`. All of it is under the watcher's lock.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from loopwright.watchers import _reaper
from loopwright.watchers._conveniences import Conveniences
from loopwright.watchers._watch import Watch, reaping

if TYPE_CHECKING:
    from loopwright._core import ExitStatus, StatusLost
    from loopwright.watchers._watch import Ward

__all__ = ["Books"]


class Books(Conveniences):
    """Mixed into `TableWatcher`, which makes the wards and decides whom an exit is told."""

    _followers: dict[int, Watch]
    _wards: dict[asyncio.AbstractEventLoop, Ward]

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        """What sees the exits of one loop's children."""
        raise NotImplementedError

    def _tell_from_elsewhere(self, watch: Watch, status: ExitStatus | StatusLost) -> None:
        raise NotImplementedError

    def _write_down(self, watch: Watch) -> None:
        self._drop_closed_loops()
        ward = self._wards.get(watch.loop)
        if ward is None:
            ward = self._wards[watch.loop] = self._new_ward(watch.loop)
            ward.watcher = self
            _reaper.enroll(ward, watch.loop)
        ward.watches[watch.key] = watch

    def _forget(self, watch: Watch) -> None:
        """Take it off the list of its pid."""
        if watch.args is None:
            listeners = self._listeners.get(watch.pid, [])
            if watch in listeners:
                listeners.remove(watch)
                if not listeners:
                    del self._listeners[watch.pid]
        elif self._handlers.get(watch.pid) is watch:
            del self._handlers[watch.pid]
        elif self._followers.get(watch.pid) is watch:
            del self._followers[watch.pid]

    def _strike_out(self, watch: Watch) -> None:
        if watch.args is not None and self._handlers.get(watch.pid) is watch:
            del self._handlers[watch.pid]
        else:
            self._forget(watch)
        ward = self._wards.get(watch.loop)
        if ward is not None and ward.watches.pop(watch.key, None) is not None:
            if watch.owner is not None and isinstance(watch.armed, asyncio.Future):
                watch.armed.cancel()  # the task that follows an asyncio process
            else:
                ward.disarm(watch)
            if not ward.watches:
                del self._wards[watch.loop]
                self._close(ward)

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._wards if loop.is_closed()]:
            ward = self._wards.pop(loop)
            self._close(ward)
            left = []
            for watch in ward.watches.values():
                self._forget(watch)
                if not isinstance(watch.armed, asyncio.Future):
                    ward.disarm(watch)
                if watch.taken:
                    watch.give_back()
                else:
                    watch.taken = True
                    left.append(watch)
            _reaper.adopt(left)

    def _close(self, ward: Ward) -> None:
        _reaper.dismiss(ward)  # first: its tripwire goes with its reader
        ward.close()

    # --- for the reaper, in its thread

    def sweep(self) -> None:
        """Give back what is left of closed loops."""
        with self._lock:
            self._drop_closed_loops()
        self._ended()

    def reap_unheard(self, watch: Watch, status: ExitStatus) -> None:
        """A child has ended, and its loop has not heard for long: reap it, and have the loop hear when it can."""
        with self._lock, reaping.lock:
            if watch.taken or watch.status is not None:
                return
            if watch.child is None:
                same = (self._handlers.get(watch.pid), *self._listeners.get(watch.pid, ()))
                others = [other for other in same if other is not None and other.child is None]
                # A Popen that was handed over, to whomever, must reap it itself.
                next((other for other in others if other.owner is not None), watch).reap_early(status)
                for other in others:
                    other.status = status
            elif not (watch.borrowed and watch.child.reap_unheard(status)):
                return
            self._tell_from_elsewhere(watch, status)

    def _leave_to_parent(self) -> None:
        """In a forked child: watch nobody."""
        self._lock = threading.RLock()
        for ward in self._wards.values():
            ward.leave_to_parent()
            for watch in ward.watches.values():
                watch.child = None  # in this process it is no child, and the ledger has forgotten it
                watch.give_back()
        for table in (self._wards, self._handlers, self._followers, self._listeners):
            table.clear()
        self._forget_waiters()

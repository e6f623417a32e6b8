"""Exits told by kqueue(2), on macOS and the BSDs: EVFILT_PROC with NOTE_EXIT.

**Untested**: written to the manual pages (kqueue(2) of macOS 14, FreeBSD 14, OpenBSD 7) and run on none of them.

Theory of operation; what watchers have in common is in `_table`. Each loop that has children to watch gets one kqueue,
which that loop watches with one `add_reader` (a kqueue can be watched by another). What differs from pidfds:

- An entry is a *pid*, one for all watches of that pid on the loop, so the set keeps their keys.
- The wait status comes with the event: always on the BSDs; on macOS if it is asked for (NOTE_EXITSTATUS), and only of
  children of ours. Nothing is reaped by that, and a status that somebody else took meanwhile is still known.
- A process that is ending, or has ended, may be refused with ESRCH (macOS); then it is looked at until its status is
  there, which takes a moment at most.
- A kqueue is not inherited across fork(2); its number in the child may be anybody's, so nothing is closed there.
"""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers._probe import probe_kqueue
from loopwright.watchers._readable import ReadableWard
from loopwright.watchers._table import TableWatcher
from loopwright.watchers._watch import KEY_MASK, look

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from loopwright.watchers._watch import Ward, Watch

__all__ = ["KqueueChildWatcher"]

#: sys/event.h of macOS; Python has no name for it.
NOTE_EXITSTATUS = 0x04000000
BATCH = 256
#: Seconds between looks at a process that kqueue does not know any more and that has no status yet.
NEXT_LOOK = 0.005

#: `select` has the names on macOS and the BSDs alone.
kernel: Any = select


class KqueueSet:
    """A kqueue of processes, behind the methods that `_native.PidfdSet` has.

    An entry is the pid and the key in one number, pid above: any number of keys may ask for one pid.
    """

    def __init__(self) -> None:
        self._kqueue = kernel.kqueue()
        self._keys: dict[int, set[int]] = {}

    def fileno(self) -> int:
        """Readable while a process that is watched has ended and was not told."""
        number: int = self._kqueue.fileno()
        return number

    def add(self, entry: int, key: int) -> None:
        """Tell of it once. ProcessLookupError if it has ended, on systems that say so."""
        pid = entry >> 32
        if pid not in self._keys:
            wanted = kernel.KQ_NOTE_EXIT | (NOTE_EXITSTATUS if sys.platform == "darwin" else 0)
            self._change(pid, kernel.KQ_EV_ADD | kernel.KQ_EV_ONESHOT, wanted)
        self._keys.setdefault(pid, set()).add(key)

    def rearm(self, entry: int, key: int) -> None:
        """Tell of it once more."""
        self.add(entry, key)

    def discard(self, entry: int) -> None:
        """Stop watching it for this key, if it is watched."""
        pid = entry >> 32
        keys = self._keys.get(pid)
        if keys is None:
            return
        keys.discard(entry & KEY_MASK)
        if not keys:
            del self._keys[pid]
            try:
                self._change(pid, kernel.KQ_EV_DELETE, 0)
            except OSError:  # ENOENT, ESRCH: it has ended, and the entry with it
                return

    def drain(self) -> list[Any]:
        """All that has ended and was not told yet, as (key, wait status or None)."""
        return [
            (key, status)
            for event in self._kqueue.control(None, BATCH, 0)
            for status in (_wait_status(event),)
            for key in self._keys.pop(event.ident, ())
        ]

    def close(self) -> None:
        """Idempotent."""
        self._keys.clear()
        self._kqueue.close()

    def _change(self, pid: int, flags: int, wanted: int) -> None:
        self._kqueue.control([kernel.kevent(pid, kernel.KQ_FILTER_PROC, flags, wanted)], 0, 0)


def _wait_status(event: Any) -> int | None:
    if sys.platform == "darwin" and not event.fflags & NOTE_EXITSTATUS:
        return None
    status: int = event.data
    return status


class KqueueWard(ReadableWard):
    """The watches of one loop, and its kqueue."""

    def entry_of(self, watch: Watch) -> int:
        return watch.pid << 32 | watch.key

    def arm(self, watch: Watch) -> None:
        try:
            super().arm(watch)
        except ProcessLookupError:
            self.loop.call_soon(self._look, watch)

    def _look(self, watch: Watch) -> None:
        if watch.taken:
            return
        status = look(watch.pid)
        if status is None:
            self.loop.call_later(NEXT_LOOK, self._look, watch)
        else:
            self._tell(watch, status)

    def _hear(self, told: Iterator[Any]) -> None:
        for key, status in told:
            watch = self.watches.get(key)
            if watch is None:
                continue
            watch.armed = None
            if status is None:
                self._look(watch)
            else:
                self._tell(watch, ExitStatus.from_wait(status))

    def leave_to_parent(self) -> None:
        self.entries = None


class KqueueChildWatcher(TableWatcher):
    """Watches children through kqueue, on macOS and the BSDs. **Untested.**

    One descriptor a loop that has children to watch. No signals, no threads. Where there is no kqueue (Linux, Windows)
    registering raises MechanismUnavailableError, an OSError.
    """

    def is_active(self) -> bool:
        return super().is_active() and probe_kqueue().works

    def _check_usable(self, pid: int) -> None:
        if not (mechanism := probe_kqueue()).works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return KqueueWard(loop, KqueueSet, self._tell)

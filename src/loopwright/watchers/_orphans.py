"""Children of loops that were closed: what becomes of each, and what is remembered of it. The thread is `_reaper`'s.

Theory of operation. A child that the ledger knows is ours alone: it is reaped by the ledger as soon as it has ended and
no signal is owed. One that is known by a registration only may be waited for by whoever started it, or be registered
again, on another loop: it is reaped when it has been a zombie for PATIENCE seconds, and let go of (`claim()`) when it
is registered again. A Popen or multiprocessing process that was handed over is reaped through itself.

Statuses are kept with the child in the ledger; of others, of the last KEPT: who registers the pid is told, unless a
process of that number exists, which then is another one.

All of it is under `reaping.lock`, as everything that reaps unseen; that is taken after a watcher's lock and before the
ledger's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import Child
from loopwright.watchers._watch import LOOKING_REAPS, Watch, look, look_by_pidfd, reaping

if TYPE_CHECKING:
    from collections.abc import Iterable

    Status = ExitStatus | StatusLost

__all__ = ["PATIENCE", "any_left", "claim", "forget_all", "look_at_all", "look_by_either", "take_in"]

logger = logging.getLogger("loopwright.watchers")

#: Seconds that a zombie which somebody else might wait for is left.
PATIENCE = 4.0
#: How many statuses of children that are not in the ledger are remembered.
KEPT = 4096

_orphans: dict[Child | int, _OfLedger | _OfWatcher] = {}
_kept: dict[int, ExitStatus] = {}


class _OfLedger:
    def __init__(self, child: Child) -> None:
        self.child = child

    def settle(self) -> bool:
        """Note its exit, if it has ended; True if that is done."""
        status: Status | None = self.child.status
        if status is None:
            status = look_by_either(self.child.pid, self.child.pidfd)
        if status is None:
            return False
        # FastChildWatcher may have taken it, and written down there how it ended.
        self.child.note_exit(self.child.status or status)
        return True

    def give_back(self) -> None:
        """Nothing: the ledger has all there is."""


class _OfWatcher:
    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.ended_at: float | None = None
        if watch.pidfd < 0 and watch.owner is None:
            # Without one its number must do, which somebody else's reaping would make another child's.
            with contextlib.suppress(OSError, AttributeError):
                watch.pidfd = os.pidfd_open(watch.pid)

    def settle(self) -> bool:
        """Reap it, if it has ended and nobody did for long; True if it is reaped."""
        status = look_by_either(self.watch.pid, self.watch.pidfd)
        if status is None:
            return False
        if isinstance(status, ExitStatus):
            now = time.monotonic()
            if self.ended_at is None:
                self.ended_at = now
            if now - self.ended_at < PATIENCE and not LOOKING_REAPS:
                return False
            _keep(self.watch.pid, status)
        self.watch.reap()
        return True

    def give_back(self) -> None:
        self.watch.give_back()


def any_left() -> bool:
    """Whether some of them live, or are zombies."""
    return bool(_orphans)


def take_in(children: Iterable[Child | Watch]) -> bool:
    """Children of a closed loop; a watch is ours to give back from now on. True if some are to be looked at again."""
    added = False
    with reaping.lock:
        for each in children:
            added |= _take_in_child(each) if isinstance(each, Child) else _take_in_watch(each)
    return added


def claim(pid: int) -> ExitStatus | None:
    """Somebody watches this child, unknown to the ledger: let go of it. How it ended, if it was reaped here."""
    if not _orphans and not _kept:
        return None
    with reaping.lock:
        orphan = _orphans.pop(pid, None)
        if orphan is not None:
            orphan.give_back()
        status = _kept.get(pid)
        if status is not None and _exists(pid):
            del _kept[pid]
            return None
        return status


def look_at_all() -> None:
    """Reap those that are due."""
    for key in tuple(_orphans):
        with reaping.lock:  # anew for each: a start or an exit elsewhere may be waiting for it
            orphan = _orphans.get(key)
            if orphan is not None and _is_settled(orphan, key):
                del _orphans[key]


def _is_settled(orphan: _OfLedger | _OfWatcher, key: Child | int) -> bool:
    try:
        return orphan.settle()
    except Exception:  # of an object that was handed over; it would raise at every look
        logger.exception("process %s, left by a loop that was closed, cannot be reaped", getattr(key, "pid", key))
        orphan.give_back()
        return True


def look_by_either(pid: int, pidfd: int) -> ExitStatus | StatusLost | None:
    """As `look()`: by the pidfd, or by number if there is none or a filter forbids since it was made."""
    if pidfd >= 0:
        with contextlib.suppress(OSError):
            return look_by_pidfd(pidfd)
    return look(pid)


def forget_all() -> None:
    """In a forked child: they are the parent's."""
    for orphan in _orphans.values():
        orphan.give_back()
    _orphans.clear()
    _kept.clear()


def _take_in_child(child: Child) -> bool:
    orphan = _OfLedger(child)
    if child.reaped or orphan.settle():
        return False
    _orphans[child] = orphan
    return True


def _take_in_watch(watch: Watch) -> bool:
    if watch.status is not None:  # its mechanism reaped it first
        if watch.child is None and isinstance(watch.status, ExitStatus):
            _keep(watch.pid, watch.status)
        watch.reap()
        return False
    if watch.child is not None:
        added = watch.borrowed and _take_in_child(watch.child)
        watch.give_back()
        return added
    before = _orphans.get(watch.pid)
    if watch.followed or (before is not None and watch.owner is None):
        watch.give_back()  # asyncio's to reap, or here already
        return False
    if before is not None:
        before.give_back()
    _orphans[watch.pid] = _OfWatcher(watch)
    return True


def _keep(pid: int, status: ExitStatus) -> None:
    _kept.pop(pid, None)
    _kept[pid] = status
    while len(_kept) > KEPT:
        del _kept[next(iter(_kept))]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Exits told by process descriptors (pidfd_open(2), Linux 5.3; waitid(P_PIDFD), Linux 5.4).

Theory of operation; what watchers have in common is in `_table`. Each loop that has children to watch gets a set of
pidfds (`PidfdSet`: one epoll descriptor), which that loop watches with one `add_reader`. No signal handler, no thread,
nothing that other code in the process could disturb, and the cost of an exit does not grow with the number of children
alive.

- **Descriptors.** A handler opens a pidfd of its own and owns it; a watch for the ledger borrows the child's. A pidfd
  leaves the set before it is closed, or a later one of the same number could be taken for it.
- **Threads.** A set is touched only on its loop's thread.
- **Where a descriptor is refused** (no room at the moment, or a seccomp filter that came after the probe), that one
  child is watched by a thread (`_thread`). What was opened for it is closed first: descriptors are what is short.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

from loopwright._core import StatusLost
from loopwright._native import PidfdSet
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._probe import try_pidfd
from loopwright.watchers._readable import ReadableWard
from loopwright.watchers._table import TableWatcher
from loopwright.watchers._thread import Waiters

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._core import ExitStatus
    from loopwright.watchers._probe import Mechanism
    from loopwright.watchers._watch import Ward, Watch

__all__ = ["PidfdChildWatcher"]

logger = logging.getLogger("loopwright.watchers")

#: How descriptors are refused: none left (here, in the system, in memory), epoll's own limit, a missing or forbidden
#: call (as the author of a seccomp filter liked), no anonymous inodes (pidfd_open(2), epoll_ctl(2)).
REFUSED = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENODEV)
)


def _new_set() -> PidfdSet | PlainPidfdSet:
    return PidfdSet() if PidfdSet is not None else PlainPidfdSet()


def _mechanism() -> Mechanism | None:
    """Whether pidfds work; None if there is no descriptor left to find out with: then a thread will do."""
    try:
        return try_pidfd()
    except OSError:
        return None


class PidfdChildWatcher(TableWatcher):
    """Watches children through process descriptors: no signals, no threads, no interference, any number of loops.

    A descriptor a child, and one more a loop that has children to watch; with neither callbacks nor children it holds
    none. While descriptors are short (`ulimit -n`), further children are watched by a thread each. It works on every
    loop that has `add_reader`, in any thread, uvloop and rloop included. `loopwright.watchers.probe()` tells whether it
    works on this machine; where it does not, registering raises MechanismUnavailableError, an OSError.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiters = Waiters(lambda: self._lock, self._tell_from_elsewhere)
        self._warned = False

    def is_active(self) -> bool:
        return super().is_active() and ((mechanism := _mechanism()) is None or mechanism.works)

    def _check_usable(self, pid: int) -> None:
        if (mechanism := _mechanism()) is not None and not mechanism.works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")

    def _prepare(self, watch: Watch) -> StatusLost | None:
        if watch.borrowed:
            return None
        try:
            watch.pidfd = os.pidfd_open(watch.pid)
        except ProcessLookupError:
            return StatusLost(f"no process {watch.pid} exists any more; something reaped it")
        except OSError as error:
            self._without_descriptor(watch, error)
        return None

    def _without_descriptor(self, watch: Watch, error: OSError) -> None:
        """Have a thread do it, if the error says that descriptors are refused; else raise it."""
        if error.errno not in REFUSED:
            raise error
        if not self._warned:
            self._warned = True
            logger.warning(
                "no descriptor for process %d (%s): a thread watches it; further cases are not logged. "
                "`ulimit -n` raises the limit",
                watch.pid,
                error.strerror,
            )

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return PidfdWard(loop, self._tell, self._waiters, self._without_descriptor)


class PidfdWard(ReadableWard):
    """The watches of one loop: its set of pidfds, and the threads of those without."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Watch, ExitStatus | StatusLost], None],
        waiters: Waiters,
        without_descriptor: Callable[[Watch, OSError], None],
    ) -> None:
        super().__init__(loop, _new_set, tell)
        self._waiters = waiters
        self._without_descriptor = without_descriptor

    def arm(self, watch: Watch) -> None:
        if watch.pidfd >= 0:
            try:
                super().arm(watch)
            except OSError as error:
                self._without_descriptor(watch, error)
                if not watch.borrowed:
                    os.close(watch.pidfd)
                    watch.pidfd = -1
            else:
                return
        self._waiters.arm(watch)

    def disarm(self, watch: Watch) -> None:
        if watch.armed is self._waiters:
            self._waiters.disarm(watch)
        else:
            super().disarm(watch)

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        self._waiters.leave_to_parent()

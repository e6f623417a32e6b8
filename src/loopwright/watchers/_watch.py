"""One child watched for one taker, and what is asked of the kernel about it; the rules are those of `_table`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from loopwright._core import ExitStatus, StatusLost
from loopwright.watchers._named import returncode_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._spawning import Child

__all__ = [
    "KEY_MASK",
    "LOOKING_REAPS",
    "LOST",
    "Reaping",
    "Ward",
    "Watch",
    "await_exit",
    "look",
    "look_by_pidfd",
    "reap_pid",
    "reaping",
    "settled",
]

KEY_MASK = 0xFFFF_FFFF
#: macOS up to Python 3.12 has no `os.waitid()`: `look()` then reaps.
LOOKING_REAPS = not hasattr(os, "waitid")
_keys = itertools.count(1)

LOST = (
    "something else in this program reaped it (No child processes), unless it was no child of this program; "
    "a call of os.wait() or os.waitpid(-1), SIGCHLD being ignored, or a dropped subprocess.Popen does that"
)


class Reaping:
    """Held by who reaps children unseen (`_waitany`) until their statuses are written down.

    Whoever finds that a child's status was taken asks under it whether one of us took it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()


reaping = Reaping()


def settled(child: Child, status: ExitStatus | StatusLost) -> ExitStatus | StatusLost:
    """The true status instead of one that seems lost, if a watcher of ours reaped the child and wrote it down."""
    if not isinstance(status, StatusLost):
        return status
    with reaping.lock:
        return child.status or status


class Watch:
    """One child watched for one taker. `taken` is set, once, by whoever decides its fate: the exit, or a removal.

    `args` is None for a listener, whose callback is given the status alone; there may be any number of those beside
    the one handler of a pid.
    """

    __slots__ = (
        "args",
        "armed",
        "borrowed",
        "callback",
        "child",
        "context",
        "key",
        "loop",
        "owner",
        "pid",
        "pidfd",
        "status",
        "taken",
    )

    def __init__(
        self,
        pid: int,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[..., object],
        args: tuple[Any, ...] | None,
        *,
        child: Child | None = None,
        owner: Any = None,
        borrowed: bool = False,
    ) -> None:
        self.pid = pid
        self.loop = loop
        self.callback = callback
        self.args = args
        self.child = child
        #: The object that must reap it (a Popen, say), so that what it says of the child stays true; else None.
        self.owner = owner
        #: For the ledger: it is told of the exit and gives the pid, and the pidfd, back itself.
        self.borrowed = borrowed
        self.key = next(_keys) & KEY_MASK
        self.context = contextvars.copy_context()
        #: Whether, and by what, the mechanism watches it now.
        self.armed: Any = None
        #: Known before the call, where the mechanism had to reap first.
        self.status: ExitStatus | StatusLost | None = None
        self.taken = False
        self.pidfd = -1
        if child is not None:
            if borrowed:
                self.pidfd = child.pidfd
            else:
                child.hold()

    @property
    def followed(self) -> bool:
        """Whether asyncio watches it, and reaps: its object is asked instead of the kernel."""
        return isinstance(self.owner, asyncio.subprocess.Process)

    def settle(self, status: ExitStatus | StatusLost) -> ExitStatus | StatusLost:
        """The true status instead of one that seems lost, if a part of this program that we know has it."""
        if not isinstance(status, StatusLost):
            return status
        if self.status is not None:
            return self.status
        if self.child is not None:
            with reaping.lock:
                return self.child.status or status
        code = returncode_of(self.owner)
        if code is None and (lock := getattr(self.owner, "_waitpid_lock", None)) is not None:
            with lock:  # another thread is in Popen.wait() and has reaped it, or will in a moment
                code = self.owner.returncode
        return status if code is None else ExitStatus.from_returncode(code, status.usage)

    def reap(self) -> None:
        """Give the pid back, if it has ended; for a child in the ledger, tell that, which does it in its own time."""
        try:
            if self.status is not None:  # the mechanism reaped it: the number may be a new child's by now
                if self.borrowed and self.child is not None:
                    self.child.note_exit(self.status)
            elif self.child is not None:
                if self.borrowed and (status := look_by_pidfd(self.pidfd)) is not None:
                    self.child.note_exit(self.settle(status))
            else:
                self._reap_directly()
        finally:
            self.give_back()

    def reap_early(self, status: ExitStatus) -> None:
        """Give the pid of one that is not in the ledger back before its taker is called, who finds the status here."""
        self._reap_directly()
        self.status = status

    def _reap_directly(self) -> None:
        if self.owner is not None:
            _have_reaped(self.owner)
        elif self.pidfd >= 0:
            try:
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                pass  # not our child, or reaped by somebody else
            except OSError:  # forbidden since it was tried; what we were told of a moment ago still has its number
                reap_pid(self.pid)
        else:
            reap_pid(self.pid)

    def give_back(self) -> None:
        """Close the pidfd and let go of the child in the ledger, unless they are borrowed. Idempotent."""
        pidfd, self.pidfd, child, self.child, self.owner = self.pidfd, -1, self.child, None, None
        if self.borrowed:
            return
        if pidfd >= 0:
            os.close(pidfd)
        if child is not None:
            child.release()


class Books(Protocol):
    """The watcher of a ward, as far as the reaper (`_reaper`) is concerned."""

    def sweep(self) -> None:
        """Give back what is left of closed loops."""

    def reap_unheard(self, watch: Watch, status: ExitStatus) -> None:
        """Reap a child that has ended and that its loop has not heard of for long."""


class Ward:
    """What a mechanism has for one loop: the loop's watches, and whatever tells it of their exits.

    Under the watcher's lock; arming, and what tells of exits, on the loop's thread; the last four methods are for the
    reaper, in any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.watches: dict[int, Watch] = {}
        self.watcher: Books | None = None

    def arm(self, watch: Watch) -> None:
        """Begin to watch it. Whatever this raises, nothing is left of it."""
        raise NotImplementedError

    def disarm(self, watch: Watch) -> None:
        """Watch it no longer, if it was watched."""
        watch.armed = None

    def close(self) -> None:
        """Give everything back, whether the loop is open or closed. The watches are somebody else's to settle."""

    def leave_to_parent(self) -> None:
        """In a forked child: give the copies back, and touch nothing that the parent has, too."""
        self.close()

    def fileno(self) -> int:
        """Readable while an exit waits to be heard; -1 if nothing is."""
        return -1

    def sweep(self) -> None:
        """Its loop is closed: give everything back."""
        if self.watcher is not None:
            self.watcher.sweep()

    def unheard(self) -> list[Watch]:
        """Those that the loop has not heard of."""
        return [watch for watch in tuple(self.watches.values()) if not watch.taken and not watch.followed]

    def reap_unheard(self, watch: Watch, status: ExitStatus) -> None:
        """Reap one of those."""
        if self.watcher is not None:
            self.watcher.reap_unheard(watch, status)


def look(pid: int) -> ExitStatus | StatusLost | None:
    """How a child ended, left unreaped; None if it has not (or a tracer withholds it, ptrace(2))."""
    try:
        if LOOKING_REAPS:
            found, status = os.waitpid(pid, os.WNOHANG)
            return ExitStatus.from_wait(status) if found else None
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return StatusLost(LOST)
    return None if result is None else ExitStatus.from_siginfo(result.si_code, result.si_status)


def look_by_pidfd(pidfd: int) -> ExitStatus | StatusLost | None:
    """As `look()`, by a process descriptor, which cannot come to mean another process."""
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return StatusLost(LOST)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return StatusLost("its process descriptor was closed by something else in this program")
    return None if found is None else ExitStatus.from_siginfo(found.si_code, found.si_status)


def await_exit(pid: int) -> ExitStatus | StatusLost:
    """Block this thread until the child has ended; it is left unreaped."""
    try:
        if not hasattr(os, "waitid"):
            return ExitStatus.from_wait(os.waitpid(pid, 0)[1])
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return StatusLost(LOST)
    if result is None:  # only with WNOHANG
        raise AssertionError(f"waitid() came back without process {pid} having ended")
    return ExitStatus.from_siginfo(result.si_code, result.si_status)


def reap_pid(pid: int) -> None:
    """Give a child's pid back if it has ended and nobody else did."""
    with contextlib.suppress(ChildProcessError):
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        else:
            os.waitpid(pid, os.WNOHANG)


def _have_reaped(owner: Any) -> None:
    if hasattr(owner, "poll"):
        owner.poll()
    else:
        returncode_of(owner)  # multiprocessing.Process: asking is how it reaps

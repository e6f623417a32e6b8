"""The children that are ours, from the moment they exist to the moment their pid is given back.

Theory of operation. A pid names a process only until somebody reaps it; from then on the kernel may give the number to
anybody. So a child's end has two steps here. Its exit is *noted* (status known, zombie still there, number still its
own), and it is *reaped* when nobody owes a signal to it or to its process group any more. Every signal is sent under
the lock that reaping takes, so none can meet a number that was given back.

Who wants to signal later takes a `hold()`; the child is reaped when the last hold is released after its exit was noted.
`subprocess.Popen` objects that started a child are told its returncode when it is reaped: one that is left unaware
would, when collected, put the pid on a list that the subprocess module waits for behind everybody's back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from typing import TYPE_CHECKING

from loopwright import _native
from loopwright._core import StatusLost

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from loopwright._core import ExitStatus

__all__ = ["Child", "child_of", "keep_unclaimed", "living", "note_exits", "starting"]

_children: dict[int, Child] = {}
#: One for all children: what is done under it is a system call or two. Re-entrant, for signal handlers in Python.
_lock = threading.RLock()


#: Starts under way, one entry each: children that may exist, and even have ended, and are not in the ledger yet. A
#: list, for its append() and pop() need no lock.
_under_way: list[None] = []
#: What a watcher that waits for any child found while there were such, with whom to tell if none of them claims it.
_unclaimed: dict[int, tuple[ExitStatus, Callable[[int, ExitStatus, bool], object]]] = {}


def is_under_way() -> bool:
    """Whether a start is, somewhere in this program."""
    return bool(_under_way)


def note_exits(children: list[Child]) -> None:
    """`Child.note_exit()` of each with the status that it has: one that has none was not heard of."""
    with _lock:
        for child in children:
            if child.status is not None:
                child._noted = True
                if child._holds == 0:
                    child._reap_if_free()


class _Starting:
    """See `starting`. A class, for the generator of a contextmanager costs more than all else that it does."""

    __slots__ = ()

    def __enter__(self) -> None:
        _under_way.append(None)

    def __exit__(self, *_: object) -> None:
        if _under_way:  # else this is a forked child, and it was the parent's
            _under_way.pop()
        if _unclaimed and not _under_way:
            with _lock:
                nobodys = _unclaimed.copy()
                _unclaimed.clear()
            for pid, (status, tell) in nobodys.items():
                tell(pid, status, False)


#: While such a block lasts a child may come into being; at its end it is in the ledger, or is none.
starting = _Starting()


def keep_unclaimed(pid: int, status: ExitStatus, tell: Callable[[int, ExitStatus, bool], object]) -> bool:
    """A child that nobody knows was reaped by a watcher of ours: keep its status, if it may be one being started.

    False if none is. `tell(pid, status, claimed)` is called when it turns out whether it was one of those.
    """
    with _lock:
        if not is_under_way():
            return False
        _unclaimed[pid] = (status, tell)
        # The last start may have ended just before this, and seen nothing unclaimed: then nobody would ever tell.
        return is_under_way() or _unclaimed.pop(pid, None) is None


def child_of(pid: int) -> Child | None:
    """The child of ours that this pid names, None if it is none or was reaped."""
    return _children.get(pid)


def living() -> tuple[Child, ...]:
    """All children in the ledger, zombies included."""
    with _lock:
        return tuple(_children.values())


def _forget_all() -> None:
    """In a forked child of this program none of these is a child."""
    global _lock  # noqa: PLW0603 - another thread may have held the old one at the fork
    _lock = threading.RLock()
    for child in _children.values():
        child.forget()
    _children.clear()
    _unclaimed.clear()
    _under_way.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_all)


class Child:
    """One process that this program started. All methods may be called from any thread.

    `pidfd` is -1 where it had ended before its loop was told of it, and where none could be had: refused by the kernel
    or a filter, no descriptor left, or something else reaped the child first. Its pid then serves: it is ours, and
    names nobody else until it is reaped; by us, unless this program has somebody who reaps what is not his.
    """

    __slots__ = (
        "__weakref__",
        "_holds",
        "_noted",
        "_popen",
        "_taken",
        "death_signal",
        "leads_group",
        "namespace",
        "pid",
        "pidfd",
        "reaped",
        "status",
    )

    def __init__(
        self,
        pid: int,
        pidfd: int,
        *,
        group: bool = False,
        namespace: bool = False,
        death_signal: int | None = None,
        popen: subprocess.Popen[bytes] | None = None,
        status: ExitStatus | None = None,
        taken: bool = False,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        #: Whether it leads a process group of its own, so that its group may be signalled.
        self.leads_group = group
        #: Whether it is the first process of a pid namespace: all in there end with it (pid_namespaces(7)).
        self.namespace = namespace
        #: The signal that it gets when this program ends; None for none.
        self.death_signal = death_signal
        #: One that comes with its status had ended before it came here, and waits to be reaped.
        self.status: ExitStatus | StatusLost | None = status
        self.reaped = False
        self._popen = popen
        self._holds = 0
        self._noted = False
        self._taken = taken
        with _lock:
            _children[pid] = self
            if _unclaimed and (claimed := _unclaimed.pop(pid, None)) is not None and not _is_there(self):
                self._taken = True
                self.status, tell = claimed
                tell(pid, self.status, True)

    def __repr__(self) -> str:
        state = "running" if self.status is None else str(self.status)
        return f"<Child {self.pid}: {state}{', reaped' if self.reaped else ''}>"

    @property
    def was_taken(self) -> bool:
        """Whether somebody else has reaped it already, as far as that is known: its number is its own no more."""
        return self._taken

    def forget(self) -> None:
        """Give back what a forked child of this program inherited; there it can be neither signalled nor reaped."""
        if not self.reaped:  # else that thread was about to close the pidfd, or had
            self.reaped = True
            if self.pidfd >= 0:
                os.close(self.pidfd)
        if self._popen is not None:
            self._popen.returncode = 255  # nobody will see it; with None, Popen would warn of it when collected
            self._popen = None

    def note_exit(self, status: ExitStatus | StatusLost) -> None:
        """Its exit was seen; it is reaped now, or when the last hold is released."""
        with _lock:
            self._noted = True
            if self.status is None:
                self.status = status
            if self._holds == 0:
                self._reap_if_free()

    def note_taken(self, status: ExitStatus | StatusLost) -> None:
        """It was reaped already, by a `waitpid(-1)` of ours that saw how it ended: its number is its own no more.

        Whoever watches it notes the exit as ever, and asks here for the status then; until then its pidfd stays open,
        for a closed one tells nobody of anything.
        """
        with _lock:
            self._taken = True
            if self.status is None:
                self.status = status

    def reap_unheard(self, status: ExitStatus) -> bool:
        """Reap it before whoever watches it has heard: they find its status here, and its pidfd, which stays open.

        False, and nothing done, if somebody holds it, or it is reaped already. For the reaper (`watchers._reaper`).
        """
        with _lock:
            if self.reaped or self._taken or self._holds > 0:
                return False
            if self.pidfd < 0 or _wait_by_pidfd(self.pidfd) in (errno.EPERM, errno.ENOSYS):
                _reap_number(self.pid)
            self.note_taken(status)
            return True

    def hold(self) -> None:
        """Keep the pid its own, even after its exit, until `release()`. Holds are counted."""
        with _lock:
            self._holds += 1

    def release(self) -> None:
        """Give a `hold()` back."""
        with _lock:
            self._holds -= 1
            if self._noted or not self._taken:
                self._reap_if_free()

    def send_signal(self, number: int) -> bool:
        """Send it a signal; False if it has ended. PermissionError if it runs as somebody we may not signal."""
        with _lock:
            if self.reaped or self.status is not None:
                return False
            try:
                if self.pidfd >= 0:
                    signal.pidfd_send_signal(self.pidfd, number)
                else:
                    os.kill(self.pid, number)
            except ProcessLookupError:
                return False
            return True

    def signal_group(self, number: int) -> bool:
        """Send a signal to all in the process group that it leads; False if there is none left to send it to.

        ValueError if it leads no group: its group is then that of whoever started it, this program included.
        PermissionError if none of them may be signalled (kill(2)).
        """
        if not self.leads_group:
            raise ValueError(f"process {self.pid} leads no process group of its own")
        with _lock:
            # Somebody who took the status gave the number back too: it may be anybody's group by now.
            if self.reaped or self._taken or isinstance(self.status, StatusLost):
                return False
            if self.status is not None and self._holds == 0:
                return False  # it is about to be given back, in the loop's next pass
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return False
            return True

    def _reap_if_free(self) -> None:
        if self.reaped or self.status is None or self._holds > 0:
            return
        try:
            self.reaped = True
            # ECHILD: something else reaped it, after its status was seen or, as StatusLost tells, before.
            wrong = errno.ENOSYS if self.pidfd < 0 else _reap(self.pidfd)
            # Refused by a filter that allowed it before. The pid serves, unless it may be another child's by now.
            if wrong in (errno.EPERM, errno.ENOSYS) and not self._taken and not isinstance(self.status, StatusLost):
                _reap_number(self.pid)
            if self._popen is not None:
                self._popen.returncode = self.status.returncode
                self._popen = None
        finally:  # whatever comes in between, Ctrl-C above all: the number means nobody, or another
            if _children.get(self.pid) is self:
                del _children[self.pid]


def _is_there(child: Child) -> bool:
    """Whether it still runs or waits to be reaped; else somebody reaped it, and it was no other of the same number."""
    kind, number = (os.P_PIDFD, child.pidfd) if child.pidfd >= 0 else (os.P_PID, child.pid)
    try:
        os.waitid(kind, number, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _wait_by_pidfd(pidfd: int) -> int:
    """Reap it; the errno of what went wrong, or 0."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _plain_reap(pidfd: int) -> int:
    """As `_native.reap`, where that was not built."""
    try:
        return _wait_by_pidfd(pidfd)
    finally:
        os.close(pidfd)


def _plain_reap_number(pid: int) -> None:
    """As `_native.reap_number`, where that was not built."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


_reap = _native.reap if _native.MISSING is None else _plain_reap
_reap_number = _native.reap_number if _native.MISSING is None else _plain_reap_number

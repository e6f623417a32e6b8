"""One pid watched through a process descriptor, and the pidfds of one loop; the rules are those of `_pidfd`."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import itertools
import os
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus, ResourceUsage, StatusLost

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._native import PidfdSet
    from loopwright._spawning import Child
    from loopwright.watchers._plain import PlainPidfdSet

__all__ = ["LoopSet", "Watch"]

#: A zombie that is being traced is withheld from its parent until the tracer lets go (ptrace(2)): ask again after this.
TRACED_RETRY = 0.05
KEY_MASK = 0xFFFF_FFFF
_keys = itertools.count(1)


class Watch:
    """One pid watched for one taker. `taken` is set, once, by whoever decides its fate: the exit, or a removal."""

    __slots__ = ("armed", "borrowed", "child", "context", "key", "loop", "on_exit", "pid", "pidfd", "taken")

    def __init__(
        self,
        pid: int,
        loop: asyncio.AbstractEventLoop,
        on_exit: Callable[[Watch, Any], None],
        child: Child | None,
        *,
        borrowed: bool,
    ) -> None:
        self.pid = pid
        self.loop = loop
        self.on_exit = on_exit
        self.child = child
        self.borrowed = borrowed
        self.key = next(_keys) & KEY_MASK
        self.context = contextvars.copy_context()
        self.armed = False
        self.taken = False
        self.pidfd = -1
        if borrowed and child is not None:
            self.pidfd = child.pidfd
            return
        if child is not None:
            child.hold()
        try:
            with contextlib.suppress(ProcessLookupError):  # -1 then: somebody reaped it
                self.pidfd = os.pidfd_open(pid)
        except BaseException:
            self.give_back()
            raise

    def reap(self) -> None:
        """Give the pid back, if it has ended; for a child in the ledger, tell that, which does it in its own time."""
        if self.borrowed and self.child is not None:
            if (status := _look(self.pidfd)) is not None:
                self.child.note_exit(status)
        elif self.child is None and self.pidfd >= 0:
            with contextlib.suppress(ChildProcessError):  # not our child, or reaped by somebody else
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        self.give_back()

    def give_back(self) -> None:
        """Close the pidfd and let go of the child in the ledger, unless they are borrowed. Idempotent."""
        pidfd, self.pidfd, child, self.child = self.pidfd, -1, self.child, None
        if self.borrowed:
            return
        if pidfd >= 0:
            os.close(pidfd)
        if child is not None:
            child.release()


class LoopSet:
    """The watches of one loop, under the watcher's lock, and its set of pidfds, on that loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, new_set: Callable[[], PidfdSet | PlainPidfdSet]) -> None:
        self.loop = loop
        self._new_set = new_set
        self.watches: dict[int, Watch] = {}
        self.pidfds: PidfdSet | PlainPidfdSet | None = None

    def arm(self, watch: Watch) -> None:
        if self.pidfds is None:
            pidfds = self._new_set()
            try:
                self.loop.add_reader(pidfds.fileno(), self._on_readable)
            except BaseException:
                pidfds.close()
                raise
            self.pidfds = pidfds
        self.pidfds.add(watch.pidfd, watch.key)
        watch.armed = True

    def disarm(self, watch: Watch) -> None:
        if watch.armed and self.pidfds is not None:
            watch.armed = False
            self.pidfds.discard(watch.pidfd)

    def _on_readable(self) -> None:
        if self.pidfds is None:
            return
        for key, pid, code, value, usage in self.pidfds.drain():
            watch = self.watches.get(key)
            if watch is None:
                continue
            if pid == 0:
                self.loop.call_later(TRACED_RETRY, self._rearm, watch)
                continue
            self.disarm(watch)
            watch.on_exit(watch, _status(pid, code, value, usage))

    def _rearm(self, watch: Watch) -> None:
        if watch.armed and self.pidfds is not None:
            self.pidfds.rearm(watch.pidfd, watch.key)

    def close(self) -> None:
        """Give the set back; the loop, if it is still open, no longer watches it."""
        pidfds, self.pidfds = self.pidfds, None
        if pidfds is not None:
            if not self.loop.is_closed():
                self.loop.remove_reader(pidfds.fileno())
            pidfds.close()


def _status(pid: int, code: int, value: int, usage: tuple[Any, ...] | None) -> ExitStatus | StatusLost:
    if pid < 0:
        return StatusLost(
            f"something else in this program reaped it ({os.strerror(code)}), unless it was no child of this program; "
            "a call of os.wait() or os.waitpid(-1), SIGCHLD being ignored, or a dropped subprocess.Popen does that"
        )
    return ExitStatus.from_siginfo(code, value, None if usage is None else ResourceUsage(*usage))


def _look(pidfd: int) -> ExitStatus | StatusLost | None:
    """How the process of a pidfd ended, left unreaped; None if it has not."""
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return _status(-1, errno.ECHILD, 0, None)
    return None if found is None else _status(found.si_pid, found.si_code, found.si_status, None)

"""Exits told by `waitpid(-1)`, which reaps whatever child has ended: for compatibility, and for the first process.

Theory of operation; what watchers have in common is in `_table`, the handler of SIGCHLD in `_ear`. This is the one
watcher that must reap first: `waitid(P_ALL, WNOWAIT)` would show the same zombie again and again. So what others keep
in the kernel is kept here, and each way in which a status could get lost has an answer:

- **Ended before it was registered.** Within `with watcher:` statuses of unknown children are kept until the block (the
  outermost, in whichever thread) ends; what is left then is logged. Outside of a block they are logged at once.
- **Registered again after it was reaped.** The status goes from the old watch to the new one; if the watch is removed
  instead, the status is treated as that of an unknown child.
- **In the ledger** (started by `loopwright.process`). Its status is noted there, and whoever finds that somebody took
  the status asks for it there, under `reaping.lock`, which is held from the reaping to the noting.
- **A Popen handed over** is given its returncode. One that was not handed over is robbed: its `poll()` will say 0.
- **Taken by somebody else** before we came: nothing tells of that, so by timer the watched pids are asked after.
- **The number is free.** A reaped pid may come to mean a new child at once. So nothing is asked or reaped by pid of a
  watch that has its status, and a kept status is only used if the pid names no child now.

Locks are taken in this order: the watcher's, `reaping.lock`, the ledger's.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright._spawning import child_of, keep_unclaimed
from loopwright.watchers._ear import ear
from loopwright.watchers._polling import TimedWard
from loopwright.watchers._sigchld import AttachedWatcher
from loopwright.watchers._watch import look, reaping

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from loopwright.watchers._watch import Ward, Watch

__all__ = ["FastChildWatcher"]

logger = logging.getLogger("loopwright.watchers")


class FastChildWatcher(AttachedWatcher):
    """Watches children by SIGCHLD and reaps *every* child of the process, whoever started it.

    Only for programs in which nothing else waits for children, such as the first process of a container: any
    `subprocess.Popen` that is not handed over loses its status. In spite of its name, `PidfdChildWatcher` is faster
    with many children alive. Start children in a `with watcher:` block and register them in it: there, and only there,
    the status of one that ends before it is registered is kept. The loop and thread rules are those of
    `SafeChildWatcher`. Unlike with the other watchers a pid is given back *before* its handler is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spawning = 0
        self._unknown: dict[int, ExitStatus] = {}
        self._asked = False

    def __enter__(self) -> Self:
        with self._lock:
            self._spawning += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._spawning -= 1
            if self._spawning:
                return
            unknown, self._unknown = self._unknown, {}
        for pid, status in unknown.items():
            _log_unknown(pid, status)

    def close(self) -> None:
        super().close()
        with self._lock:
            unknown, self._unknown = self._unknown, {}
        for pid, status in unknown.items():
            _log_unknown(pid, status)

    # --- what the table asks

    def _prepare(self, watch: Watch) -> ExitStatus | StatusLost | None:
        for other in (self._handlers.get(watch.pid), *self._listeners.get(watch.pid, ())):
            if other is not None and other.status is not None and not other.taken:
                watch.status = other.status
                if watch.args is not None and other.args is not None:
                    other.status = None  # it is about to be replaced
                return watch.status
        with reaping.lock:
            found = look(watch.pid)
            kept = self._unknown.pop(watch.pid, None)
            if not isinstance(found, StatusLost):
                return None  # it is there, so what was kept was of another child with the same number
            watch.status = kept
            return kept or found

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return AnyWard(loop, self._drain, self._look_over)

    def _on_sigchld(self) -> None:
        super()._on_sigchld()
        # Also with no child watched: orphans that the first process inherits are nobody's, and must be reaped.
        loop = self._attached
        if loop is None or loop in self._wards or self._asked:
            return
        self._asked = True
        try:
            loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # closed
            self._asked = False

    def _take(self, watch: Watch | None) -> bool:
        lost = None if watch is None or watch.taken else watch.status
        taken = super()._take(watch)
        if watch is not None and lost is not None:
            self._nobodys(watch.pid, lost)
        return taken

    # --- reaping

    def _drain(self) -> None:
        """Reap all that have ended, in any thread."""
        self._asked = False
        while not self._closed:
            with self._lock, reaping.lock:
                try:
                    pid, status, usage = os.wait4(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if pid == 0:
                    return
                self._reaped(pid, ExitStatus.from_wait(status, ResourceUsage.from_rusage(usage)))

    def _look_over(self, ward: TimedWard) -> None:
        """Tell of children that somebody else has reaped."""
        with self._lock, reaping.lock:
            for watch in tuple(ward.watches.values()):
                if watch.armed is True and watch.status is None and isinstance(status := look(watch.pid), StatusLost):
                    watch.armed = None
                    self._tell_from_elsewhere(watch, status)

    def _reaped(self, pid: int, status: ExitStatus) -> None:
        child = child_of(pid)
        if child is not None:
            child.note_taken(status)
        handler = self._handlers.get(pid)
        watches = [watch for watch in (handler, *self._listeners.get(pid, ())) if watch is not None]
        for watch in watches:
            watch.status = status
            _write_into(watch.owner, status)
            self._tell_from_elsewhere(watch, status)
        if not watches and child is None:
            self._nobodys(pid, status)

    def _nobodys(self, pid: int, status: ExitStatus | StatusLost) -> None:
        kept = False
        if isinstance(status, ExitStatus):
            # It may not be registered yet, or be one of ours that is not in the ledger yet.
            kept = keep_unclaimed(pid, status, self._on_claim)
            if self._spawning:
                self._unknown[pid] = status
                kept = True
        if not kept:
            _log_unknown(pid, status)

    def _on_claim(self, pid: int, status: ExitStatus, claimed: bool) -> None:
        if claimed:
            self._unknown.pop(pid, None)
        elif pid not in self._unknown:
            _log_unknown(pid, status)

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._unknown.clear()
        self._spawning = 0
        self._asked = False


class AnyWard(TimedWard):
    """The watches of one loop; a scan looks at all children of the process at once."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, drain: Callable[[], None], look_over: Callable[[TimedWard], None]
    ) -> None:
        super().__init__(loop, ear.hears)
        self._drain = drain
        self._look_over = look_over

    def arm(self, watch: Watch) -> None:
        super().arm(watch)
        self.ask()  # it may have ended before

    def scan(self) -> None:
        self._drain()

    def scan_by_timer(self) -> None:
        self._drain()
        self._look_over(self)


def _log_unknown(pid: int, status: ExitStatus | StatusLost) -> None:
    logger.warning("reaped process %d, which nobody has registered: it %s", pid, status)


def _write_into(owner: Any, status: ExitStatus) -> None:
    """Tell the object that stands for the process: its own `poll()` would find no child and take that for success."""
    popen = getattr(owner, "_popen", owner)  # multiprocessing.Process has a Popen of its own kind
    if popen is not None and hasattr(popen, "poll") and popen.returncode is None:
        popen.returncode = status.returncode

"""Exits told by threads that block in `waitid(2)`, one a child.

Theory of operation. A thread waits for a *pid*, not for a registration: it sees the exit, leaves the child unreaped
(WNOWAIT), and tells whoever watches that pid by then. So registering again, or removing and registering, needs no
second thread; and as no thread can be called back from waitid(), one whose child is watched no longer stays, idle,
until the child has ended. They are daemon threads for that reason: they must not keep the program from ending.

A pid can be given back and come to mean a new child while the thread is on its way from the old one's end. Where the
status is lost, it therefore looks once more under the lock, and goes on waiting if the pid is alive again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loopwright._core import StatusLost
from loopwright.errors import MechanismUnavailableError
from loopwright.watchers._probe import probe_thread
from loopwright.watchers._table import TableWatcher
from loopwright.watchers._watch import Ward, Watch, await_exit, look

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._core import ExitStatus

__all__ = ["ThreadedChildWatcher", "Waiters"]

NAME = "loopwright-waitid-{}"


class Waiters:
    """The waiting threads of one watcher. Its methods are called under the watcher's lock."""

    def __init__(
        self, lock: Callable[[], threading.RLock], tell: Callable[[Watch, ExitStatus | StatusLost], None]
    ) -> None:
        self._lock = lock
        self._tell = tell
        self._waiting: dict[int, list[Watch]] = {}

    def arm(self, watch: Watch) -> None:
        """Have a thread wait for it. RuntimeError, or MemoryError, if none can be started."""
        watches = self._waiting.get(watch.pid)
        if watches is None:
            watches = []
            thread = threading.Thread(
                target=self._wait, args=(watch.pid, watches), name=NAME.format(watch.pid), daemon=True
            )
            thread.start()
            self._waiting[watch.pid] = watches
        watches.append(watch)
        watch.armed = self

    def disarm(self, watch: Watch) -> None:
        """Tell it of nothing; the thread stays until the child has ended."""
        watch.armed = None
        watches = self._waiting.get(watch.pid, [])
        if watch in watches:
            watches.remove(watch)

    def leave_to_parent(self) -> None:
        """In a forked child there are no such threads."""
        self._waiting.clear()

    def _wait(self, pid: int, watches: list[Watch]) -> None:
        while True:
            status = await_exit(pid)
            with self._lock():
                if isinstance(status, StatusLost) and look(pid) is None:
                    continue
                if self._waiting.get(pid) is watches:
                    del self._waiting[pid]
                told = tuple(watches)
            break
        for watch in told:
            self._tell(watch, status)


class ThreadWard(Ward):
    """The watches of one loop that threads tell of."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiters: Waiters) -> None:
        super().__init__(loop)
        self._waiters = waiters

    def arm(self, watch: Watch) -> None:
        self._waiters.arm(watch)

    def disarm(self, watch: Watch) -> None:
        self._waiters.disarm(watch)

    def leave_to_parent(self) -> None:
        self._waiters.leave_to_parent()


class ThreadedChildWatcher(TableWatcher):
    """Watches each child with a thread of its own: works on every Unix, in any thread, with any loop.

    No signals and no descriptors, and other people's children are left alone; a thread costs more to start than a
    child's end is worth, and its memory. `attach_loop()` is not needed (asyncio's did nothing); an attached loop is
    used where none is running. Unlike asyncio's (up to 3.13), `remove_child_handler()` answers truly and stops the
    callback, and `close()` forgets all callbacks. RuntimeError where the system gives no further thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiters = Waiters(lambda: self._lock, self._tell_from_elsewhere)

    def is_active(self) -> bool:
        return super().is_active() and probe_thread().works

    def _check_usable(self, pid: int) -> None:
        if not (mechanism := probe_thread()).works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return ThreadWard(loop, self._waiters)

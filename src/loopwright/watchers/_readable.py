"""A loop's set of watched processes behind one descriptor that the loop reads: what pidfd and kqueue have in common."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Protocol

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright.watchers._reaper import Tripwire
from loopwright.watchers._watch import LOST, Ward, Watch, look

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from loopwright._native._pidfds import Told

__all__ = ["TRACED_RETRY", "ReadableSet", "ReadableWard", "told_status"]

#: A zombie that is being traced is withheld from its parent until the tracer lets go (ptrace(2)): ask again after this.
TRACED_RETRY = 0.05


class ReadableSet(Protocol):
    """What `_native.PidfdSet` is: entries are told once, under a key, when their process has ended."""

    def fileno(self) -> int:
        """Readable while an entry is."""

    def add(self, entry: int, key: int, /) -> None:
        """Tell of it once."""

    def rearm(self, entry: int, key: int, /) -> None:
        """Tell of it once more."""

    def discard(self, entry: int, /) -> None:
        """Stop watching it."""

    def drain(self) -> list[Told]:
        """All that was not told yet."""

    def close(self) -> None:
        """Idempotent."""


class ReadableWard(Ward):
    """The watches of one loop, and its set, which exists while it has entries."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        new_set: Callable[[], ReadableSet],
        tell: Callable[[Watch, ExitStatus | StatusLost], None],
    ) -> None:
        super().__init__(loop)
        self._new_set = new_set
        self._tell = tell
        self.entries: ReadableSet | None = None

    def fileno(self) -> int:
        return -1 if (entries := self.entries) is None else entries.fileno()

    def entry_of(self, watch: Watch) -> int:
        """What names the process to the set."""
        return watch.pidfd

    def arm(self, watch: Watch) -> None:
        if self.entries is None:
            entries = self._new_set()
            try:
                self.loop.add_reader(entries.fileno(), Tripwire(self, self._on_readable))
            except BaseException:
                entries.close()
                raise
            self.entries = entries
        self.entries.add(self.entry_of(watch), watch.key)
        watch.armed = True

    def disarm(self, watch: Watch) -> None:
        if watch.armed and self.entries is not None:
            watch.armed = None
            self.entries.discard(self.entry_of(watch))

    def _on_readable(self) -> None:
        if self.entries is not None:
            self._hear_all(iter(self.entries.drain()))

    def _hear_all(self, told: Iterator[Told]) -> None:
        try:
            self._hear(told)
        finally:
            # If somebody's callback raised, or Ctrl-C came: nothing tells of the others again.
            if rest := list(told):
                self.loop.call_soon(self._hear_all, iter(rest))

    def _hear(self, told: Iterator[Told]) -> None:
        for key, pid, code, value, usage in told:
            watch = self.watches.get(key)
            if watch is None:
                continue
            if pid == 0:
                self.loop.call_later(TRACED_RETRY, self._rearm, watch)
                continue
            self.disarm(watch)
            status: ExitStatus | StatusLost | None = None
            if pid < 0 and code != errno.ECHILD:
                # Not the process is gone but the call: a seccomp filter forbids it since we tried. It has ended, and
                # was not reaped a moment ago, so that its pid may be asked about instead.
                status = look(watch.pid)
            self._tell(watch, status or told_status(pid, code, value, usage))

    def _rearm(self, watch: Watch) -> None:
        if watch.armed and self.entries is not None:
            self.entries.rearm(self.entry_of(watch), watch.key)

    def close(self) -> None:
        """Give the set back; the loop, if it is still open, no longer watches it."""
        entries, self.entries = self.entries, None
        if entries is not None:
            if not self.loop.is_closed():
                self.loop.remove_reader(entries.fileno())
            entries.close()

    def leave_to_parent(self) -> None:
        # Taking the set's descriptor out of the loop's own poller would take it out of the parent's.
        entries, self.entries = self.entries, None
        if entries is not None:
            entries.close()


def told_status(pid: int, code: int, value: int, usage: tuple[Any, ...] | None) -> ExitStatus | StatusLost:
    """What a set says of a process, as a value."""
    if pid < 0:
        return StatusLost(LOST.replace("No child processes", os.strerror(code), 1))
    return ExitStatus.from_siginfo(code, value, None if usage is None else ResourceUsage._make(usage))

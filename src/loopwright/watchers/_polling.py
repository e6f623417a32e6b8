"""Exits found by asking after each child from time to time: what is left when nothing tells of them.

Theory of operation. One timer a loop, while it has children to watch, asks `waitid(WNOHANG | WNOWAIT)` for each. It is
also how the watchers by SIGCHLD (`_sigchld`) find out *which* child has ended: there a signal brings the scan forward,
and the timer is for signals that never arrive.

How often is a bargain between lateness and cost, struck anew at every scan: soon at first, for most children that are
waited for end soon, then more rarely; and never so often that scanning takes more than its share of the processor,
however many children there are.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from loopwright.errors import MechanismUnavailableError
from loopwright.watchers._probe import probe_polling
from loopwright.watchers._reaper import Tripwire
from loopwright.watchers._table import TableWatcher
from loopwright.watchers._watch import Ward, Watch, look

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._core import ExitStatus, StatusLost

__all__ = ["PollingChildWatcher", "ScanWard", "TimedWard"]

#: Seconds until the first look after a child was added, until the rarest ones, and by what the wait grows in between.
SOONEST, RAREST, GROWTH = 0.002, 0.1, 1.5
#: Seconds between scans where something else tells when to look, and the timer is for when that fails.
RESCAN = 0.5
#: A scan that took a second is followed by a pause of so many.
REST = 20.0


def _no_timer() -> None:
    return None


class TimedWard(Ward):
    """The watches of one loop, scanned when asked for, and by timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hears: Callable[[], bool] = lambda: False) -> None:
        super().__init__(loop)
        self._hears = hears
        self._pause = SOONEST
        self._timer: Callable[[], asyncio.TimerHandle | None] = _no_timer
        self._asked = False

    def scan(self) -> None:
        """Look who has ended, on the loop's thread."""
        raise NotImplementedError

    def scan_by_timer(self) -> None:
        """The same, when nothing has told of an exit."""
        self.scan()

    def arm(self, watch: Watch) -> None:
        watch.armed = True
        self._pause = SOONEST
        self._set_timer()

    def ask(self) -> None:
        """Have a scan made soon. From any thread, and in a signal handler."""
        if self._asked:
            return
        self._asked = True
        try:
            self.loop.call_soon_threadsafe(self._scan_because_asked)
        except RuntimeError:  # the loop is closed; its ward goes with the next registration
            self._asked = False

    def close(self) -> None:
        self._stop_timer()

    def _scan_because_asked(self) -> None:
        self._asked = False  # before the scan: a signal during it may be of a child that was looked at already
        self.scan()

    def _scan_by_timer(self) -> None:
        self._timer = _no_timer
        begun = time.perf_counter()
        try:
            self.scan_by_timer()
        finally:  # if somebody's callback raised, or Ctrl-C came, the others are found at the next look
            took = time.perf_counter() - begun
            self._pause = max(min(self._pause * GROWTH, RAREST), took * REST)
            if self.watches:
                self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        pause = max(RESCAN, self._pause) if self._hears() else self._pause
        handle = self.loop.call_later(pause, Tripwire(self, self._scan_by_timer))
        try:
            # Weakly, for the handle keeps the tripwire, which a loop that is closed is to let go of.
            self._timer = weakref.ref(handle)
        except TypeError:  # this loop's handles do not allow it
            self._timer = lambda: handle

    def _stop_timer(self) -> None:
        if (handle := self._timer()) is not None:
            handle.cancel()
        self._timer = _no_timer


class ScanWard(TimedWard):
    """The watches of one loop, looked at one by one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Watch, ExitStatus | StatusLost], None],
        hears: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(loop, hears)
        self._tell = tell

    def arm(self, watch: Watch) -> None:
        status = look(watch.pid)
        if status is None:
            super().arm(watch)
        else:
            self.loop.call_soon(self._tell, watch, status)  # nobody is told while still registering

    def scan(self) -> None:
        for watch in tuple(self.watches.values()):
            if watch.armed is True and (status := look(watch.pid)) is not None:
                watch.armed = None
                self._tell(watch, status)


class PollingChildWatcher(TableWatcher):
    """Asks after each child from time to time, every 2 to 100 ms: the way of last resort.

    It needs no thread, no signal and no descriptor, works on every loop in any thread, and is late by up to a tenth of
    a second, more with thousands of children. `default_watcher()` takes it only where nothing else works.
    """

    def is_active(self) -> bool:
        return super().is_active() and probe_polling().works

    def _check_usable(self, pid: int) -> None:
        if not (mechanism := probe_polling()).works:
            raise MechanismUnavailableError(f"cannot watch process {pid}: {mechanism.reason}")

    def _new_ward(self, loop: asyncio.AbstractEventLoop) -> Ward:
        return ScanWard(loop, self._tell)

"""What one loop hears from the kernel of its children: that a start is done, and that a process has ended.

Theory of operation. A loop that starts or watches children for `loopwright.process` has one `Hub`: a nested epoll set
(`PidfdSet`), which the loop watches with one `add_reader` however many children there are, and in it the eventfd of a
`StartPort`, through which the workers hand back what they have started.

- **A hub lives while it has something to wait for**, and two passes of the loop longer: a program that runs one child
  after the other would otherwise pay each time for making and joining a set. A loop that is closed properly has run
  those, so it has nothing of ours left in it.
- **Exits.** An exit is seen without reaping, told to whoever waits, and then noted in the ledger, which reaps when no
  signal is owed (`_spawning._ledger`).
- **A loop that was closed** with children or starts under way is noticed by the reaper (`_reaper`), and when a hub is
  next made, for any loop: starts that nobody can take any more are killed, and children left to the reaper.
- **The program's end.** What was being started then is nobody's: it is given up, and waited for a moment, or a child
  might be left that nobody knows of.
- **A fork.** In the child none of this is wanted: its copies are closed without taking anything out of the set, which
  would take it out of the parent's.

All of a hub is used on its loop's thread; the table of hubs is guarded by the GIL, one operation at a time.
"""

from __future__ import annotations

import atexit
import errno
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from loopwright import _native
from loopwright._core import StatusLost
from loopwright.watchers import _reaper
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._readable import TRACED_RETRY, told_status
from loopwright.watchers._reaper import Tripwire
from loopwright.watchers._watch import KEY_MASK, look, reaping

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright._core import ExitStatus
    from loopwright._native import PidfdSet, Start, StartPort
    from loopwright._spawning import Child

    OnExit = Callable[[ExitStatus | StatusLost], None]

__all__ = ["Hub", "hub_of"]

PORT = 0  # the key of the eventfd; children have 1 and more
#: How long the end of the program waits for what was being started, in seconds: not for an exec that hangs.
LAST_MOMENT = 1.0

_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub_of(loop: asyncio.AbstractEventLoop) -> Hub:
    """The hub of the loop that is running in this thread. OSError if there is no descriptor left for one."""
    hub = _hubs.get(loop)
    if hub is None:
        _drop_closed_loops()
        hub = _hubs[loop] = Hub(loop)
        _reaper.enroll(hub, loop)
    return hub


def _drop_closed_loops() -> None:
    for loop in list(_hubs):
        if loop.is_closed() and (hub := _hubs.pop(loop, None)) is not None:
            _reaper.adopt(hub.abandon())


class Hub:
    """The children and starts of one loop."""

    __slots__ = ("_children", "_closing", "_heard", "_last_key", "_loop", "_pidfds", "_port", "_starts")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._children: dict[int, tuple[Child, OnExit]] = {}
        self._starts: dict[Start, asyncio.Future[None]] = {}
        self._last_key = PORT
        self._closing = False
        #: Children whose exits were told, and that are not reaped yet.
        self._heard: list[Child] = []
        self._port: StartPort | None = None
        self._pidfds: PidfdSet | PlainPidfdSet = PlainPidfdSet() if _native.PidfdSet is None else _native.PidfdSet()
        try:
            loop.add_reader(self._pidfds.fileno(), Tripwire(self, self._on_readable))
        except BaseException:
            self._pidfds.close()
            raise

    @property
    def is_idle(self) -> bool:
        """Whether no child of it lives and none is being started."""
        return not self._children and not self._starts

    def start(self, start: Start) -> asyncio.Future[None]:
        """Have a worker start it; the future is done when it runs or has failed. To be cancelled by `drop()`.

        OSError where there is no descriptor for a port, or no thread for what must be started by one that stays.
        """
        try:
            port = self._port or self._open_port()
            future = self._loop.create_future()
            if start.submit(port):
                self._starts[start] = future
            elif start.needs_worker:
                raise BlockingIOError(
                    errno.EAGAIN, f"{os.strerror(errno.EAGAIN)}: no thread to start a child with a parent-death signal"
                )
            else:  # no thread can be had: then here
                start.run()
                future.set_result(None)
        finally:
            self._close_soon_if_idle()
        return future

    def _open_port(self) -> StartPort:
        if _native.StartPort is None:
            raise AssertionError("a compiled start without a compiled port")
        port = _native.StartPort()
        try:
            self._pidfds.add(port.fileno(), PORT)
        except BaseException:
            port.close()
            raise
        self._port = port
        return port

    def drop(self, start: Start) -> None:
        """Nobody waits for this start any more: its child, if there is or will be one, is killed and reaped."""
        self._starts.pop(start, None)
        start.abandon()
        if not self._loop.is_closed():
            self.close_if_idle()
        elif _hubs.pop(self._loop, None) is self:
            _reaper.adopt(self.abandon())

    def watch(self, child: Child, on_exit: OnExit) -> None:
        """Have `on_exit(status)` called when it has ended; the ledger is told after that. It must have a pidfd.

        OSError as epoll_ctl(2): ENOSPC or ENOMEM, where there are too many.
        """
        key = self._last_key = self._last_key % KEY_MASK + 1
        while key in self._children:  # after 2**32 children, the key of one that still lives
            key = self._last_key = self._last_key % KEY_MASK + 1
        try:
            self._pidfds.add(child.pidfd, key)
            self._children[key] = (child, on_exit)
        finally:
            self._close_soon_if_idle()

    def _on_readable(self) -> None:
        self._hear(deque(self._pidfds.drain()))

    def _hear(self, told: deque[tuple[int, int, int, int, Any]]) -> None:
        try:
            while told:
                key, *rest = told.popleft()
                if key == PORT:
                    self._take_starts()
                elif key in self._children:
                    self._hear_of_child(key, *rest)
        finally:
            if told:  # somebody's callback raised, or Ctrl-C came: nobody tells of the others again
                self._loop.call_soon(self._hear, told)
            self._close_soon_if_idle()

    def _hear_of_child(self, key: int, pid: int, code: int, value: int, usage: Any) -> None:
        child, on_exit = self._children[key]
        if pid == 0:
            self._loop.call_later(TRACED_RETRY, self._ask_again, key)
            return
        del self._children[key]
        self._pidfds.discard(child.pidfd)
        # A call that a filter forbids since we tried says nothing of the process: its pid may be asked instead.
        asked = look(child.pid) if pid < 0 and code != errno.ECHILD else None
        child.status = settled(child, asked or told_status(pid, code, value, usage))
        # Reaped in a pass of its own, which comes after whoever waited has been woken.
        self._heard.append(child)
        on_exit(child.status)

    def _take_starts(self) -> None:
        if self._port is None:
            return
        for start in self._port.drain():
            future = self._starts.pop(start, None)
            if future is not None and not future.done():
                future.set_result(None)
        self._pidfds.rearm(self._port.fileno(), PORT)

    def _ask_again(self, key: int) -> None:
        if (entry := self._children.get(key)) is not None:
            self._pidfds.rearm(entry[0].pidfd, key)

    def _close_soon_if_idle(self) -> None:
        idle = not self._children and not self._starts
        if (idle or self._heard) and not self._closing and not self._loop.is_closed():
            self._closing = True
            self._loop.call_soon(self._give_back)

    def _give_back(self) -> None:
        """Have those reaped that were told of; then, a pass later, the descriptors given back, if nothing is left."""
        heard, self._heard = self._heard, []
        for child in heard:
            if child.status is not None:
                child.note_exit(child.status)
        self._closing = not self._children and not self._starts
        if self._closing:
            self._loop.call_soon(self._close_in_time)

    def _close_in_time(self) -> None:
        self._closing = False
        if self._heard:
            self._close_soon_if_idle()
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Give the descriptors back now, if nothing is waited for."""
        if not self._children and not self._starts and not self._heard and _hubs.get(self._loop) is self:
            del _hubs[self._loop]
            _reaper.dismiss(self)  # first: its tripwire goes with its reader
            self._loop.remove_reader(self._pidfds.fileno())
            self.close()

    def give_up_starts(self) -> None:
        """Kill what was being started."""
        while self._starts:  # a step at a time: it may be the reaper's thread that does this
            self._starts.popitem()[0].abandon()

    def close(self) -> None:
        """Give the descriptors back; the loop is not told."""
        _reaper.dismiss(self)
        port, self._port = self._port, None
        if port is not None:
            port.close()
        self._pidfds.close()

    def abandon(self) -> list[Child]:
        """The loop is closed: kill what was being started, and give the children."""
        self.give_up_starts()
        self.close()
        children = [*self._heard, *(child for child, _ in self._children.values())]
        self._heard.clear()
        self._children.clear()
        return children

    # --- for the reaper, in its thread

    def fileno(self) -> int:
        """Readable while something waits to be heard; ValueError if it is closed."""
        return self._pidfds.fileno()

    def sweep(self) -> None:
        """The loop is closed: leave the children to the reaper."""
        _drop_closed_loops()

    def unheard(self) -> list[Child]:
        """Children that the loop has not heard of."""
        return [child for child, _ in tuple(self._children.values())]

    def reap_unheard(self, child: Child, status: ExitStatus) -> None:
        """Reap one of those; the loop will find that somebody has, and the status in the ledger (`settled`)."""
        with reaping.lock:
            child.reap_unheard(status)


def settled(child: Child, status: ExitStatus | StatusLost) -> ExitStatus | StatusLost:
    """The true status instead of one that seems lost, if a watcher of ours reaped the child and wrote it down."""
    if not isinstance(status, StatusLost):
        return status
    with reaping.lock:
        return child.status or status


@atexit.register
def _give_up_starts() -> None:
    for hub in list(_hubs.values()):
        hub.give_up_starts()
    deadline = time.monotonic() + LAST_MOMENT
    while _native.busy() and time.monotonic() < deadline:
        time.sleep(0.001)


def _forget_in_forked_child() -> None:
    hubs = list(_hubs.values())
    _hubs.clear()
    for hub in hubs:
        hub.close()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)

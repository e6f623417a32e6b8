"""What one loop hears from the kernel of its children: that a start is done, and that a process has ended.

Theory of operation. A loop that starts or watches children for `loopwright.process` has one `Hub`: a nested epoll set
(`PidfdSet`), which the loop watches with one `add_reader` however many children there are, and in it the eventfd of a
`StartPort`, through which the workers hand back what they have started.

- **A hub belongs to its loop**, which holds it by what was given to `add_reader()`. A loop that is closed drops that,
  and with it a `_Seat` that nobody else holds: that is how the hub hears of the closing, and gives its descriptors
  back, whoever else may still hold it (the traceback of an exception, say). Making and joining a set anew for each of
  many programs run one after the other would cost as much as hearing of them.
- **On other loops** than asyncio's it goes when it has nothing to wait for: rloop keeps what it was given for ever, and
  uvloop drops it before it takes the descriptor out of its poller, which libuv does not survive if that is closed.
- **Those that have ended already** when they are to be watched are not put into the set, but heard in the loop's next
  pass, as if the set had told of them: what was started in a hurry has often ended, and one question is cheaper than an
  entry, an event and a wake-up. Not at once, for who starts a child may want to `hold()` it first.
- **Exits.** An exit is seen without reaping, told to whoever waits, and noted in the ledger in the loop's next pass,
  which reaps when no signal is owed (`_spawning._ledger`).
- **A loop that was closed** with children or starts under way: starts that nobody can take any more are killed, and
  children left to the reaper (`_reaper`), which also looks after those of a loop that is stuck.

All of a hub is used on its loop's thread; the table of hubs is guarded by the GIL, one operation at a time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import weakref
from typing import TYPE_CHECKING

from loopwright import _native
from loopwright._core import StatusLost
from loopwright._spawning import note_exits
from loopwright.watchers import _reaper
from loopwright.watchers._moment import ALARM, Moment
from loopwright.watchers._plain import PlainPidfdSet
from loopwright.watchers._readable import TRACED_RETRY, told_status
from loopwright.watchers._reaper import Tripwire
from loopwright.watchers._watch import look, reaping, settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._core import ExitStatus
    from loopwright._native import PidfdSet, Start, StartPort
    from loopwright._native._pidfds import Told
    from loopwright._spawning import Child
    from loopwright.watchers._moment import Impatient

    OnExit = Callable[[ExitStatus | StatusLost], None]

__all__ = ["Hub", "held", "hubs"]

PORT = 0  # the key of the eventfd; children have 1 and more, below ALARM

#: By the identity of their loops. A hub holds its loop, so while the hub is there the number is that loop's alone.
hubs: dict[int, weakref.ref[Hub]] = {}
#: Those of loops that are not to hold theirs alone.
held: set[Hub] = set()


class _Seat:
    """A hub's place in its loop, held by nobody else: when it goes, the loop was closed or the hub was."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._hub.sweep()


class Hub:
    """The children and starts of one loop."""

    __slots__ = (
        "__weakref__",
        "_called",
        "_children",
        "_closing",
        "_heard",
        "_last_key",
        "_moment",
        "_pidfds",
        "_port",
        "_rest",
        "_starts",
        "_stays",
        "loop",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._children: dict[int, tuple[Child, OnExit]] = {}
        self._starts: dict[Start, asyncio.Future[None]] = {}
        self._last_key = PORT
        #: Whether it is there until its loop is closed; else it goes when it has nothing to wait for.
        self._stays = isinstance(loop, asyncio.BaseEventLoop)
        self._closing = False
        #: Whether the loop was asked to call `_on_readable()` for what was found in another way.
        self._called = False
        self._moment = Moment()
        #: Children whose exits were told, and that are not reaped yet.
        self._heard: list[Child] = []
        #: What is still to be heard in another way than exits are.
        self._rest: list[Told] = []
        self._port: StartPort | None = None
        self._pidfds: PidfdSet | PlainPidfdSet = PlainPidfdSet() if _native.PidfdSet is None else _native.PidfdSet()
        try:
            if self._stays:
                loop.add_reader(self._pidfds.fileno(), self._on_readable, _Seat(self))
            else:
                loop.add_reader(self._pidfds.fileno(), Tripwire(self, self._on_readable))
        except BaseException:
            self._pidfds.close()
            raise
        hubs[id(loop)] = weakref.ref(self)
        if not self._stays:
            held.add(self)
            _reaper.enroll(self, loop)
            self._close_if_idle_soon()

    def sweep(self) -> None:
        """The loop is closed: give the descriptors back, kill what was being started, and see to the children."""
        self._sign_off()
        self.give_up_starts()
        self.close()
        self._reap_heard()
        children = self.unheard()
        self._children.clear()
        if children:
            _reaper.adopt_later(children)

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
            future = self.loop.create_future()
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
            if not self._stays:
                self._close_if_idle_soon()
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
        if self.loop.is_closed():
            self.sweep()
        else:
            self._close_if_idle()

    def watch(self, child: Child, on_exit: OnExit) -> None:
        """Have `on_exit(status)` called when it has ended; the ledger is told after that. It must have a pidfd.

        OSError as epoll_ctl(2): ENOSPC or ENOMEM, where there are too many.
        """
        key = self._last_key = self._last_key % (ALARM - 1) + 1
        while key in self._children:  # after 2**32 children, the key of one that still lives
            key = self._last_key = self._last_key % (ALARM - 1) + 1
        try:
            if not self._children:  # alone: it has been started just now, in this thread as a rule
                self._pidfds.add(child.pidfd, key)
            elif not self._pidfds.add_or_hear(child.pidfd, key) and not self._called:
                self._called = True
                self.loop.call_soon(self._on_readable)
            self._children[key] = (child, on_exit)
        finally:
            if not self._stays:
                self._close_if_idle_soon()
        if len(hubs) > 1 or _reaper.has_posts():
            _reaper.look_if_two_loops()

    def reap_soon(self, child: Child) -> None:
        """How it ended is known: the ledger is told of it in the loop's next pass."""
        self._heard.append(child)
        if len(self._heard) == 1:
            self.loop.call_soon(self._reap_heard)

    def _on_readable(self, seat: _Seat | None = None) -> None:
        del seat  # the loop's alone to hold
        # In either, an entry is not taken out of the set: it is told once (EPOLLONESHOT), and goes with its descriptor.
        self._called = False
        try:
            self._pidfds.hear(self._children, self._heard, self._rest)
            if self._rest:
                self._hear_rest()
            if self._port is not None and self._port.has_done():  # told of since the set was asked
                self._take_starts()
        finally:
            # If somebody's callback raised, or Ctrl-C came: nobody tells of the others again.
            if self._rest or self._pidfds.is_left():
                self.loop.call_soon(self._on_readable)
            if self._heard:
                # In a pass of its own, which comes after whoever waited has been woken.
                self.loop.call_soon(self._reap_heard)
            if not self._stays:
                self._close_if_idle_soon()

    def _hear_rest(self) -> None:
        """What is no ordinary exit."""
        while self._rest:
            told = self._rest.pop(0)
            key, pid, code, value, usage = told
            if key == PORT:
                self._take_starts()
            elif key == ALARM:
                self._moment.come(self.loop, self._pidfds)
            elif pid == 0:
                self.loop.call_later(TRACED_RETRY, self._ask_again, key)
            elif (entry := self._children.pop(key, None)) is not None:
                child, on_exit = entry
                # A call that a filter forbids since we tried says nothing of the process: ask its pid instead.
                asked = look(child.pid) if code != errno.ECHILD else None
                told_before = child.status is not None
                child.status = settled(child, asked or told_status(pid, code, value, usage))
                self._heard.append(child)
                try:
                    on_exit(child.status)
                except Exception:
                    raise
                except BaseException:  # as `PidfdSet.hear()` does it
                    if not told_before:
                        self._children[key] = entry
                        self._rest.insert(0, told)
                    raise

    def _reap_heard(self) -> None:
        heard, self._heard = self._heard, []
        note_exits(heard)

    def _take_starts(self) -> None:
        if self._port is None:
            return
        for start in self._port.drain():
            future = self._starts.pop(start, None)
            if future is not None and not future.done():
                future.set_result(None)

    def _ask_again(self, key: int) -> None:
        if (entry := self._children.get(key)) is not None:
            self._pidfds.rearm(entry[0].pidfd, key)

    def _close_if_idle_soon(self) -> None:
        if not self._closing and self.is_idle and not self.loop.is_closed():
            self._closing = True
            self.loop.call_soon(self._close_if_idle)

    def _sign_off(self) -> bool:
        """Whether it was in the table until now."""
        held.discard(self)
        reference = hubs.get(id(self.loop))
        if reference is None or reference() not in (self, None):  # None where the collector took hub and seat at once
            return False
        del hubs[id(self.loop)]
        return True

    def _close_if_idle(self) -> None:
        self._closing = False
        if not self._stays and self.is_idle and self._sign_off():
            _reaper.dismiss(self)  # first: its tripwire goes with its reader
            self.loop.remove_reader(self._pidfds.fileno())
            self.close()

    def expect(self, who: Impatient) -> None:
        """Have its `come_due()` called in some milliseconds (`_moment` says how many), unless that is taken back."""
        if self._moment.add(who):
            self._moment.set_timer(self.loop, self._pidfds if self._stays else None)

    def expect_no_more(self, who: Impatient) -> None:
        """It does not wait any more."""
        self._moment.discard(who)

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

    def forget(self) -> None:
        """In a forked child none of these is a child of it."""
        self._children.clear()
        self._heard.clear()
        self._starts.clear()
        self.close()

    # --- for the reaper, in its thread

    def fileno(self) -> int:
        """Readable while something waits to be heard, -1 if something was found otherwise; ValueError if closed."""
        number = self._pidfds.fileno()
        return -1 if self._pidfds.is_left() else number

    def unheard(self) -> list[Child]:
        """Children that the loop has not heard of."""
        return [child for child, _ in tuple(self._children.values())]

    def reap_unheard(self, child: Child, status: ExitStatus) -> None:
        """Reap one of those; the loop will find that somebody has, and the status in the ledger (`settled`)."""
        with reaping.lock:
            child.reap_unheard(status)

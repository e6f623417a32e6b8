"""The event loop's own part: what runs when, and the methods that every callback goes through.

Theory of operation. `NativeEventLoop` (loops/) is this class and asyncio's loop for Unix, in this order: what is here
is ours, what is not is asyncio's, such as run_forever(), which calls `_run_once()` in a loop. Ours comes back only when
the loop was stopped.

*A round* is what a pass of asyncio's is: look at descriptors; run what was ready then; then, at once, the callbacks of
descriptors that the look found ready, then those of timers that were due at its time. What any of them queues is for
the next round, a timer that is due already, too. So all goes in asyncio's order: what was queued before the look, what
the look found, timers, and only then what those queued. Rejected: to put what was found into the queue when the others
have run. It was behind what these had queued, and the next look found it again. A transport is told of its event in the
same place, without a handle (in debug mode it has one, for slow callbacks are measured by that).

*Stopping*: as in asyncio, a round in which the loop is stopped is run to its end, and what became ready in it is left
for the next run.

*How often descriptors are looked at* while there is always something ready: after each round in which 32 callbacks or
more have run since the last look, or 50 microseconds have gone by, and once in every run. (The clock is not read in
every round while they are short; so a callback that is suddenly long may have three others before the next look.)
asyncio looks in each pass, so that a chain of callbacks, each of which queues the next, makes a system call for each of
them. docs/design/native.md has what that costs an incoming byte.

*Other threads* ask for the GIL, and whoever runs bytecode gives it up when 5 ms have gone by (sys.getswitchinterval()).
For callbacks that are compiled, and so never run any, a look runs a little, once a millisecond. Rejected: to let go of
the GIL for the moment of each look. One that lets go and takes it again at once wakes those who wait, who then begin to
wait anew: where that happened every 5 ms, none of them ever got it.

*Signals*: Python's handlers run in callbacks that are Python, and between rounds for the others.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._core is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import PyErr_CheckSignals, lw_now
from cython.cimports.loopwright._native._descriptors import Callbacks, WatchingLoop
from cython.cimports.loopwright._native._handles import Handle, TimerHandle
from cython.cimports.loopwright._native._poller import Watcher

#: Callbacks, and seconds, after which descriptors are looked at though more callbacks are ready.
LOOK_AFTER = cython.declare(cython.long, 32)
LOOK_AFTER_TIME = cython.declare(cython.double, 50e-6)
#: Rounds for which the clock is not read again, where those before took less than so many seconds: to read it takes as
#: long as a short callback.
UNCLOCKED = cython.declare(cython.int, 4)
SHORT = cython.declare(cython.double, 8e-6)
#: Room for more timers than this is given back when none is left.
MANY_TIMERS = cython.declare(cython.Py_ssize_t, 16384)
#: For `looked_at`: just now. The clock is read when somebody has to know.
UNKNOWN = cython.declare(cython.double, -1.0)
#: Seconds after which bytecode is run, for those who wait for the GIL.
GIVE_WAY_AFTER = cython.declare(cython.double, 0.001)
_bytecode = cython.declare(object, eval("lambda: None"))  # noqa: S307 - or it would be compiled like the rest


@cython.cclass
class LoopCore(WatchingLoop):
    def stop(self):
        self._stopping = True

    def is_running(self):
        return self._thread_id is not None

    def is_closed(self):
        return self._closed

    def get_debug(self):
        return self._debug

    def _run_once(self):
        """Run until the loop is stopped; one round, if whoever calls has not begun a run."""
        ready = self.ready
        self.since_look = LOOK_AFTER
        self.now = self.gave_way_at = lw_now()
        ready.running = True
        try:
            self.run_rounds()
        finally:
            ready.rest()

    def run_rounds(self):
        ready = self.ready
        before: cython.double
        unclocked: cython.int
        timers: cython.ulonglong
        while True:
            self.unclocked -= 1
            if self.since_look >= LOOK_AFTER or ready.first == ready.end or self._stopping:
                self.look()
            elif self.unclocked <= 0:
                before = self.now
                self.now = lw_now()
                unclocked = UNCLOCKED if before == UNKNOWN or self.now - before < SHORT else 0
                self.unclocked = unclocked
                if self.looked_at == UNKNOWN:
                    self.looked_at = self.now
                if self.now - self.looked_at >= LOOK_AFTER_TIME:
                    self.look()
                    self.unclocked = unclocked  # with callbacks that take long, there is a look after each
            timers = self.timers.serial
            if ready.first != ready.end:
                self.run_ready()
            if self.poller.next_found < self.poller.n_found:
                self.pass_on_events()
            if self.timers.size:
                self.pass_on_timers(timers)
            if self._stopping or self._thread_id is None:
                return 0
            PyErr_CheckSignals()

    def look(self):
        """Ask what descriptors are ready; if nothing else is to do, wait."""
        timeout: cython.double = 0.0
        if self.poller.next_found < self.poller.n_found:  # a run that ended early has left some
            return 0
        if self.ready.first == self.ready.end and not self._stopping:
            self.ready.shrink()
            self.ready.contexts.rest()
            timeout = -1.0
            if self.timers.size:
                timeout = max(self.timers.entries[0].when - lw_now(), 0.0)
            elif self.timers.capacity > MANY_TIMERS:
                self.timers.shrink()
        self.poller.look(timeout)
        self.unclocked -= 1
        if not self.timers.size and (self.poller.waited or self.unclocked > 0):
            self.now = self.looked_at = UNKNOWN
        else:
            self.now = self.looked_at = lw_now()
            self.unclocked = UNCLOCKED
            if self.poller.waited:
                self.gave_way_at = self.looked_at
            elif self.looked_at - self.gave_way_at >= GIVE_WAY_AFTER:
                self.gave_way_at = self.looked_at
                _bytecode()
        self.since_look = 0
        return 0

    def run_ready(self):
        """Run what is ready now, and not what that makes ready."""
        ready = self.ready
        handle: cython.pointer(PyObject)
        left: cython.size_t = ready.end - ready.first
        self.since_look += left
        while left:
            left -= 1
            if ready.first == ready.end:  # the loop was closed by one of them, or what is ready was cleared
                break
            handle = ready.pop()
            try:
                if not cython.cast(Handle, handle)._cancelled:
                    if self._debug:
                        self.run_in_debug(cython.cast(Handle, handle))
                    else:
                        cython.cast(Handle, handle).run()
            finally:
                ready.let_go(handle)
        return 0

    def pass_on_events(self):
        events: uint32_t = 0
        watcher: Watcher = None
        while True:
            try:
                while True:
                    watcher = self.poller.next_ready(cython.address(events))
                    if watcher is None:
                        return 0
                    if self._debug and not isinstance(watcher, Callbacks):
                        self.run_now(self.new_handle(watcher._on_events, (events,), None))
                    else:
                        watcher.on_events(events)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # around the loop and not within it, which is free
                self.call_exception_handler({"message": f"Exception in {watcher!r}", "exception": error})

    def pass_on_timers(self, limit):
        """Run what is due, up to the timer of this number: those that were made since are for the next round, also if
        their time has long gone by. One that is behind, and sets itself again and again, must not keep the loop."""
        now: cython.double = self.now  # which a callback's own run of the loop may change
        handle: TimerHandle
        late: list = None
        try:
            while self.timers.size and self.timers.entries[0].when <= now:
                if self.timers.entries[0].serial < limit:
                    self.run_now(self.timers.pop())
                else:
                    late = [] if late is None else late
                    late.append(self.timers.pop())
        finally:
            if late is not None:
                for handle in late:
                    if not handle._cancelled:
                        self.timers.push(handle)
        return 0

    def _release(self):
        """The loop is closed: give back what the kernel has of it."""
        self.poller.close()

"""The event loop's own part: what runs when, and the methods that every callback goes through.

Theory of operation. `NativeEventLoop` (loops/) is this class and asyncio's loop for Unix, in this order: what is here
is ours, what is not is asyncio's, such as run_forever(), which calls `_run_once()` in a loop. Ours comes back only when
the loop was stopped.

*A round* is what a pass of asyncio's is: look at descriptors; run what was ready then; then, at once, the callbacks of
descriptors that the look found ready, then those of timers that were due at its time. What any of them queues is for
the next round. So all goes in asyncio's order: what was queued before the look, what the look found, timers, and only
then what those queued. Rejected: to put what was found into the queue when the others have run. It was behind what
these had queued, and the next look found it again. A transport is told of its event in the same place, without a handle
(in debug mode it has one, for slow callbacks are measured by that).

*Stopping*: as in asyncio, a round in which the loop is stopped is run to its end, and what became ready in it is left
for the next run.

*How often descriptors are looked at* while there is always something ready: after each round in which 32 callbacks or
more have run since the last look, or 50 microseconds have gone by, and once in every run. asyncio looks in each pass,
so that a chain of callbacks, each of which queues the next, makes a system call for each of them. docs/design/native.md
has what that costs an incoming byte.

*Other threads* ask for the GIL, and whoever runs bytecode gives it up when 5 ms have gone by (sys.getswitchinterval()).
For callbacks that are compiled, and so never run any, a look runs a little, once a millisecond. Rejected: to let go of
the GIL for the moment of each look. One that lets go and takes it again at once wakes those who wait, who then begin to
wait anew: where that happened every 5 ms, none of them ever got it.

*Signals*: Python's handlers run in callbacks that are Python, and between rounds for the others.
"""

import asyncio
import sys
from asyncio import format_helpers

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._core is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    PyContext_CopyCurrent,
    PyErr_CheckSignals,
    lw_now,
)
from cython.cimports.loopwright._native._handles import Handle, ThreadSafeHandle, TimerHandle, TimerHeap
from cython.cimports.loopwright._native._poller import Poller, Watcher
from cython.cimports.loopwright._native._ready import ReadyQueue

#: Callbacks, and seconds, after which descriptors are looked at though more callbacks are ready.
LOOK_AFTER = cython.declare(cython.long, 32)
LOOK_AFTER_TIME = cython.declare(cython.double, 50e-6)
#: Seconds after which bytecode is run, for those who wait for the GIL.
GIVE_WAY_AFTER = cython.declare(cython.double, 0.001)
_bytecode = cython.declare(object, eval("lambda: None"))  # noqa: S307 - or it would be compiled like the rest
#: Bytes: what is read at once. A larger one is no faster, and one per loop costs little.
SCRATCH = cython.declare(cython.Py_ssize_t, 262144)

_has_threadsafe = cython.declare(cython.bint, hasattr(asyncio.events, "_ThreadSafeHandle"))
#: Where asyncio looks these up at each call, so that what a program puts there is obeyed.
_of_futures = cython.declare(dict, vars(asyncio.futures))
_of_tasks = cython.declare(dict, vars(asyncio.tasks))
_asyncio_create_task = cython.declare(object, asyncio.BaseEventLoop.create_task)


@cython.cclass
class Callbacks(Watcher):
    """The callbacks of add_reader() and add_writer() for a descriptor."""

    def on_events(self, events):
        # An error or a hang-up is everybody's: whoever reads or writes next is told which.
        reader: Handle = self.reader
        writer: Handle = self.writer  # that of now: what the reader's callback sets is for another event
        if reader is not None and events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP):
            self.loop.run_now(reader)
        if writer is not None and events & (EPOLLOUT | EPOLLERR | EPOLLHUP):
            self.loop.run_now(writer)
        return 0

    def wanted(self):
        """The events that somebody is to be told of."""
        return (EPOLLIN if self.reader is not None else 0) | (EPOLLOUT if self.writer is not None else 0)

    def settle(self):
        """For `SockCallbacks`: the number counts from here on, whatever socket it is."""
        return 0

    def leave(self, _direction):
        """For `SockCallbacks`: nobody waits for this any longer. Whether somebody did."""
        return False


@cython.cclass
class LoopCore:
    def __cinit__(self):
        self._closed = True  # until asyncio's __init__(): what was never made has nothing for __del__() to close
        self.ready = ReadyQueue.__new__(ReadyQueue)
        self.timers = TimerHeap.__new__(TimerHeap)
        self.poller = Poller.__new__(Poller)
        self.scratch = cython.cast(cython.p_char, PyMem_Malloc(SCRATCH))
        if self.scratch == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.scratch)

    # Callbacks

    def call_soon(self, callback, *args, context=None):
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._debug:
            self.check(callback, "call_soon", True)
        handle = self.new_handle(callback, args, context)
        self.ready.push(handle)
        return handle

    def call_soon_threadsafe(self, callback, *args, context=None):
        handle: Handle
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._debug:
            self.check(callback, "call_soon_threadsafe", False)
        if _has_threadsafe:
            handle = ThreadSafeHandle.__new__(ThreadSafeHandle)
            self.fill(handle, callback, args, context)
        else:
            handle = self.new_handle(callback, args, context)
        self.ready.push(handle)
        if self.poller.sleeping:
            self.poller.wake()
        return handle

    def call_later(self, delay, callback, *args, context=None):
        if delay is None:
            raise TypeError("delay must not be None")
        seconds: cython.double = delay
        return self.new_timer(lw_now() + seconds, callback, args, context)

    def call_at(self, when, callback, *args, context=None):
        if when is None:
            raise TypeError("when cannot be None")
        return self.new_timer(when, callback, args, context)

    def new_handle(self, callback, args, context):
        handle: Handle = Handle.__new__(Handle)
        self.fill(handle, callback, args, context)
        return handle

    def new_timer(self, when, callback, args, context):
        if when != when:
            raise ValueError("the time of a timer is not a number (NaN): it would never come")
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._debug:
            self.check(callback, "call_at", True)
        handle: TimerHandle = TimerHandle.__new__(TimerHandle)
        handle._when = when
        handle.position = -1
        self.fill(handle, callback, args, context)
        self.timers.push(handle)
        return handle

    def fill(self, handle, callback, args, context):
        handle._callback = callback
        handle._args = args
        handle._context = PyContext_CopyCurrent() if context is None else context
        handle._loop = self
        if self._debug:
            handle._source_traceback = format_helpers.extract_stack(sys._getframe(0))
        return 0

    def check(self, callback, method, thread):
        if thread:
            self._check_thread()
        self._check_callback(callback, method)
        return 0

    def time(self):
        return lw_now()

    def _add_callback(self, handle):
        """Queue a handle of asyncio's own, such as a signal's."""
        if not handle._cancelled:
            self.ready.push(self.new_handle(handle._run, (), None))

    def _timer_handle_cancelled(self, handle):
        raise TypeError(f"{handle!r} is not a timer of this loop")

    def _write_to_self(self):
        self.poller.wake()

    # Futures and tasks

    def create_future(self):
        return _of_futures["Future"](loop=self)

    def create_task(self, coro, **options):
        if self._task_factory is not None or self._debug or self._closed:
            return _asyncio_create_task(self, coro, **options)
        kind = _of_tasks["Task"]
        return kind(coro, loop=self, **options) if options else kind(coro, loop=self)

    def get_task_factory(self):
        return self._task_factory

    # Running

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
        now: cython.double = 0.0
        self.since_look = LOOK_AFTER
        self.gave_way_at = lw_now()
        while True:
            if (
                self.since_look >= LOOK_AFTER
                or ready.first == ready.end
                or self._stopping
                or lw_now() - self.looked_at >= LOOK_AFTER_TIME
            ):
                self.look()
            if self.timers.size:
                now = lw_now()
            if ready.first != ready.end:
                self.run_ready()
            if self.poller.next_found < self.poller.n_found:
                self.pass_on_events()
            if self.timers.size and now:
                self.pass_on_timers(now)
            now = 0.0
            if self._stopping or self._thread_id is None:
                break
            PyErr_CheckSignals()

    def look(self):
        """Ask what descriptors are ready; if nothing else is to do, wait."""
        timeout: cython.double = 0.0
        if self.poller.next_found < self.poller.n_found:  # a run that ended early has left some
            return 0
        if self.ready.first == self.ready.end and not self._stopping:
            self.ready.shrink()
            timeout = -1.0
            if self.timers.size:
                timeout = max(self.timers.entries[0].when - lw_now(), 0.0)
        self.poller.look(timeout)
        self.looked_at = lw_now()
        if timeout != 0:
            self.gave_way_at = self.looked_at
        elif self.looked_at - self.gave_way_at >= GIVE_WAY_AFTER:
            self.gave_way_at = self.looked_at
            _bytecode()
        self.since_look = 0
        return 0

    def run_ready(self):
        """Run what is ready now, and not what that makes ready."""
        ready = self.ready
        handle: Handle
        left: cython.size_t = ready.end - ready.first
        self.since_look += left
        while left:
            left -= 1
            if ready.first == ready.end:  # the loop was closed by one of them, or what is ready was cleared
                break
            handle = ready.pop()
            if not handle._cancelled:
                if self._debug:
                    self.run_in_debug(handle)
                else:
                    handle.run()
        return 0

    def run_now(self, handle):
        """Run what an event or a timer has made ready, past the queue: in it, it would be behind what those have queued
        that were ready before it."""
        if handle._cancelled:
            return 0
        return self.run_in_debug(handle) if self._debug else handle.run()

    def run_in_debug(self, handle):
        began: cython.double = lw_now()
        took: cython.double
        self._current_handle = handle
        try:
            handle.run()
            took = lw_now() - began
            if took >= self.slow_callback_duration:
                asyncio.base_events.logger.warning(
                    "Executing %s took %.3f seconds", asyncio.base_events._format_handle(handle), took
                )
        finally:
            self._current_handle = None
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

    def pass_on_timers(self, now):
        while self.timers.size and self.timers.entries[0].when <= now:
            self.run_now(self.timers.pop())
        return 0

    def _release(self):
        """The loop is closed: give back what the kernel has of it."""
        self.poller.close()

    # Descriptors

    def watched(self):
        """Of each descriptor that is watched: its number, the events (of `selectors`), and who is told."""
        watcher: Watcher
        found = []
        for entry in self.poller.table:
            if entry is not None:
                watcher = entry
                data = (entry.reader, entry.writer) if isinstance(entry, Callbacks) else entry
                wanted: uint32_t = watcher.events
                if isinstance(entry, Callbacks):
                    wanted = cython.cast(Callbacks, entry).wanted()
                events = (1 if wanted & EPOLLIN else 0) | (2 if wanted & EPOLLOUT else 0)
                if events:
                    found.append((watcher.fd, events, data))
        return found

    def callbacks_of(self, fd):
        watcher = self.poller.at(fd)
        if isinstance(watcher, Callbacks):
            callbacks: Callbacks = watcher
            callbacks.settle()
            return callbacks
        made: Callbacks = Callbacks.__new__(Callbacks)
        made.fd = fd
        made.loop = self
        return made

    def add_reader(self, fd, callback, *args):
        self._ensure_fd_no_transport(fd)
        self._add_reader(fd, callback, *args)

    def add_writer(self, fd, callback, *args):
        self._ensure_fd_no_transport(fd)
        self._add_writer(fd, callback, *args)

    def _add_reader(self, fd, callback, *args, context=None):
        if self._closed:
            raise RuntimeError("Event loop is closed")
        callbacks = self.callbacks_of(_number(fd))
        handle = self.new_handle(callback, args, context)
        before = callbacks.reader
        callbacks.leave(EPOLLIN)
        self.poller.watch_anew(callbacks, callbacks.wanted() | EPOLLIN)
        callbacks.reader = handle
        if before is not None:
            before.cancel()
        return handle

    def _add_writer(self, fd, callback, *args, context=None):
        if self._closed:
            raise RuntimeError("Event loop is closed")
        callbacks = self.callbacks_of(_number(fd))
        handle = self.new_handle(callback, args, context)
        before = callbacks.writer
        callbacks.leave(EPOLLOUT)
        self.poller.watch_anew(callbacks, callbacks.wanted() | EPOLLOUT)
        callbacks.writer = handle
        if before is not None:
            before.cancel()
        return handle

    def _remove_reader(self, fd):
        if self._closed:
            return False
        callbacks = self.callbacks_of(_number(fd))
        reader = callbacks.reader
        waited: cython.bint = callbacks.leave(EPOLLIN)
        callbacks.reader = None
        self.poller.watch(callbacks, callbacks.wanted())
        if reader is None:
            return waited
        reader.cancel()
        return True

    def _remove_writer(self, fd):
        if self._closed:
            return False
        callbacks = self.callbacks_of(_number(fd))
        writer = callbacks.writer
        waited: cython.bint = callbacks.leave(EPOLLOUT)
        callbacks.writer = None
        self.poller.watch(callbacks, callbacks.wanted())
        if writer is None:
            return waited
        writer.cancel()
        return True


@cython.cfunc
@cython.exceptval(-1)
def _number(fd) -> cython.int:
    """A descriptor's number, of what `selectors` takes for one, and with its errors."""
    number: cython.int
    if type(fd) is not int:
        if isinstance(fd, int):
            number = fd
        else:
            try:
                number = int(fd.fileno())
            except (AttributeError, TypeError, ValueError):
                raise ValueError(f"Invalid file object: {fd!r}") from None
    else:
        number = fd
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    return number

"""How a callback, a timer, a future or a task gets into the loop, and how a callback is run there."""

import asyncio
import sys
from asyncio import format_helpers

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._calls is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
from cython.cimports.cpython.object import PyObject
from cython.cimports.loopwright._native._asyncio import (
    PyContext_CopyCurrent,
    PyTypeObject,
    inquiry,
    lw_now,
    lw_reraise,
)
from cython.cimports.loopwright._native._call_soon import lw_install_call_soon, lw_soon
from cython.cimports.loopwright._native._handles import Handle, HandleLoop, ThreadSafeHandle, TimerHandle, show
from cython.cimports.loopwright._native._poller import Poller
from cython.cimports.loopwright._native._ready import ReadyQueue
from cython.cimports.loopwright._native._timers import TimerHeap

#: Bytes: what is read at once. A larger one is no faster, and one per loop costs little.
SCRATCH = cython.declare(cython.Py_ssize_t, 262144)

_has_threadsafe = cython.declare(cython.bint, hasattr(asyncio.events, "_ThreadSafeHandle"))
#: Where asyncio looks these up at each call, so that what a program puts there is obeyed.
_of_futures = cython.declare(dict, vars(asyncio.futures))
_of_tasks = cython.declare(dict, vars(asyncio.tasks))
_asyncio_create_task = cython.declare(object, asyncio.BaseEventLoop.create_task)


@cython.cclass
class CallingLoop(HandleLoop):
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

    # For who looks in. asyncio's __init__() puts queues of its own under two of these names, and they stay unused.

    @property
    def _ready(self):
        return self.ready

    @_ready.setter
    def _ready(self, queue):
        """Nothing: there is one."""

    @property
    def _scheduled(self):
        return self.timers

    @_scheduled.setter
    def _scheduled(self, heap):
        """Nothing: there is one."""

    @property
    def _poller(self):
        return self.poller

    # Callbacks. call_soon() is `_soon()`, below.

    def call_soon_threadsafe(self, callback, *args, context=None):
        handle: Handle
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._debug:
            self.check(callback, "call_soon_threadsafe", False)
        if _has_threadsafe:
            handle = ThreadSafeHandle.__new__(ThreadSafeHandle)
            self.fill(handle, callback, args, context)
            self.ready.push(handle)
        else:
            handle = self.queue(callback, args, context)
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

    def queue(self, callback, args, context):
        handle = self.ready.add(self, callback, args, context)
        if self._debug:
            handle._source_traceback = format_helpers.extract_stack(sys._getframe(0))
        return handle

    def new_handle(self, callback, args, context):
        """One that is run more than once: what it sets in its context, it finds there again."""
        handle: Handle = Handle.__new__(Handle)
        self.fill(handle, callback, args, PyContext_CopyCurrent() if context is None else context)
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
        if context is None:
            if self.ready.contexts.give(handle) < 0:
                lw_reraise()
        else:
            handle.context = context
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
            self.queue(handle._run, (), None)

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

    # Running one

    def run_now(self, handle):
        """Run what an event or a timer has made ready, past the queue: in it, it would be behind what those have queued
        that were ready before it."""
        if handle._cancelled:
            return 0
        return self.run_in_debug(handle) if self._debug else handle.run()

    def run_in_debug(self, handle):
        began: cython.double = lw_now()
        took: cython.double
        if handle.hidden:
            show(cython.cast(cython.pointer(PyObject), handle))
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


def _clear(loop):
    """The collector has found that nobody needs the loop: what it has goes. Somebody may find it all the same
    (gc.get_objects()), and Cython's own way would have left None where compiled code expects the queue.
    """
    cleared: CallingLoop = cython.cast(CallingLoop, loop)
    if cleared.ready is not None:
        cleared.ready.clear()
    if cleared.timers is not None:
        cleared.timers.clear()
    cleared._task_factory = None
    cleared._current_handle = None
    return 0


def _soon(loop, callback, args, context):
    """call_soon(), when its arguments are taken apart: _call_soon.h has why."""
    if loop._closed:
        raise RuntimeError("Event loop is closed")
    if loop._debug:
        loop.check(callback, "call_soon", True)
        return loop.queue(callback, args, context)
    return loop.ready.add(loop, callback, args, context)


cython.cast(cython.pointer(PyTypeObject), CallingLoop).tp_clear = cython.cast(inquiry, _clear)
lw_install_call_soon(cython.cast(cython.pointer(PyTypeObject), CallingLoop), cython.cast(lw_soon, _soon))

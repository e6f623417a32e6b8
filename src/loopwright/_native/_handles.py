"""What a loop's call_soon(), call_later() and call_at() give. The contexts that they run in are in `_contexts.py`.

Theory of operation. Handles are known to the garbage collector, and so are the lists that hold them: a loop that is
dropped unclosed takes its callbacks with it. What asyncio shows of its handles these show under the same names, and to
`isinstance()` they are asyncio's (`__class__`): a compiled class cannot inherit from one in Python that has slots of
its own. What is cold, `repr()` and comparisons, is borrowed from asyncio's classes, so that each Python's own words are
used.

*Handles the collector does not see.* Most are dropped at once by whoever queued them: then the queue has the only
reference, and the handle the only one to its arguments. A hundred thousand of these cost four times as much where the
collector walks them one by one, young generation after young generation. So when the next one is queued, and nobody
else has the one before it, it is hidden from the collector (`settle`), and the queue shows what it refers to among its
own references (`visit_hidden`). Whoever then hands one out has the collector look at it again (`show`), or a cycle
through it would never be found: the exception handler's report, debug mode's current handle, a queue that is looked at.
"""

import asyncio
import inspect
from asyncio import format_helpers
from threading import Event

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._handles is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.pythread import PyThread_get_thread_ident
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.loopwright._native._asyncio import (
    PyTypeObject,
    inquiry,
    lw_call,
    lw_call_handling,
    lw_enter,
    lw_fetch,
    lw_is_settled,
    lw_leave,
    lw_raise,
    lw_take_over_dealloc,
    lw_visit_settled,
)
from cython.cimports.loopwright._native._contexts import InContext, SharedContext

_says_debug = cython.declare(
    cython.bint, "debug" in inspect.signature(format_helpers._format_callback_source).parameters
)
_asyncio_handle = cython.declare(object, asyncio.Handle)
_asyncio_threadsafe = cython.declare(object, getattr(asyncio.events, "_ThreadSafeHandle", asyncio.Handle))
_asyncio_timer = cython.declare(object, asyncio.TimerHandle)


@cython.cclass
class HandleLoop:
    """What a handle has to know of its loop."""


@cython.cclass
class Handle(InContext):
    """A callback that was given to a loop, as `asyncio.Handle` describes it."""

    @property
    def __class__(self):
        return _asyncio_handle

    def run(self):
        """Call it, in its context. What it raises goes to the loop's exception handler, but for what ends a program."""
        shared: SharedContext = None
        result: cython.pointer(PyObject)
        context: cython.pointer(PyObject)
        exception = None
        if self.shares:
            shared = cython.cast(SharedContext, self.context)
            if shared.runner != cython.NULL:  # the loop was run within a callback
                shared = None
                self.own_context()
        if shared is not None:
            if shared.spare is None:
                shared.renew()
            shared.runner = cython.cast(cython.pointer(PyObject), self)
            context = cython.cast(cython.pointer(PyObject), shared.spare)
        else:
            context = cython.cast(cython.pointer(PyObject), self.context)
        if lw_enter(context) < 0:  # it is entered already, or no context at all; none that is shared
            return self.failed(lw_fetch())
        result = lw_call(self._callback, self._args)
        if result == cython.NULL:
            exception = lw_fetch()
            if lw_leave(context) < 0:
                lw_fetch()  # what the callback raised is what counts
        else:
            Py_DECREF(cython.cast(object, result))
            if lw_leave(context) < 0:  # the callback has entered another, by ways that are not Python's
                exception = lw_fetch()
        if shared is not None:
            shared.settle(self)
        return 0 if exception is None else self.failed(exception)

    def failed(self, exception):
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):
            return lw_raise(exception)
        if self.hidden:  # whoever is told of it may keep it
            show(cython.cast(cython.pointer(PyObject), self))
        loop = self._loop
        if _says_debug:
            told = format_helpers._format_callback_source(self._callback, self._args, debug=loop.get_debug())
        else:
            told = format_helpers._format_callback_source(self._callback, self._args)
        report = {"message": f"Exception in callback {told}", "exception": exception, "handle": self}
        if self._source_traceback:
            report["source_traceback"] = self._source_traceback
        lw_call_handling(loop, "call_exception_handler", report, exception)
        return 0

    def _run(self):
        if self._args is None:
            self.failed(TypeError("this handle has nothing to call: it is cancelled"))
        else:
            self.run()

    def cancel(self):
        self.withdraw()

    def withdraw(self):
        if not self._cancelled:
            self._cancelled = True
            if self._loop is not None and self._loop._debug:
                self._repr = repr(self)  # what it was, for a warning that it took long
            self._callback = None
            self._args = None
        return 0

    def cancelled(self):
        return self._cancelled

    @property
    def _context(self):
        return self.own_context()

    def get_context(self):
        return self.own_context()

    def _repr_info(self):
        return _asyncio_handle._repr_info(self)

    def __repr__(self):
        return _asyncio_handle.__repr__(self)


@cython.cclass
class ThreadSafeHandle(Handle):
    """What call_soon_threadsafe() gives from Python 3.14 on: another thread's cancel() and cancelled() wait for a
    callback that is under way (CPython gh-116720 and later). asyncio has a lock in each; here one is made when there is
    somebody to wait.
    """

    @property
    def __class__(self):
        return _asyncio_threadsafe

    def run(self):
        self.running = True
        self.thread = PyThread_get_thread_ident()  # not the loop's, if somebody calls _run()
        try:
            return Handle.run(self)
        finally:
            self.running = False
            if self.done is not None:
                self.done.set()

    def wait(self):
        if self.running and self.thread != PyThread_get_thread_ident():
            done = Event()
            if self.done is None:  # another thread may have come first while that was made
                self.done = done
            if self.running:  # or the callback have ended
                self.done.wait()
        return 0

    def cancel(self):
        self.wait()
        self.withdraw()

    def cancelled(self):
        self.wait()
        return self._cancelled


@cython.cclass
class Timers:
    """What a timer has to know of the heap that it is in."""

    def remove(self, _handle):
        raise NotImplementedError


@cython.cclass
class TimerHandle(Handle):
    """A callback that is due at a time of the loop's clock, as `asyncio.TimerHandle` describes it."""

    @property
    def __class__(self):
        return _asyncio_timer

    @property
    def _scheduled(self):
        return self.timers is not None

    def when(self):
        return self._when

    def cancel(self):
        if self.timers is not None:
            self.timers.remove(self)
        self.withdraw()

    def _repr_info(self):
        return _asyncio_timer._repr_info(self)

    def __hash__(self):
        return hash(self._when)

    def __eq__(self, other):
        return _asyncio_timer.__eq__(self, other)

    def __lt__(self, other):
        return _asyncio_timer.__lt__(self, other)

    def __le__(self, other):
        return _asyncio_timer.__le__(self, other)

    def __gt__(self, other):
        return _asyncio_timer.__gt__(self, other)

    def __ge__(self, other):
        return _asyncio_timer.__ge__(self, other)


def visit_hidden(handle, visit, arg):
    """Tell the collector what this one refers to, if it is hidden from it."""
    stop: cython.int = 0
    if lw_is_settled(handle):
        stop = lw_visit_settled(handle, visit, arg)
        if not stop:
            stop = lw_visit_settled(
                cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._args), visit, arg
            )
    return stop


_clear_itself = cython.declare(inquiry, cython.NULL)


def _clear(handle):
    """The collector has found that nobody needs it. Somebody may find it all the same, who then has a cancelled one."""
    cython.cast(Handle, handle)._cancelled = True
    cython.cast(Handle, handle).shares = False
    return cython.cast(inquiry, _clear_itself)(handle)


def _clear_timer(handle):
    cython.cast(TimerHandle, handle).timers = None  # and in the heap it stays, until that is emptied with the loop
    return _clear(handle)


_clear_itself = cython.cast(cython.pointer(PyTypeObject), Handle).tp_clear
cython.cast(cython.pointer(PyTypeObject), Handle).tp_clear = cython.cast(inquiry, _clear)
cython.cast(cython.pointer(PyTypeObject), ThreadSafeHandle).tp_clear = cython.cast(inquiry, _clear)
cython.cast(cython.pointer(PyTypeObject), TimerHandle).tp_clear = cython.cast(inquiry, _clear_timer)
lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), Handle))
lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), ThreadSafeHandle))
lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), TimerHandle))

"""What a loop's call_soon(), call_later() and call_at() give, and the heap of those that are due later.

Theory of operation. Handles are known to the garbage collector, and so are the lists that hold them: a loop that is
dropped unclosed takes its callbacks with it. What asyncio shows of its handles these show under the same names, and to
`isinstance()` they are asyncio's (`__class__`): a compiled class cannot inherit from one in Python that has slots of
its own. What is cold, `repr()` and comparisons, is borrowed from asyncio's classes, so that each Python's own words are
used.

The heap has four children to a node, which halves its depth: sifting is bound by what is fetched, not by comparing.
Deadlines stand in an array of C; the handles at the same positions in a list, where the collector finds them. Each
handle knows its position, so that to cancel one takes it out at once, in O(log n), and nothing is left to be skipped
later. Equal deadlines keep the order in which they came, by their serials, as asyncio's heap does not promise and
people expect.

*Handles the collector does not see.* Most are dropped at once by whoever queued them: then the queue has the only
reference, and the handle the only one to its context and its arguments. A hundred thousand of these cost four times as
much where the collector walks them one by one, young generation after young generation. So when the next one is queued,
and nobody else has the one before it, the collector is told to forget that (`settle`), and the queue shows what it
refers to among its own references (`visit_queued`). A context that is entered may be kept by others, so it is looked at
again from there on; so is one that goes (`_before_dealloc`).
"""

import asyncio
import inspect
from asyncio import format_helpers
from threading import Event, get_ident

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._handles is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
from cython.cimports.cpython.object import PyObject, traverseproc
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.loopwright._native._asyncio import (
    PyList_CheckExact,
    PyList_GET_ITEM,
    PyList_GET_SIZE,
    PyTypeObject,
    lw_call,
    lw_enter,
    lw_fetch,
    lw_is_settled,
    lw_leave,
    lw_move,
    lw_raise,
    lw_settle,
    lw_take_over_dealloc,
    lw_unsettle,
    lw_unsettle_borrowed,
    lw_visit_settled,
    quiet_traverse,
)

_says_debug = cython.declare(
    cython.bint, "debug" in inspect.signature(format_helpers._format_callback_source).parameters
)
_asyncio_handle = cython.declare(object, asyncio.Handle)
_asyncio_threadsafe = cython.declare(object, getattr(asyncio.events, "_ThreadSafeHandle", asyncio.Handle))
_asyncio_timer = cython.declare(object, asyncio.TimerHandle)


@cython.freelist(512)
@cython.cclass
class Handle:
    """A callback that was given to a loop, as `asyncio.Handle` describes it."""

    @property
    def __class__(self):
        return _asyncio_handle

    def run(self):
        """Call it, in its context. What it raises goes to the loop's exception handler, but for what ends a program."""
        context = self._context
        result: cython.pointer(PyObject)
        lw_unsettle(context)
        if lw_enter(context) < 0:  # it is entered already, or no context at all
            return self.failed(lw_fetch())
        result = lw_call(self._callback, self._args)
        if result == cython.NULL:
            exception = lw_fetch()
            if lw_leave(context) < 0:
                lw_fetch()  # what the callback raised is what counts
            return self.failed(exception)
        Py_DECREF(cython.cast(object, result))
        if lw_leave(context) < 0:  # the callback has entered another, by ways that are not Python's
            return self.failed(lw_fetch())
        return 0

    def failed(self, exception):
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):
            return lw_raise(exception)
        lw_unsettle(self)  # whoever is told of it may keep it
        loop = self._loop
        if _says_debug:
            told = format_helpers._format_callback_source(self._callback, self._args, debug=loop.get_debug())
        else:
            told = format_helpers._format_callback_source(self._callback, self._args)
        report = {"message": f"Exception in callback {told}", "exception": exception, "handle": self}
        if self._source_traceback:
            report["source_traceback"] = self._source_traceback
        loop.call_exception_handler(report)
        return 0

    def _run(self):
        if self._args is None:
            self.failed(TypeError("this handle has nothing to call: it is cancelled"))
        else:
            self.run()

    def cancel(self):
        if not self._cancelled:
            self._cancelled = True
            if self._loop.get_debug():
                self._repr = repr(self)  # what it was, for a warning that it took long
            self._callback = None
            self._args = None

    def cancelled(self):
        return self._cancelled

    def get_context(self):
        return self._context

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
        try:
            return Handle.run(self)
        finally:
            self.running = False
            if self.done is not None:
                self.done.set()

    def wait(self):
        if self.running and get_ident() != self._loop._thread_id:
            done = Event()
            if self.done is None:  # another thread may have come first while that was made
                self.done = done
            if self.running:  # or the callback have ended
                self.done.wait()
        return 0

    def cancel(self):
        self.wait()
        Handle.cancel(self)

    def cancelled(self):
        self.wait()
        return self._cancelled


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
        Handle.cancel(self)

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


@cython.final
@cython.cclass
class TimerHeap:
    """The timers of a loop, the earliest first."""

    def __cinit__(self):
        self.handles = []

    def __dealloc__(self):
        PyMem_Free(self.entries)

    def push(self, handle: TimerHandle):
        entry: Entry
        grown: cython.pointer(Entry)
        capacity: cython.Py_ssize_t
        if self.size == self.capacity:
            capacity = max(64, self.capacity * 2)
            grown = cython.cast(cython.pointer(Entry), PyMem_Realloc(self.entries, capacity * cython.sizeof(Entry)))
            if grown == cython.NULL:
                raise MemoryError
            self.entries = grown
            self.capacity = capacity
        if self.latest != cython.NULL:
            settle(self.latest)
        self.latest = cython.cast(cython.pointer(PyObject), handle)
        self.handles.append(handle)  # where the reference is counted; from here on it is only moved about
        entry.when = handle._when
        entry.serial = self.serial
        self.serial += 1
        self.size += 1
        handle.timers = self
        self.up(self.size - 1, entry, handle)
        return 0

    def pop(self):
        handle: TimerHandle = cython.cast(TimerHandle, PyList_GET_ITEM(self.handles, 0))
        self.remove(handle)
        return handle

    def remove(self, handle: TimerHandle):
        position: cython.Py_ssize_t = handle.position
        last: TimerHandle
        entry: Entry
        handle.position = -1
        handle.timers = None
        if self.latest == cython.cast(cython.pointer(PyObject), handle):
            self.latest = cython.NULL
        self.size -= 1
        last = cython.cast(TimerHandle, PyList_GET_ITEM(self.handles, self.size))
        if last is not handle:
            entry = self.entries[self.size]
            # Into the last place, from where the list then drops it; and the last one into the hole.
            lw_move(self.handles, self.size, cython.cast(cython.pointer(PyObject), handle))
            if position > 0 and _before(entry, self.entries[(position - 1) >> 2]):
                self.up(position, entry, last)
            else:
                self.down(position, entry, last)
        self.handles.pop()
        return 0

    def put(self, position, entry, handle):
        self.entries[position] = entry
        lw_move(self.handles, position, cython.cast(cython.pointer(PyObject), handle))
        handle.position = position

    def up(self, position, entry, handle):
        parent: cython.Py_ssize_t
        while position > 0:
            parent = (position - 1) >> 2
            if not _before(entry, self.entries[parent]):
                break
            self.put(position, self.entries[parent], cython.cast(TimerHandle, PyList_GET_ITEM(self.handles, parent)))
            position = parent
        self.put(position, entry, handle)

    def down(self, position, entry, handle):
        child: cython.Py_ssize_t
        least: cython.Py_ssize_t
        end: cython.Py_ssize_t
        while True:
            least = 4 * position + 1
            if least >= self.size:
                break
            end = min(least + 4, self.size)
            for child in range(least + 1, end):
                if _before(self.entries[child], self.entries[least]):
                    least = child
            if not _before(self.entries[least], entry):
                break
            self.put(position, self.entries[least], cython.cast(TimerHandle, PyList_GET_ITEM(self.handles, least)))
            position = least
        self.put(position, entry, handle)

    def clear(self):
        handles = self.handles
        self.handles = []
        self.latest = cython.NULL
        self.size = 0
        handle: TimerHandle
        for handle in handles:
            handle.position = -1
            handle.timers = None

    def __len__(self):
        return self.size

    def __iter__(self):
        return iter(sorted(self.handles))


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _before(one: Entry, other: Entry) -> cython.bint:
    return one.when < other.when or (one.when == other.when and one.serial < other.serial)


_traverse_itself = cython.declare(traverseproc, cython.NULL)


def settle(handle):
    """Leave it to its queue, if nobody else has it. By pointers: to name an object is to have it."""
    if lw_settle(handle):
        lw_settle(cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._context))
        lw_settle(cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._args))


def visit_queued(handles, visit, arg):
    """Tell the collector of what those refer to in a list that it does not look at."""
    slot: cython.Py_ssize_t
    stop: cython.int = 0
    handle: cython.pointer(PyObject)
    if not PyList_CheckExact(handles):  # the collector has cleared the queue, and somebody found it in gc.get_objects()
        return 0
    for slot in range(PyList_GET_SIZE(cython.cast(list, handles))):
        handle = PyList_GET_ITEM(cython.cast(list, handles), slot)
        if not lw_is_settled(handle):
            continue
        stop = lw_visit_settled(handle, visit, arg)
        if not stop:
            stop = lw_visit_settled(
                cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._context), visit, arg
            )
        if not stop:
            stop = lw_visit_settled(
                cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._args), visit, arg
            )
        if stop:
            break
    return stop


def _traverse(heap, visit, arg):
    """The heap's own references, and those of handles that only it has: tp_traverse, which Cython cannot be told."""
    stop: cython.int = cython.cast(quiet_traverse, _traverse_itself)(heap, visit, arg)
    if not stop:
        stop = visit_queued(cython.cast(cython.pointer(PyObject), cython.cast(TimerHeap, heap).handles), visit, arg)
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse
cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse = cython.cast(traverseproc, _traverse)


def _before_dealloc(handle):
    """CPython takes it for granted that the collector looks at a context that goes."""
    lw_unsettle_borrowed(cython.cast(cython.pointer(PyObject), cython.cast(Handle, handle)._context))


lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), Handle), _before_dealloc)
lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), ThreadSafeHandle), _before_dealloc)
lw_take_over_dealloc(cython.cast(cython.pointer(PyTypeObject), TimerHandle), _before_dealloc)

"""The queue of what is ready to run: first in, first out.

Theory of operation. A ring of references. The two ends count up for ever and are masked when they are used, so a full
ring and an empty one differ. All of it is done with the GIL held and no Python code in between.

Handles that only the queue has it shows to the collector itself: _handles.py has why and how. While the loop runs,
handles are queued hidden, and shown only when the next one is queued, or they have been run, and somebody else has them
by then: most are dropped at once, and are never seen by the collector at all.

*Used handles* that nobody else has are kept, empty and hidden, for the next callbacks: to make one anew and to free it
takes as long as all the rest of queueing and running a callback.

Any thread may push; only the loop's own may pop.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._ready is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
from cython.cimports.cpython.object import PyObject, traverseproc
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.loopwright._native._asyncio import (
    PyTypeObject,
    lw_has_weakrefs,
    lw_hide,
    lw_is_alone,
    lw_reraise,
    quiet_traverse,
    quiet_visit,
)
from cython.cimports.loopwright._native._contexts import Contexts
from cython.cimports.loopwright._native._handles import Handle, settle, show, visit_hidden

Slots = cython.typedef(cython.pointer(cython.pointer(PyObject)))
MOST_SPARE = cython.declare(cython.int, 1024)
LEAST = cython.declare(cython.size_t, 256)
#: A ring that a burst has made longer than this is given back when it is empty.
LONG = cython.declare(cython.size_t, 16384)


@cython.final
@cython.no_gc_clear  # the collector breaks cycles in what refers to the queue; whoever has it still may use it
@cython.cclass
class ReadyQueue:
    def __cinit__(self):
        self.contexts = Contexts.__new__(Contexts)
        self.resize(LEAST)

    def __dealloc__(self):
        while self.first != self.end:
            Py_DECREF(cython.cast(object, self.pop()))
        self.rest()
        PyMem_Free(self.slots)

    def add(self, loop, callback, args, context):
        """Queue a callback; the handle of it.

        By pointers here and where it is let go: a reference that is counted, and at once counted back, waits for the
        memory each time (the two are stores and loads of unlike widths from Python 3.12 on).
        """
        handle: cython.pointer(PyObject)
        if self.running and self.n_spare:
            self.n_spare -= 1
            handle = self.spare[self.n_spare]
        else:
            made: Handle = Handle.__new__(Handle)
            made._loop = loop
            Py_INCREF(made)
            handle = cython.cast(cython.pointer(PyObject), made)
        cython.cast(Handle, handle)._callback = callback
        cython.cast(Handle, handle)._args = args
        if context is None:
            if self.contexts.give(cython.cast(Handle, handle)) < 0:
                Py_DECREF(cython.cast(object, handle))
                lw_reraise()
        else:
            cython.cast(Handle, handle).context = context
        self.put(handle)
        return cython.cast(Handle, handle)

    def push(self, handle):
        Py_INCREF(handle)
        self.put(cython.cast(cython.pointer(PyObject), handle))
        return 0

    def put(self, handle):
        if self.end - self.first > self.mask:
            try:
                self.resize(2 * (self.mask + 1))
            except MemoryError:
                Py_DECREF(cython.cast(object, handle))
                raise
        self.settle_last()
        self.slots[self.end & self.mask] = handle
        self.end += 1
        return 0

    def settle_last(self):
        if self.end != self.first:
            settle(self.slots[(self.end - 1) & self.mask])

    def rest(self):
        """The loop stops: used handles would keep it alive, for each of them has it."""
        self.running = False
        self.settle_last()
        while self.n_spare:
            self.n_spare -= 1
            Py_DECREF(cython.cast(object, self.spare[self.n_spare]))

    def pop(self):
        """The next one, and the reference to it, for `let_go()`."""
        self.first += 1
        return self.slots[(self.first - 1) & self.mask]

    def let_go(self, handle):
        """It has been run: keep it for `add()`, or leave it to those who have it."""
        if not lw_is_alone(handle):
            if cython.cast(Handle, handle).hidden:
                show(handle)
        elif (
            self.running
            and type(cython.cast(object, handle)) is Handle
            and not lw_has_weakrefs(handle)
            and cython.cast(Handle, handle)._source_traceback is None
            and cython.cast(Handle, handle)._repr is None
            and not cython.cast(Handle, handle)._cancelled
        ):
            if not cython.cast(Handle, handle).hidden:
                cython.cast(Handle, handle).hidden = True
                lw_hide(handle)
            cython.cast(Handle, handle)._callback = None
            cython.cast(Handle, handle)._args = None
            cython.cast(Handle, handle).context = None
            cython.cast(Handle, handle).shares = False
            if self.running and self.n_spare < MOST_SPARE:  # what these let go of may have run a callback
                self.spare[self.n_spare] = handle
                self.n_spare += 1
                return 0
        Py_DECREF(cython.cast(object, handle))
        return 0

    def resize(self, length):
        """Into a ring of this length, which holds all there are. Nothing here runs the collector."""
        slots: Slots = cython.cast(Slots, PyMem_Malloc(length * cython.sizeof(cython.pointer(PyObject))))
        index: cython.size_t
        count: cython.size_t = self.end - self.first
        if slots == cython.NULL:
            raise MemoryError
        for index in range(count):
            slots[index] = self.slots[(self.first + index) & self.mask]
        PyMem_Free(self.slots)
        self.slots = slots
        self.first, self.end, self.mask = 0, count, length - 1
        return 0

    def shrink(self):
        """Nothing is ready: give back what a burst has needed."""
        if self.mask >= LONG:
            self.resize(LEAST)
        return 0

    def clear(self):
        left: cython.size_t = self.end - self.first
        while left and self.first != self.end:  # what is let go of may queue more, which is not meant
            left -= 1
            self.let_go(self.pop())

    def __len__(self):
        return self.end - self.first

    def __iter__(self):
        handle: Handle
        index: cython.size_t
        handles = []
        for index in range(self.first, self.end):
            handle = cython.cast(Handle, self.slots[index & self.mask])
            if handle.hidden:
                show(cython.cast(cython.pointer(PyObject), handle))
            handles.append(handle)
        return iter(handles)


_traverse_itself = cython.declare(traverseproc, cython.NULL)


def _traverse(queue, visit, arg):
    """The queue's own references, which Cython does not know of, and those of handles that only it has.

    Used ones that are kept are not shown: they have the loop, and that runs.
    """
    stop: cython.int = cython.cast(quiet_traverse, _traverse_itself)(queue, visit, arg)
    index: cython.size_t = cython.cast(ReadyQueue, queue).first
    handle: cython.pointer(PyObject)
    while not stop and index != cython.cast(ReadyQueue, queue).end:
        handle = cython.cast(ReadyQueue, queue).slots[index & cython.cast(ReadyQueue, queue).mask]
        index += 1
        stop = cython.cast(quiet_visit, visit)(handle, arg)
        if not stop:
            stop = visit_hidden(handle, visit, arg)
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse
cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse = cython.cast(traverseproc, _traverse)

"""The queue of what is ready to run: first in, first out.

Theory of operation. A ring of references in a Python list: the list is what makes them visible to the garbage
collector. The two ends count up for ever and are masked when they are used, so a full ring and an empty one differ. All
of it is done with the GIL held and no Python code in between, but for the moment where a ring that is full gets its
larger list: there the collector may run, and whatever it runs may push. So that list is made first, and then looked
whether it is still needed.

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

from cython.cimports.cpython.object import PyObject, traverseproc
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF, Py_XDECREF
from cython.cimports.loopwright._native._asyncio import (
    PyList_GET_ITEM,
    PyTypeObject,
    lw_has_weakrefs,
    lw_hide,
    lw_is_alone,
    lw_put,
    lw_take,
    lw_visit_settled,
    quiet_traverse,
)
from cython.cimports.loopwright._native._handles import Contexts, Handle, settle, show, visit_queued

MOST_SPARE = cython.declare(cython.int, 1024)
LEAST = cython.declare(cython.Py_ssize_t, 256)
#: A ring that a burst has made longer than this is given back when it is empty.
LONG = cython.declare(cython.Py_ssize_t, 16384)


@cython.final
@cython.cclass
class ReadyQueue:
    def __cinit__(self):
        self.slots = [None] * LEAST
        self.mask = LEAST - 1
        self.contexts = Contexts.__new__(Contexts)

    def __dealloc__(self):
        while self.n_spare:
            self.n_spare -= 1
            Py_XDECREF(self.spare[self.n_spare])

    def add(self, loop, callback, args, context):
        """Queue a callback; the handle of it."""
        handle: Handle
        if self.running and self.n_spare:
            self.n_spare -= 1
            handle = cython.cast(Handle, self.spare[self.n_spare])
            Py_DECREF(handle)  # the reference that was kept; the name has one
        else:
            handle = Handle.__new__(Handle)
            handle._loop = loop
        handle._callback = callback
        handle._args = args
        if context is None:
            self.contexts.give(handle)
        else:
            handle.context = context
        self.push(handle)
        return handle

    def push(self, handle):
        if self.end - self.first > self.mask:
            self.grow()
        self.settle_last()
        lw_put(self.slots, self.end & self.mask, handle)
        self.end += 1
        return 0

    def settle_last(self):
        if self.end != self.first:
            settle(PyList_GET_ITEM(self.slots, (self.end - 1) & self.mask))

    def let_go(self, handle):
        """It has been run: keep it for `add()`, or leave it to those who have it."""
        if not lw_is_alone(cython.cast(cython.pointer(PyObject), handle)):
            if handle.hidden:
                show(cython.cast(cython.pointer(PyObject), handle))
        elif (
            self.n_spare < MOST_SPARE
            and type(handle) is Handle
            and not lw_has_weakrefs(handle)
            and handle._source_traceback is None
            and handle._repr is None
            and not handle._cancelled
        ):
            if not handle.hidden:
                handle.hidden = True
                lw_hide(cython.cast(cython.pointer(PyObject), handle))
            handle._callback = None
            handle._args = None
            handle.context = None
            handle.shares = False
            if self.n_spare < MOST_SPARE:  # what these let go of may have run a callback
                Py_INCREF(handle)
                self.spare[self.n_spare] = cython.cast(cython.pointer(PyObject), handle)
                self.n_spare += 1
        return 0

    def pop(self):
        slot: cython.size_t = self.first & self.mask
        self.first += 1
        return lw_take(self.slots, slot)

    def grow(self):
        slots = [None] * (2 * (self.mask + 1))
        index: cython.size_t
        length: cython.size_t
        while self.end - self.first > self.mask:
            length = self.mask + 1
            if cython.cast(cython.size_t, len(slots)) != 2 * length:  # it has grown meanwhile, and is full again
                slots = [None] * (2 * length)
                continue
            old = self.slots
            for index in range(length):
                lw_put(slots, index, cython.cast(Handle, PyList_GET_ITEM(old, (self.first + index) & self.mask)))
            self.slots = slots
            self.first, self.end, self.mask = 0, length, 2 * length - 1
        return 0

    def shrink(self):
        if self.mask >= cython.cast(cython.size_t, LONG) and self.first == self.end:
            slots = [None] * LEAST
            if self.first == self.end:
                self.slots = slots
                self.first, self.end, self.mask = 0, 0, LEAST - 1

    def clear(self):
        self.settle_last()
        slots = [None] * LEAST
        old = self.slots
        self.slots = slots
        self.first, self.end, self.mask = 0, 0, LEAST - 1
        old.clear()

    def __len__(self):
        return self.end - self.first

    def __iter__(self):
        return iter([self.slots[(self.first + index) & self.mask] for index in range(self.end - self.first)])


_traverse_itself = cython.declare(traverseproc, cython.NULL)


def _traverse(queue, visit, arg):
    """As that of the heap of timers."""
    stop: cython.int = cython.cast(quiet_traverse, _traverse_itself)(queue, visit, arg)
    index: cython.int
    if not stop:
        stop = visit_queued(cython.cast(cython.pointer(PyObject), cython.cast(ReadyQueue, queue).slots), visit, arg)
    for index in range(cython.cast(ReadyQueue, queue).n_spare):  # each has the loop
        if stop:
            break
        stop = lw_visit_settled(cython.cast(ReadyQueue, queue).spare[index], visit, arg)
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse
cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse = cython.cast(traverseproc, _traverse)

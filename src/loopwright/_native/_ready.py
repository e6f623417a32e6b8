"""The queue of what is ready to run: first in, first out.

Theory of operation. A ring of references in a Python list: the list is what makes them visible to the garbage
collector. The two ends count up for ever and are masked when they are used, so a full ring and an empty one differ. All
of it is done with the GIL held and no Python code in between, but for the moment where a ring that is full gets its
larger list: there the collector may run, and whatever it runs may push. So that list is made first, and then looked
whether it is still needed.

Handles that only the queue has it shows to the collector itself: _handles.py has why and how.

Any thread may push; only the loop's own may pop.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._ready is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import traverseproc
from cython.cimports.loopwright._native._asyncio import (
    PyList_GET_ITEM,
    PyTypeObject,
    lw_put,
    lw_take,
    quiet_traverse,
)
from cython.cimports.loopwright._native._handles import Handle, settle, visit_queued

LEAST = cython.declare(cython.Py_ssize_t, 256)
#: A ring that a burst has made longer than this is given back when it is empty.
LONG = cython.declare(cython.Py_ssize_t, 16384)


@cython.final
@cython.cclass
class ReadyQueue:
    def __cinit__(self):
        self.slots = [None] * LEAST
        self.mask = LEAST - 1

    def push(self, handle):
        if self.end - self.first > self.mask:
            self.grow()
        if self.end != self.first:
            settle(PyList_GET_ITEM(self.slots, (self.end - 1) & self.mask))
        lw_put(self.slots, self.end & self.mask, handle)
        self.end += 1
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
    if not stop:
        stop = visit_queued(cython.cast(cython.pointer(PyObject), cython.cast(ReadyQueue, queue).slots), visit, arg)
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse
cython.cast(cython.pointer(PyTypeObject), ReadyQueue).tp_traverse = cython.cast(traverseproc, _traverse)

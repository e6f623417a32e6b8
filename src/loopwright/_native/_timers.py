"""The heap of what is due later.

Theory of operation. The heap has four children to a node, which halves its depth: sifting is bound by what is fetched,
not by comparing. Deadlines stand in an array of C; the handles at the same positions in a list, where the collector
finds them. Each handle knows its position, so that to cancel one takes it out at once, in O(log n), and nothing is left
to be skipped later. Equal deadlines keep the order in which they came, by their serials, as asyncio's heap does not
promise and people expect.

Handles that only the heap has it shows to the collector itself: _handles.py has why and how.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._timers is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
from cython.cimports.cpython.object import PyObject, traverseproc
from cython.cimports.loopwright._native._asyncio import (
    PyList_CheckExact,
    PyList_GET_ITEM,
    PyList_GET_SIZE,
    PyTypeObject,
    lw_move,
    lw_put,
    lw_take,
    quiet_traverse,
)
from cython.cimports.loopwright._native._handles import TimerHandle, Timers, settle, show, visit_hidden


@cython.final
@cython.cclass
class TimerHeap(Timers):
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
            self.handles.extend([None] * (capacity - len(self.handles)))
            self.capacity = capacity
        if self.latest != cython.NULL:
            settle(self.latest)
        self.latest = cython.cast(cython.pointer(PyObject), handle)
        lw_put(self.handles, self.size, handle)  # the reference is counted here; from now on it is only moved about
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
            # Into the last place, from where it then goes; and the last one into the hole.
            lw_move(self.handles, self.size, cython.cast(cython.pointer(PyObject), handle))
            if position > 0 and _before(entry, self.entries[(position - 1) >> 2]):
                self.up(position, entry, last)
            else:
                self.down(position, entry, last)
        lw_take(self.handles, self.size)
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
        handles = self.handles[: self.size]
        self.shrink()
        handle: TimerHandle
        for handle in handles:
            handle.position = -1
            handle.timers = None

    def shrink(self):
        """Nothing is left: give back what many have needed."""
        self.handles = []
        PyMem_Free(self.entries)
        self.entries = cython.NULL
        self.latest = cython.NULL
        self.size = self.capacity = 0

    def __len__(self):
        return self.size

    def __iter__(self):
        handle: TimerHandle
        for handle in self.handles[: self.size]:
            if handle.hidden:
                show(cython.cast(cython.pointer(PyObject), handle))
        return iter(sorted(self.handles[: self.size]))


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _before(one: Entry, other: Entry) -> cython.bint:
    return one.when < other.when or (one.when == other.when and one.serial < other.serial)


_traverse_itself = cython.declare(traverseproc, cython.NULL)


def _traverse(heap, visit, arg):
    """The heap's own references, and those of handles that only it has: tp_traverse, which Cython cannot be told."""
    stop: cython.int = cython.cast(quiet_traverse, _traverse_itself)(heap, visit, arg)
    handles: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), cython.cast(TimerHeap, heap).handles)
    slot: cython.Py_ssize_t = 0
    if not PyList_CheckExact(handles):  # the collector has cleared the heap, and somebody found it in gc.get_objects()
        return stop
    while not stop and slot < PyList_GET_SIZE(cython.cast(list, handles)):
        stop = visit_hidden(PyList_GET_ITEM(cython.cast(list, handles), slot), visit, arg)
        slot += 1
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse
cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse = cython.cast(traverseproc, _traverse)

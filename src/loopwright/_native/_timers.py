"""The heap of what is due later.

Theory of operation. The heap has four children to a node, which halves its depth: sifting is bound by what is fetched,
not by comparing. Deadlines stand in an array of C, the handles at the same positions in another, which only the heap
can see: a list is found by whoever asks the collector for all there is, and emptied by it before the heap is gone. Each
handle knows its position, so that to cancel one takes it out at once, in O(log n), and nothing is left to be skipped
later. Equal deadlines keep the order in which they came, by their serials, as asyncio's heap does not promise and
people expect.

Handles that only the heap has it shows to the collector itself: _handles.py has why and how.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._timers is compiled code and does not run as plain Python")

from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
from cython.cimports.cpython.object import PyObject, traverseproc
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.loopwright._native._asyncio import PyTypeObject, quiet_traverse, quiet_visit
from cython.cimports.loopwright._native._handles import TimerHandle, Timers, settle, show, visit_hidden

Slots = cython.typedef(cython.pointer(cython.pointer(PyObject)))


@cython.final
@cython.no_gc_clear  # the collector breaks cycles in the loop; whoever finds the heap then may use it
@cython.cclass
class TimerHeap(Timers):
    """The timers of a loop, the earliest first."""

    def __dealloc__(self):
        self.empty()

    def push(self, handle: TimerHandle):
        entry: Entry
        if self.size == self.capacity:
            self.grow()
        if self.latest != cython.NULL:
            settle(self.latest)
        self.latest = cython.cast(cython.pointer(PyObject), handle)
        Py_INCREF(handle)  # the reference is counted here; from now on it is only moved about
        entry.when = handle._when
        entry.serial = self.serial
        self.serial += 1
        self.size += 1
        handle.timers = self
        self.up(self.size - 1, entry, cython.cast(cython.pointer(PyObject), handle))
        return 0

    def grow(self):
        capacity: cython.size_t = max(64, self.capacity * 2)
        entries: cython.pointer(Entry) = cython.cast(
            cython.pointer(Entry), PyMem_Realloc(self.entries, capacity * cython.sizeof(Entry))
        )
        if entries == cython.NULL:
            raise MemoryError
        self.entries = entries
        handles: Slots = cython.cast(
            Slots, PyMem_Realloc(self.handles, capacity * cython.sizeof(cython.pointer(PyObject)))
        )
        if handles == cython.NULL:
            raise MemoryError
        self.handles = handles
        self.capacity = capacity
        return 0

    def pop(self):
        handle: TimerHandle = cython.cast(TimerHandle, self.handles[0])
        self.remove(handle)
        return handle

    def remove(self, handle: TimerHandle):
        """Whoever calls has a reference of his own."""
        position: cython.Py_ssize_t = handle.position
        last: cython.pointer(PyObject)
        entry: Entry
        handle.position = -1
        handle.timers = None
        if self.latest == cython.cast(cython.pointer(PyObject), handle):
            self.latest = cython.NULL
        self.size -= 1
        last = self.handles[self.size]
        if last != cython.cast(cython.pointer(PyObject), handle):
            entry = self.entries[self.size]
            if position > 0 and _before(entry, self.entries[(position - 1) >> 2]):
                self.up(position, entry, last)
            else:
                self.down(position, entry, last)
        Py_DECREF(handle)
        return 0

    def put(self, position, entry, handle):
        self.entries[position] = entry
        self.handles[position] = handle
        cython.cast(TimerHandle, handle).position = position

    def up(self, position, entry, handle):
        parent: cython.Py_ssize_t
        while position > 0:
            parent = (position - 1) >> 2
            if not _before(entry, self.entries[parent]):
                break
            self.put(position, self.entries[parent], self.handles[parent])
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
            self.put(position, self.entries[least], self.handles[least])
            position = least
        self.put(position, entry, handle)

    def clear(self):
        self.empty()

    def empty(self):
        """What is let go of may run code, which looks at the heap and cancels others: it is empty by then."""
        handles: Slots = self.handles
        size: cython.Py_ssize_t = self.size
        position: cython.Py_ssize_t
        self.handles = cython.NULL
        self.shrink()
        for position in range(size):
            cython.cast(TimerHandle, handles[position]).position = -1
            cython.cast(TimerHandle, handles[position]).timers = None
        for position in range(size):
            Py_DECREF(cython.cast(object, handles[position]))
        PyMem_Free(handles)

    def shrink(self):
        """Nothing is left: give back what many have needed."""
        PyMem_Free(self.entries)
        PyMem_Free(self.handles)
        self.entries = cython.NULL
        self.handles = cython.NULL
        self.latest = cython.NULL
        self.size = self.capacity = 0

    def __len__(self):
        return self.size

    def __iter__(self):
        position: cython.Py_ssize_t
        handle: TimerHandle
        handles = []
        for position in range(self.size):
            handle = cython.cast(TimerHandle, self.handles[position])
            if handle.hidden:
                show(cython.cast(cython.pointer(PyObject), handle))
            handles.append(handle)
        return iter(sorted(handles))


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _before(one: Entry, other: Entry) -> cython.bint:
    return one.when < other.when or (one.when == other.when and one.serial < other.serial)


_traverse_itself = cython.declare(traverseproc, cython.NULL)


def _traverse(heap, visit, arg):
    """The heap's own references, and those of handles that only it has: tp_traverse, which Cython cannot be told."""
    stop: cython.int = cython.cast(quiet_traverse, _traverse_itself)(heap, visit, arg)
    handle: cython.pointer(PyObject)
    position: cython.Py_ssize_t = 0
    while not stop and position < cython.cast(TimerHeap, heap).size:
        handle = cython.cast(TimerHeap, heap).handles[position]
        position += 1
        stop = cython.cast(quiet_visit, visit)(handle, arg)
        if not stop:
            stop = visit_hidden(handle, visit, arg)
    return stop


_traverse_itself = cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse
cython.cast(cython.pointer(PyTypeObject), TimerHeap).tp_traverse = cython.cast(traverseproc, _traverse)

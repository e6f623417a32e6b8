from cpython.object cimport PyObject, visitproc

from loopwright._native._handles cimport TimerHandle, Timers

cdef struct Entry:
    double when
    unsigned long long serial

cdef class TimerHeap(Timers):
    cdef list handles
    cdef PyObject *latest         # what was pushed last, while it is there
    cdef Entry *entries
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef unsigned long long serial
    cdef int push(self, TimerHandle handle) except -1
    cdef TimerHandle pop(self)
    cdef void put(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cdef void up(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cdef void down(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cpdef void clear(self)
    cdef void shrink(self)

cdef int _traverse(PyObject *heap, visitproc visit, void *arg) noexcept

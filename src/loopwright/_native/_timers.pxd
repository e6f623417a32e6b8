from cpython.object cimport PyObject, visitproc

from loopwright._native._handles cimport TimerHandle, Timers

cdef struct Entry:
    double when
    unsigned long long serial

cdef class TimerHeap(Timers):
    cdef PyObject **handles       # to each of the entries, the heap's reference
    cdef PyObject *latest         # what was pushed last, while it is there
    cdef Entry *entries
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef unsigned long long serial
    cdef object nothing           # Cython tells the collector of a type only if it has an object in some field
    cdef int push(self, TimerHandle handle) except -1
    cdef int grow(self) except -1
    cdef TimerHandle pop(self)
    cdef void put(self, Py_ssize_t position, Entry entry, PyObject *handle) noexcept
    cdef void up(self, Py_ssize_t position, Entry entry, PyObject *handle) noexcept
    cdef void down(self, Py_ssize_t position, Entry entry, PyObject *handle) noexcept
    cpdef void clear(self)
    cdef void empty(self) noexcept
    cdef void shrink(self) noexcept

cdef int _traverse(PyObject *heap, visitproc visit, void *arg) noexcept

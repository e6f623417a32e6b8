from cpython.object cimport PyObject, visitproc

from loopwright._native._contexts cimport Contexts
from loopwright._native._handles cimport Handle, HandleLoop

cdef class ReadyQueue:
    cdef PyObject **slots
    cdef size_t first
    cdef size_t end
    cdef size_t mask
    cdef Contexts contexts
    cdef bint running             # whether what is hidden is sure to be looked at again
    cdef PyObject *spare[1024]    # handles that were used, and are empty but for the loop
    cdef int n_spare
    cdef Handle add(self, HandleLoop loop, object callback, tuple args, object context)
    cdef int push(self, Handle handle) except -1
    cdef int put(self, PyObject *handle) except -1
    cdef void settle_last(self) noexcept
    cdef void rest(self) noexcept
    cdef PyObject *pop(self) noexcept
    cdef int let_go(self, PyObject *handle) except -1
    cdef int resize(self, size_t length) except -1
    cpdef void clear(self)
    cdef int shrink(self) except -1

cdef int _traverse(PyObject *queue, visitproc visit, void *arg) noexcept

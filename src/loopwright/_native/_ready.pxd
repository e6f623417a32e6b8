from cpython.object cimport PyObject, visitproc

from loopwright._native._handles cimport Handle

cdef class ReadyQueue:
    cdef list slots
    cdef size_t first
    cdef size_t end
    cdef size_t mask
    cdef int push(self, Handle handle) except -1
    cdef Handle pop(self)
    cdef int grow(self) except -1
    cpdef void clear(self)
    cdef void shrink(self)

cdef int _traverse(PyObject *queue, visitproc visit, void *arg) noexcept

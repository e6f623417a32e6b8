from cpython.object cimport PyObject, visitproc

from loopwright._native._handles cimport Contexts, Handle, HandleLoop

cdef class ReadyQueue:
    cdef list slots
    cdef size_t first
    cdef size_t end
    cdef size_t mask
    cdef Contexts contexts
    cdef bint running             # whether what is hidden is sure to be looked at again
    cdef PyObject *spare[1024]
    cdef int n_spare
    cdef Handle add(self, HandleLoop loop, object callback, tuple args, object context)
    cdef void settle_last(self) noexcept
    cdef int let_go(self, Handle handle) except -1
    cdef int push(self, Handle handle) except -1
    cdef Handle pop(self)
    cdef int grow(self) except -1
    cpdef void clear(self)
    cdef void shrink(self)

cdef int _traverse(PyObject *queue, visitproc visit, void *arg) noexcept

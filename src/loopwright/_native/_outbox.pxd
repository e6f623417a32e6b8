cdef class Outbox:
    cdef readonly Py_ssize_t size
    cdef list chunks
    cdef Py_ssize_t first
    cdef Py_ssize_t offset
    cdef int append(self, bytes chunk, Py_ssize_t offset) except -1
    cdef Py_ssize_t send(self, int fd, bint socket) noexcept
    cdef int sent(self, Py_ssize_t size) except -1
    cdef int clear(self) except -1

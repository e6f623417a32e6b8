from libc.stdint cimport uint32_t

from loopwright._native._descriptors cimport Callbacks

cdef class Waiting:
    cdef object newest       # a future
    cdef list others
    cdef bint active
    cdef int add(self, object future) except -1
    cdef bint wake(self) except? -1
    cdef bint waits(self) noexcept
    cdef bint leave(self) except? -1

cdef class SockCallbacks(Callbacks):
    cdef object sock         # a weak reference
    cdef Waiting reading
    cdef Waiting writing
    cdef bint looked_twice
    cdef uint32_t wake_reading(self) except? 0xFFFFFFFF
    cdef uint32_t wake_writing(self) except? 0xFFFFFFFF
    cdef int wake_all(self) except -1
    cdef int want(self, uint32_t direction) except -1

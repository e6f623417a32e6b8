from loopwright._native._outbox cimport Outbox
from loopwright._native._pipes cimport PipeTransport

cdef class WritePipeTransport(PipeTransport):
    cdef Outbox outbox
    cdef bint listens   # whether the descriptor is readable when whoever reads is gone
    cdef Py_ssize_t send_now(self, const char *data, Py_ssize_t size) except -1
    cdef int flush(self) except -1
    cdef int write_failed(self, object error) except -1

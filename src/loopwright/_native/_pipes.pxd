from loopwright._native._outbox cimport Outbox
from loopwright._native._transport cimport Transport

cdef class PipeTransport(Transport):
    cdef bint socket
    cdef bint shared    # events come by way of the loop's callbacks: others may have this descriptor, too
    cdef bint ending    # connection_lost() is queued, or was called
    cdef int take(self, object loop, object pipe, object protocol, object extra, str kinds) except -1
    cdef bint would_wait(self) noexcept
    cdef int finish(self, object exception) except -1

cdef class ReadPipeTransport(PipeTransport):
    cdef public Py_ssize_t max_size
    cdef bint large
    cdef bytes read_some(self)
    cdef int read_end(self) except -1

cdef class WritePipeTransport(PipeTransport):
    cdef Outbox outbox
    cdef bint listens   # whether the descriptor is readable when whoever reads is gone
    cdef Py_ssize_t send_now(self, const char *data, Py_ssize_t size) except -1
    cdef int flush(self) except -1
    cdef int write_failed(self, object error) except -1

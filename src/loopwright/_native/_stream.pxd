from loopwright._native._outbox cimport Outbox
from loopwright._native._transport cimport Transport

cdef class StreamTransport(Transport):
    cdef Outbox outbox
    cdef readonly object _empty_waiter
    cdef bint buffered
    cdef bint large
    cdef int read_data(self) except -1
    cdef int read_into_buffer(self) except -1
    cdef int read_failed(self, int number) except -1
    cdef int read_end(self) except -1
    cdef int check_writable(self, str method) except -1
    cdef Py_ssize_t send_now(self, const char *data, Py_ssize_t size) except -1
    cdef int flush(self) except -1
    cdef int write_failed(self, int number) except -1
    cdef int written(self) except -1

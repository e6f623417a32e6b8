from loopwright._native._outbox cimport Outbox
from loopwright._native._stream_input cimport StreamInput

cdef class StreamTransport(StreamInput):
    cdef Outbox outbox
    cdef readonly object _empty_waiter
    cdef int check_writable(self, str method) except -1
    cdef Py_ssize_t send_now(self, const char *data, Py_ssize_t size) except -1
    cdef int write_buffer(self, object data) except -1
    cdef int keep(self, bytes data, Py_ssize_t done) except -1
    cdef int flush(self) except -1
    cdef int write_failed(self, int number) except -1
    cdef int written(self) except -1

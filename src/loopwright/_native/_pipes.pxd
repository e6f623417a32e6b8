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

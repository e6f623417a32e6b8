from loopwright._native._transport cimport Transport

cdef class StreamInput(Transport):
    cdef bint buffered
    cdef bint large
    cdef int read_data(self) except -1
    cdef int read_into_buffer(self) except -1
    cdef int read_failed(self, int number) except -1
    cdef int read_end(self) except -1

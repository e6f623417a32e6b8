from libc.stdint cimport uint32_t

from loopwright._native._calls cimport CallingLoop
from loopwright._native._handles cimport Handle
from loopwright._native._poller cimport Watcher

cdef class Callbacks(Watcher):
    cdef WatchingLoop loop
    cdef readonly Handle reader
    cdef readonly Handle writer
    cdef uint32_t wanted(self) noexcept
    cdef int settle(self) except -1
    cdef bint leave(self, uint32_t direction) except? -1

cdef class WatchingLoop(CallingLoop):
    cdef int check_free(self, object fd) except -1
    cdef Callbacks callbacks_of(self, int fd)

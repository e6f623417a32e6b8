from libc.stdint cimport uint32_t, uint64_t

from loopwright._native._asyncio cimport epoll_event

cdef class Watcher:
    cdef readonly int fd
    cdef readonly uint32_t events
    cdef uint32_t serial
    cdef int on_events(self, uint32_t events) except -1
    cdef int displaced(self) except -1

cdef class Poller:
    cdef readonly int epoll
    cdef int wakeup
    cdef bint waited              # in the last look, and gave up the GIL for it
    cdef int unasked
    cdef bint sleeping
    cdef readonly bint without_pwait2
    cdef unsigned long generation
    cdef uint32_t serial
    cdef uint64_t orphan
    cdef int orphans
    cdef int orphans_before
    cdef list table
    cdef epoll_event *found
    cdef int n_found
    cdef int next_found
    cdef int open(self) except -1
    cdef int watch(self, Watcher watcher, uint32_t events) except -1
    cdef int begin(self, Watcher watcher, uint32_t events) except -1
    cdef int watch_anew(self, Watcher watcher, uint32_t events) except -1
    cdef int control(self, int operation, Watcher watcher, uint32_t events) noexcept
    cdef int follow_fork(self) except -1
    cdef int count_orphans(self) except -1
    cdef void dropped(self, uint64_t data) noexcept
    cdef object at(self, int fd)
    cdef int look(self, double timeout) except -1
    cdef Watcher next_ready(self, uint32_t *events)
    cdef void wake(self)
    cdef void close(self)

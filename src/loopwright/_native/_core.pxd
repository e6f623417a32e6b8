from libc.stdint cimport uint32_t

from loopwright._native._handles cimport Handle, ThreadSafeHandle, TimerHandle, TimerHeap
from loopwright._native._poller cimport Poller, Watcher
from loopwright._native._ready cimport ReadyQueue

cdef class Callbacks(Watcher):
    cdef LoopCore loop
    cdef readonly Handle reader
    cdef readonly Handle writer
    cdef uint32_t wanted(self) noexcept
    cdef int settle(self) except -1
    cdef bint leave(self, uint32_t direction) except? -1

cdef class LoopCore:
    cdef readonly ReadyQueue ready
    cdef readonly TimerHeap timers
    cdef readonly Poller poller
    cdef char *scratch
    cdef long since_look
    cdef double looked_at
    cdef double gave_way_at
    cdef public bint _stopping
    cdef public bint _closed
    cdef public bint _debug
    cdef public object _thread_id
    cdef public object _task_factory
    cdef public object _current_handle
    cdef Handle new_handle(self, object callback, tuple args, object context)
    cdef int fill(self, Handle handle, object callback, tuple args, object context) except -1
    cdef TimerHandle new_timer(self, double when, object callback, tuple args, object context)
    cdef int check(self, object callback, str method, bint thread) except -1
    cdef int look(self) except -1
    cdef int run_ready(self) except -1
    cdef int run_in_debug(self, Handle handle) except -1
    cdef int pass_on_events(self) except -1
    cdef int pass_on_timers(self, double now) except -1
    cdef int run_now(self, Handle handle) except -1
    cdef Callbacks callbacks_of(self, int fd)

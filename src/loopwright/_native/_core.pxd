from loopwright._native._descriptors cimport WatchingLoop

cdef class LoopCore(WatchingLoop):
    cdef long since_look
    cdef double now               # when the clock was last read; timers go by it
    cdef double looked_at
    cdef int unclocked
    cdef double gave_way_at
    cdef public bint _stopping
    cdef int run_rounds(self) except -1
    cdef int look(self) except -1
    cdef int run_ready(self) except -1
    cdef int pass_on_events(self) except -1
    cdef int pass_on_timers(self, unsigned long long limit) except -1

from cpython.object cimport PyObject

from loopwright._native._handles cimport Handle, HandleLoop, ThreadSafeHandle, TimerHandle
from loopwright._native._poller cimport Poller
from loopwright._native._ready cimport ReadyQueue
from loopwright._native._timers cimport TimerHeap

cdef class CallingLoop(HandleLoop):
    cdef ReadyQueue ready
    cdef TimerHeap timers
    cdef Poller poller
    cdef char *scratch            # what transports read into
    cdef public bint _closed
    cdef public object _task_factory
    cdef public object _current_handle
    cdef Handle queue(self, object callback, tuple args, object context)
    cdef Handle new_handle(self, object callback, tuple args, object context)
    cdef int fill(self, Handle handle, object callback, tuple args, object context) except -1
    cdef TimerHandle new_timer(self, double when, object callback, tuple args, object context)
    cdef int check(self, object callback, str method, bint thread) except -1
    cdef int run_now(self, Handle handle) except -1
    cdef int run_in_debug(self, Handle handle) except -1

cdef int _clear(PyObject *loop) noexcept
cdef object _soon(CallingLoop loop, object callback, tuple args, object context)

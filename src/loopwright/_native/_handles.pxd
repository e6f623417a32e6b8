from cpython.object cimport PyObject, visitproc

from loopwright._native._asyncio cimport lw_has_weakrefs, lw_hide, lw_is_alone, lw_settle, lw_show
from loopwright._native._contexts cimport InContext

cdef class HandleLoop:
    cdef public bint _debug
    cdef public object _thread_id

cdef class Handle(InContext):
    cdef readonly object _callback
    cdef readonly tuple _args
    cdef readonly HandleLoop _loop
    cdef readonly bint _cancelled
    cdef bint hidden          # from the collector
    cdef public object _source_traceback
    cdef readonly object _repr
    cdef object __weakref__
    cdef int run(self) except -1
    cdef int failed(self, object exception) except -1
    cdef int withdraw(self) except -1

cdef class ThreadSafeHandle(Handle):
    cdef bint running
    cdef long thread      # that runs it
    cdef object done      # set when the callback has ended; None unless a thread waits for that
    cdef int wait(self) except -1

cdef class Timers:
    cdef int remove(self, TimerHandle handle) except -1

cdef class TimerHandle(Handle):
    cdef readonly double _when
    cdef Py_ssize_t position
    cdef Timers timers

cdef inline void settle(PyObject *handle) noexcept:
    """Leave it to its queue, if nobody else has it, or can have it by a weak reference. By pointers: to name an object is
    to have it."""
    if lw_is_alone(handle) and not lw_has_weakrefs(handle):
        if not (<Handle>handle).hidden:
            (<Handle>handle).hidden = True
            lw_hide(handle)
        lw_settle(<PyObject *>(<Handle>handle)._args)
    elif (<Handle>handle).hidden:
        show(handle)

cdef inline void show(PyObject *handle) noexcept:
    """Somebody else may have it: have the collector look at it."""
    (<Handle>handle).hidden = False
    lw_show(handle)
    lw_show(<PyObject *>(<Handle>handle)._args)

cdef int _clear(PyObject *handle) noexcept
cdef int _clear_timer(PyObject *handle) noexcept
cdef int visit_hidden(PyObject *handle, visitproc visit, void *arg) noexcept

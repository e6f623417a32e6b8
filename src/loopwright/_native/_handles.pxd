from cpython.object cimport PyObject, visitproc

from loopwright._native._asyncio cimport lw_has_weakrefs, lw_hide, lw_is_alone, lw_settle, lw_show

cdef class HandleLoop:
    cdef public bint _debug
    cdef public object _thread_id

cdef class SharedContext:
    cdef object pristine      # never entered, so it stays what it was copied from
    cdef object spare         # a copy that they are run in; None when it is no longer like that
    cdef PyObject *runner     # the handle that is run in it
    cdef PyObject *variables
    cdef Contexts contexts
    cdef int settle(self, Handle handle) except -1

cdef class Contexts:
    cdef PyObject *latest     # while it lives: it says when it goes
    cdef PyObject *candidate  # variables that were current when a context was last copied; no reference, just compared
    cdef int repeated
    cdef int give(self, Handle handle) except -1
    cdef void rest(self) noexcept

cdef class Handle:
    cdef readonly object _callback
    cdef readonly tuple _args
    cdef object context       # which it runs in, or a SharedContext:
    cdef bint shares
    cdef readonly HandleLoop _loop
    cdef readonly bint _cancelled
    cdef bint hidden          # from the collector
    cdef public object _source_traceback
    cdef readonly object _repr
    cdef object __weakref__
    cdef int run(self) except -1
    cdef int failed(self, object exception) except -1
    cdef object own_context(self)
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

from cpython.object cimport PyObject, visitproc

cdef class Handle:
    cdef readonly object _callback
    cdef readonly tuple _args
    cdef readonly object _context
    cdef readonly object _loop
    cdef readonly bint _cancelled
    cdef public object _source_traceback
    cdef readonly object _repr
    cdef object __weakref__
    cdef int run(self) except -1
    cdef int failed(self, object exception) except -1

cdef class ThreadSafeHandle(Handle):
    cdef bint running
    cdef object done      # set when the callback has ended; None unless a thread waits for that
    cdef int wait(self) except -1

cdef class TimerHandle(Handle):
    cdef readonly double _when
    cdef Py_ssize_t position
    cdef TimerHeap timers

cdef struct Entry:
    double when
    unsigned long long serial

cdef class TimerHeap:
    cdef list handles
    cdef PyObject *latest         # what was pushed last, while it is there
    cdef Entry *entries
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef unsigned long long serial
    cdef int push(self, TimerHandle handle) except -1
    cdef TimerHandle pop(self)
    cdef int remove(self, TimerHandle handle) except -1
    cdef void put(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cdef void up(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cdef void down(self, Py_ssize_t position, Entry entry, TimerHandle handle)
    cpdef void clear(self)

cdef void settle(PyObject *handle) noexcept
cdef int visit_queued(PyObject *handles, visitproc visit, void *arg) noexcept
cdef int _traverse(PyObject *heap, visitproc visit, void *arg) noexcept
cdef void _before_dealloc(PyObject *handle) noexcept

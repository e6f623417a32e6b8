from cpython.object cimport PyObject

cdef class InContext:
    cdef object context       # which it runs in, or a SharedContext:
    cdef bint shares
    cdef object own_context(self)

cdef class SharedContext:
    cdef object pristine      # never entered, so it stays what it was copied from
    cdef object spare         # a copy that they are run in; None when it is no longer like that
    cdef PyObject *runner     # the handle that is run in it
    cdef PyObject *variables
    cdef Contexts contexts
    cdef int renew(self) except -1
    cdef int settle(self, InContext handle) except -1

cdef class Contexts:
    cdef PyObject *latest     # while it lives: it says when it goes
    cdef PyObject *candidate  # variables that were current when a context was last copied; no reference, just compared
    cdef int repeated
    cdef int give(self, InContext handle) noexcept
    cdef void share(self, InContext handle, object context) noexcept
    cdef void rest(self) noexcept

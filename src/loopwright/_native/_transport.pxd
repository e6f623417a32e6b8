from libc.stdint cimport uint32_t

from loopwright._native._asyncio cimport lw_socket_number
from loopwright._native._core cimport LoopCore
from loopwright._native._poller cimport Watcher

cdef class Transport(Watcher):
    cdef LoopCore loop
    cdef readonly object _protocol
    cdef readonly object _context
    cdef readonly object _server
    cdef readonly dict _extra
    cdef object file             # the socket or pipe; None once it is closed
    cdef bint is_socket          # one whose number can be read
    cdef Py_ssize_t high
    cdef Py_ssize_t low
    cdef readonly bint _protocol_paused
    cdef readonly bint _closing
    cdef readonly bint _paused
    cdef readonly bint _eof
    cdef readonly long _conn_lost
    cdef dict __dict__           # programs put attributes of theirs on transports
    cdef object __weakref__
    cdef int set_up(self, LoopCore loop, object file, object protocol, object extra, object context) except -1
    cdef int learn(self, object name) except -1
    cdef int want(self, uint32_t events) except -1
    cdef int drop_interest(self) except -1
    cdef int drop_output(self) except -1
    cdef Py_ssize_t pending(self) noexcept
    cdef int soon(self, object callback, tuple args) except -1
    cdef int maybe_pause(self) except -1
    cdef int maybe_resume(self) except -1
    cdef int protocol_failed(self, str method, object exception) except -1
    cdef int fatal(self, object exception, str message) except -1
    cdef int force_close(self, object exception) except -1
    cdef int lost_write(self) except -1
    cdef int read_ready(self) except -1
    cdef int write_ready(self) except -1

cdef inline int number_of(Transport transport) noexcept:
    return lw_socket_number(transport.file) if transport.is_socket else transport.fd

cpdef attach(object server, object transport)
cpdef detach(object server, object transport)
cpdef os_error(int number)

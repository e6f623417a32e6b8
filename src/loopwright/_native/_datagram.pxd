from cpython.object cimport PyObject

from loopwright._native._addresses cimport sockaddr, sockaddr_storage, socklen_t
from loopwright._native._transport cimport Transport

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recvfrom(int fd, void *data, size_t size, int flags, sockaddr *address, socklen_t *length)
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags)
    ssize_t c_sendto "sendto"(int fd, const void *data, size_t size, int flags, const sockaddr *to, socklen_t length)

cdef extern from "Python.h":
    int PySys_Audit(const char *event, const char *format, ...)

cdef class DatagramTransport(Transport):
    cdef readonly object _address
    cdef object queue            # a deque of (bytes, address); None before the first
    cdef Py_ssize_t queued       # bytes, with HEADER for each
    cdef int family              # 0: only its own methods know how
    cdef bint connected
    cdef bint to_unnamed         # connected, to a Unix socket without a name
    cdef bint several
    cdef int alone
    cdef int receive(self) except -1
    cdef int receive_by_socket(self) except -1
    cdef int put(self, object data, object address) except -1
    cdef int send_now(self, object data, object address) except -1
    cdef int send_raw(self, const char *data, Py_ssize_t size, object address, sockaddr_storage *to, socklen_t length) except -1
    cdef int send_by_socket(self, object data, object address) except -1
    cdef int send_raised(self, object exception) except -1
    cdef int send_failed(self, object error) except -1
    cdef int flush(self) except -1

# What the event loop uses of Linux and of CPython, by way of _loop.h where a declaration alone is not enough.
from cpython.object cimport PyObject, traverseproc, visitproc
from libc.stdint cimport uint32_t, uint64_t

ctypedef void (*destructor)(PyObject *) noexcept
ctypedef int (*quiet_visit)(PyObject *, void *) noexcept
ctypedef int (*inquiry)(PyObject *) noexcept
ctypedef int (*quiet_traverse)(PyObject *, visitproc, void *) noexcept

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        destructor tp_dealloc
        traverseproc tp_traverse
        inquiry tp_clear

cdef extern from "_loop.h" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    struct timespec:
        long tv_sec
        long tv_nsec
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most, int timeout)
    int lw_epoll_pwait2(int epoll, epoll_event *events, int most, const timespec *timeout)
    double lw_now()
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLLET

cdef extern from "_loop.h":
    int lw_socket_number(object sock)
    PyObject *lw_call(object callable, tuple args)
    PyObject *lw_call_method(object self, str name, object argument)
    object lw_call_handling(object self, str name, object argument, object exception)
    bint lw_is_alone(PyObject *object)
    void lw_hide(PyObject *handle)
    void lw_show(PyObject *queued)
    bint lw_is_settled(PyObject *queued)
    void lw_settle(PyObject *queued)
    bint lw_has_weakrefs(PyObject *handle)
    void lw_take_over_dealloc(PyTypeObject *kind)
    int lw_visit_settled(PyObject *queued, visitproc visit, void *arg)
    int lw_enter "PyContext_Enter"(PyObject *context)    # as it says, and what is raised left to be looked at
    int lw_leave "PyContext_Exit"(PyObject *context)
    PyObject *lw_copy_current "PyContext_CopyCurrent"()
    int lw_reraise() except -1
    object lw_fetch()
    int lw_raise(object exception) except -1

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    object PyContext_CopyCurrent()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    PyObject *PyList_GET_ITEM(list slots, Py_ssize_t slot)
    Py_ssize_t PyTuple_GET_SIZE(tuple items)
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size)
    object PyBytes_FromStringAndSize(const char *data, Py_ssize_t size)
    int _PyBytes_Resize(PyObject **data, Py_ssize_t size) except -1
    char *bytes_data "PyBytes_AS_STRING"(PyObject *data)
    char *PyBytes_AS_STRING(object data)
    Py_ssize_t PyBytes_GET_SIZE(object data)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int count, int flags)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t writev(int fd, const iovec *vector, int count)

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, socklen_t size)
    enum:
        AF_INET
        AF_INET6
        IPPROTO_TCP
        IPPROTO_UDP
        SOCK_DGRAM
        SOCK_STREAM

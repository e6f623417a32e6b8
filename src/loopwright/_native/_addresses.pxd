from cpython.object cimport PyObject

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    ctypedef unsigned short sa_family_t
    struct sockaddr:
        sa_family_t sa_family
    struct sockaddr_storage:
        sa_family_t ss_family
    enum:
        AF_INET
        AF_INET6
        AF_UNIX

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        unsigned int s_addr
    struct sockaddr_in:
        sa_family_t sin_family
        unsigned short sin_port
        in_addr sin_addr
    struct in6_addr:
        unsigned char s6_addr[16]
    struct sockaddr_in6:
        sa_family_t sin6_family
        unsigned short sin6_port
        unsigned int sin6_flowinfo
        in6_addr sin6_addr
        unsigned int sin6_scope_id
    enum:
        INET6_ADDRSTRLEN

cdef extern from "<sys/un.h>" nogil:
    struct sockaddr_un:
        sa_family_t sun_family
        char sun_path[108]

cdef extern from "<arpa/inet.h>" nogil:
    unsigned int htonl(unsigned int number)
    unsigned int ntohl(unsigned int number)
    unsigned short htons(unsigned short number)
    unsigned short ntohs(unsigned short number)
    const char *inet_ntop(int family, const void *address, char *text, socklen_t size)
    int inet_pton(int family, const char *text, void *address)

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    const char *PyUnicode_DATA(object text)
    object PyUnicode_DecodeFSDefault(const char *text)
    Py_ssize_t PyTuple_GET_SIZE(object items)
    PyObject *PyTuple_GET_ITEM(object items, Py_ssize_t index)
    PyObject *PyBytes_FromStringAndSize(const char *data, Py_ssize_t size)
    char *PyBytes_AS_STRING(object data)
    Py_ssize_t PyBytes_GET_SIZE(object data)
    long PyLong_AsLongAndOverflow(object number, int *overflow)

# One peer: its address as the kernel has it, zeros after it, and as Python does. A table has a reference to `address`.
cdef struct Peer:
    PyObject *address
    sockaddr_in6 raw

# WAYS * 2 ** BITS of them.
cdef Peer by_raw[1024]
cdef Peer by_tuple[1024]

cdef object address_of(sockaddr_storage *raw, socklen_t size)
cdef socklen_t raw_address(object address, int family, sockaddr_storage *raw) noexcept
cdef socklen_t parsed(object address, int family, sockaddr_storage *raw) noexcept
cdef const char *plain_text(object text) noexcept
cdef object made(sockaddr_storage *raw, socklen_t size)
cdef void keep(Peer *table, size_t place, sockaddr_storage *raw, object address) noexcept
cdef size_t place_of_raw(sockaddr_storage *raw) noexcept
cdef size_t place_of_tuple(PyObject *address) noexcept
cdef bint same(sockaddr_in6 *kept, sockaddr_storage *raw) noexcept
cdef long number(PyObject *value, long most) noexcept
cdef socklen_t unix_address(object address, sockaddr_un *raw) noexcept

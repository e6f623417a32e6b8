"""Addresses of sockets: what the kernel calls them, and the tuples, `str` and `bytes` that Python does.

Theory of operation. What comes out is what `socket` makes of the same address (CPython's makesockaddr()), and what goes
in means the same (getsockaddrarg()). Only plain forms are read: numbers, not names, in exact `tuple`, `str`, `bytes`
and `int`. For every other raw_address() says 0, and whoever asked goes by way of `socket`, which resolves names and
words the errors.

A server hears from the same peers again and again, and answers to the very tuple it was given. So two tables are kept,
of one bounded size: by what the kernel calls a peer, and by which object a tuple is. Each holds its tuples, so none can
go and leave its place in memory to another; and each has exact types alone, so none can change. A peer has four places:
who comes gets the first, and the others move on by one. The tables are the process's: a tuple is no loop's and no
thread's, the GIL is held throughout, and to drop one runs nobody's code.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._addresses is compiled code and does not run as plain Python")

from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_INCREF, Py_XDECREF
from cython.cimports.libc.stdint import uint64_t, uintptr_t
from cython.cimports.libc.string import memcmp, memcpy, memmove, memset, strlen

#: Places of a peer, and the bits that its hash is cut down to: a table has 4 * 2 ** 8 entries.
WAYS = cython.declare(cython.size_t, 4)
BITS = cython.declare(cython.int, 8)
#: Knuth's multiplicative hashing: 2 ** 64 divided by the golden ratio.
SPREAD = cython.declare(uint64_t, 0x9E3779B97F4A7C15)
#: What getsockaddrarg() lets pass.
MOST_PORT = cython.declare(cython.long, 0xFFFF)
MOST_FLOW = cython.declare(cython.long, 0xFFFFF)
MOST_SCOPE = cython.declare(cython.long, 0xFFFFFFFF)


def address_of(raw, size):
    """The address as `socket` gives it; None for none, which is what an unnamed Unix socket sends from."""
    place: cython.size_t
    way: cython.size_t
    family: cython.int
    if size == 0:
        return None
    family = raw.ss_family
    if family != AF_INET and family != AF_INET6:
        return made(raw, size)
    place = place_of_raw(raw)
    for way in range(place, place + WAYS):
        if same(cython.address(by_raw[way].raw), raw):  # one that is empty has no family
            return cython.cast(object, by_raw[way].address)
    address = made(raw, size)
    keep(by_raw, place, raw, address)
    keep(by_tuple, place_of_tuple(cython.cast(cython.pointer(PyObject), address)), raw, address)
    return address


def made(raw, size):
    text: cython.char[INET6_ADDRSTRLEN]
    four: cython.pointer(sockaddr_in)
    six: cython.pointer(sockaddr_in6)
    path: cython.pointer(sockaddr_un)
    family: cython.int = raw.ss_family
    if family == AF_INET:
        four = cython.cast(cython.pointer(sockaddr_in), raw)
        inet_ntop(AF_INET, cython.address(four.sin_addr), text, INET6_ADDRSTRLEN)
        return (text.decode("ascii"), cython.cast(cython.int, ntohs(four.sin_port)))
    if family == AF_INET6:
        six = cython.cast(cython.pointer(sockaddr_in6), raw)
        inet_ntop(AF_INET6, cython.address(six.sin6_addr), text, INET6_ADDRSTRLEN)
        return (
            text.decode("ascii"),
            cython.cast(cython.int, ntohs(six.sin6_port)),
            ntohl(six.sin6_flowinfo),
            six.sin6_scope_id,
        )
    path = cython.cast(cython.pointer(sockaddr_un), raw)
    size -= cython.sizeof(sa_family_t)
    if size > 0 and path.sun_path[0] == 0:
        return path.sun_path[:size]  # an abstract one
    return PyUnicode_DecodeFSDefault(path.sun_path)


def raw_address(address, family, raw):
    """Fill in what the kernel calls the address, of a socket of this family, and return its size; 0: ask `socket`."""
    place: cython.size_t
    way: cython.size_t
    size: socklen_t = cython.sizeof(sockaddr_in) if family == AF_INET else cython.sizeof(sockaddr_in6)
    if family == AF_UNIX:
        return unix_address(address, cython.cast(cython.pointer(sockaddr_un), raw))
    place = place_of_tuple(cython.cast(cython.pointer(PyObject), address))
    for way in range(place, place + WAYS):
        if (
            by_tuple[way].address == cython.cast(cython.pointer(PyObject), address)
            and by_tuple[way].raw.sin6_family == family  # to a socket of another it means nothing
        ):
            memcpy(raw, cython.address(by_tuple[way].raw), size)
            return size
    size = parsed(address, family, raw)
    if size:
        keep(by_tuple, place_of_tuple(cython.cast(cython.pointer(PyObject), address)), raw, address)
    return size


def parsed(address, family, raw):
    """The same, of a tuple that is not known."""
    four: cython.pointer(sockaddr_in)
    six: cython.pointer(sockaddr_in6)
    host: cython.pointer(PyObject)
    text: cython.p_const_char
    count: cython.Py_ssize_t
    port: cython.long
    flow: cython.long = 0
    scope: cython.long = 0
    if type(address) is not tuple:
        return 0
    count = PyTuple_GET_SIZE(address)
    if count < 2 or count > (2 if family == AF_INET else 4):
        return 0
    host = PyTuple_GET_ITEM(address, 0)
    text = plain_text(cython.cast(object, host))
    if text == cython.NULL:
        return 0
    port = number(PyTuple_GET_ITEM(address, 1), MOST_PORT)
    if count > 2:
        flow = number(PyTuple_GET_ITEM(address, 2), MOST_FLOW)
    if count > 3:
        scope = number(PyTuple_GET_ITEM(address, 3), MOST_SCOPE)
    if port < 0 or flow < 0 or scope < 0:
        return 0
    if family == AF_INET:
        four = cython.cast(cython.pointer(sockaddr_in), raw)
        memset(four, 0, cython.sizeof(sockaddr_in))
        four.sin_family = AF_INET
        four.sin_port = htons(port)
        return cython.sizeof(sockaddr_in) if inet_pton(AF_INET, text, cython.address(four.sin_addr)) > 0 else 0
    six = cython.cast(cython.pointer(sockaddr_in6), raw)
    memset(six, 0, cython.sizeof(sockaddr_in6))
    six.sin6_family = AF_INET6
    six.sin6_port = htons(port)
    six.sin6_flowinfo = htonl(flow)
    six.sin6_scope_id = scope
    return cython.sizeof(sockaddr_in6) if inet_pton(AF_INET6, text, cython.address(six.sin6_addr)) > 0 else 0


def plain_text(text):
    """Of an exact str of ASCII without a NUL: itself, in C."""
    if type(text) is not str or not PyUnicode_IS_COMPACT_ASCII(text):
        return cython.NULL
    if strlen(PyUnicode_DATA(text)) != PyUnicode_GET_LENGTH(text):
        return cython.NULL
    return PyUnicode_DATA(text)


def unix_address(address, raw):
    # `str` of the file system's encoding is left to `socket`, unless every encoding has the same for it.
    data: cython.p_const_char
    length: cython.Py_ssize_t
    abstract: cython.bint
    if type(address) is str:
        if not PyUnicode_IS_COMPACT_ASCII(address):
            return 0
        data = PyUnicode_DATA(address)
        length = PyUnicode_GET_LENGTH(address)
    elif type(address) is bytes:
        data = PyBytes_AS_STRING(address)
        length = PyBytes_GET_SIZE(address)
    else:
        return 0
    abstract = length == 0 or data[0] == 0
    if length >= cython.sizeof(raw.sun_path):
        return 0
    memset(raw, 0, cython.sizeof(sockaddr_un))
    raw.sun_family = AF_UNIX
    memcpy(raw.sun_path, data, length)
    return cython.sizeof(sa_family_t) + length + (0 if abstract else 1)


def number(value, most):
    """The exact int from 0 to `most`; -1 for everything else."""
    overflow: cython.int = 0
    found: cython.long
    if type(cython.cast(object, value)) is not int:
        return -1
    found = PyLong_AsLongAndOverflow(cython.cast(object, value), cython.address(overflow))
    return found if 0 <= found <= most else -1


def keep(table, place, raw, address):
    """Give the address its first place in a table."""
    family: cython.int = raw.ss_family
    Py_XDECREF(table[place + WAYS - 1].address)
    memmove(cython.address(table[place + 1]), cython.address(table[place]), (WAYS - 1) * cython.sizeof(Peer))
    Py_INCREF(address)
    table[place].address = cython.cast(cython.pointer(PyObject), address)
    memset(cython.address(table[place].raw), 0, cython.sizeof(sockaddr_in6))
    memcpy(
        cython.address(table[place].raw),
        raw,
        cython.sizeof(sockaddr_in) if family == AF_INET else cython.sizeof(sockaddr_in6),
    )


def place_of_raw(raw):
    words: uint64_t[4]
    family: cython.int = raw.ss_family
    if family == AF_INET:
        memcpy(words, raw, 8)  # family, port and address
        return WAYS * ((words[0] * SPREAD) >> (64 - BITS))
    words[3] = 0
    memcpy(words, raw, cython.sizeof(sockaddr_in6))
    words[0] = (((words[0] * SPREAD) ^ words[1]) * SPREAD ^ words[2]) * SPREAD ^ words[3]
    return WAYS * ((words[0] * SPREAD) >> (64 - BITS))


def place_of_tuple(address):
    return WAYS * ((cython.cast(uint64_t, cython.cast(uintptr_t, address)) * SPREAD) >> (64 - BITS))


def same(kept, raw):
    family: cython.int = raw.ss_family
    return memcmp(kept, raw, 8 if family == AF_INET else cython.sizeof(sockaddr_in6)) == 0

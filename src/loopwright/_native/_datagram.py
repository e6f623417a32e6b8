"""The transport of a datagram socket: UDP over IPv4 and IPv6, Unix, and by slower ways all others.

Theory of operation. Reading: a socket whose last event brought more than one datagram is read until it has no more, or
16 times, and by ones again once an event has brought but one. So a peer that waits for its answers costs no second
recvfrom(2), which would find nothing; after every eighth such event a second is tried. Between two the protocol may
have paused, closed or aborted the transport, which is looked at each time. recvmmsg(2) would save a twentieth, and
leave datagrams in hand that were read and may not be delivered.

Writing: straight away, in the caller's sendto(). What the kernel has no room for is copied and queued, with its
address, and its size counted with 8 bytes of header: so a queue of empty datagrams has a size, too.

Connected is what has a peer's name: then send(2) is used whatever address came, as asyncio does. A socket that has a
peer without one (Unix, by socketpair()) is connected, too, unless an address is given; asyncio makes an error of that.

Sockets of other families than those three, and of classes with a sendto() or recvfrom() of their own, are read and
written by their Python methods, one datagram an event.

To asyncio before Python 3.13 sendto() of nothing is nothing, and from then on an empty datagram: so it is here on all.
To send on an unconnected transport after connection_lost() ends in an AttributeError there; here it is thrown away and
counted, as it is on a connected one.
"""

import asyncio
import socket
from collections import deque

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._datagram is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.errno import EAGAIN, EINTR, errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._addresses import (
    AF_UNIX,
    address_of,
    raw_address,
    sockaddr,
    sockaddr_storage,
    socklen_t,
)
from cython.cimports.loopwright._native._asyncio import (
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
    lw_fetch,
    lw_raise,
)
from cython.cimports.loopwright._native._transport import number_of, os_error

#: Bytes: what is longer is cut off. The size of the loop's buffer.
MOST = cython.declare(cython.Py_ssize_t, 262144)
#: Datagrams of one event, and after how many events with one alone a second is looked for.
MOST_AT_ONCE = cython.declare(cython.int, 16)
LOOK_FOR_SECOND = cython.declare(cython.int, 8)
HEADER = cython.declare(cython.Py_ssize_t, 8)

#: What send_now() and its like say: done; no room, to be queued; failed, and the protocol was told.
SENT = cython.declare(cython.int, 0)
NO_ROOM = cython.declare(cython.int, 1)
FAILED = cython.declare(cython.int, 2)

ENDS_THE_PROGRAM = cython.declare(tuple, (SystemExit, KeyboardInterrupt))
_TransportSocket = cython.declare(object, asyncio.trsock.TransportSocket)


class _Datagrams(asyncio.Transport, asyncio.DatagramTransport):
    """What asyncio's own is to isinstance()."""


_asyncio_transport = cython.declare(object, _Datagrams)


@cython.cclass
class DatagramTransport(Transport):
    """A datagram endpoint, as `asyncio.DatagramTransport` describes it."""

    def __init__(self, loop, sock, protocol, address=None, waiter=None, extra=None):
        self._address = address or None
        self.set_up(loop, sock, protocol, extra, None)
        self._extra["socket"] = _TransportSocket(sock)
        self._extra["sockname"] = _name(sock.getsockname)
        if "peername" not in self._extra:
            self._extra["peername"] = _name(sock.getpeername)
        peer = self._extra["peername"]
        self.connected = bool(peer)
        self.to_unnamed = not peer and peer is not None
        if _is_plain(sock) and sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            self.family = sock.family
        loop._transports[self.fd] = self
        self.soon(protocol.connection_made, (self,))
        self.soon(self._begin, (waiter,))

    @property
    def __class__(self):
        return _asyncio_transport

    @property
    def _sock(self):
        return self.file

    @property
    def _sock_fd(self):
        return self.fd

    def _begin(self, waiter):
        """Read, now that the protocol knows of its transport; and tell whoever waits for that."""
        try:
            if not self._closing and not self._paused:
                self.want(self.events | EPOLLIN)
        finally:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # Reading

    def read_ready(self):
        if self._conn_lost:
            return 0
        if self.family == 0:
            return self.receive_by_socket()
        return self.receive()

    def receive(self):
        peer: sockaddr_storage
        length: socklen_t
        size: cython.Py_ssize_t
        number: cython.int
        count: cython.int = 0
        most: cython.int = MOST_AT_ONCE if self.several else 1
        while count < most:
            length = cython.sizeof(sockaddr_storage)
            size = recvfrom(
                number_of(self),
                self.loop.scratch,
                MOST,
                MSG_DONTWAIT,
                cython.cast(cython.pointer(sockaddr), cython.address(peer)),
                cython.address(length),
            )
            if size < 0:
                number = errno
                if number in (EAGAIN, EINTR):
                    break
                self._protocol.error_received(os_error(number))
                return 0
            if self.family == AF_UNIX and length < cython.sizeof(sockaddr_storage):
                cython.cast(cython.p_char, cython.address(peer))[length] = 0  # a path need not end in one
            data = PyBytes_FromStringAndSize(self.loop.scratch, size)
            self._protocol.datagram_received(data, address_of(cython.address(peer), length))
            count += 1
            if self._conn_lost or not self.events & EPOLLIN:
                return 0
        if self.several:
            self.several = count > 1
        else:
            self.alone += 1
            if self.alone == LOOK_FOR_SECOND:
                self.alone = 0
                self.several = True
        return 0

    def receive_by_socket(self):
        try:
            data, address = self.file.recvfrom(MOST)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._protocol.error_received(error)
            return 0
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            return self.fatal(error, "Fatal read error on datagram transport")
        self._protocol.datagram_received(data, address)
        return 0

    # Writing

    def sendto(self, data, addr=None):
        if type(data) is not bytes and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._address is not None:
            if addr is not None and addr is not self._address and addr != self._address:
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._conn_lost and (self._address is not None or self.file is None):
            self.lost_write()
            return
        if self.queued == 0:
            if self.send_now(data, addr) != NO_ROOM:
                return
            if self._conn_lost:  # it is closing, and nobody will wait for room
                self.lost_write()
                return
            self.want(self.events | EPOLLOUT)
        self.put(bytes(data), addr)
        self.maybe_pause()

    def put(self, data, address):
        if self.queue is None:
            self.queue = deque()
        self.queue.append((data, address))
        self.queued += PyBytes_GET_SIZE(data) + HEADER
        return 0

    def send_now(self, data, address):
        to: sockaddr_storage
        length: socklen_t = 0
        view: Py_buffer
        if self.family == 0:
            return self.send_by_socket(data, address)
        if not self.connected and not (self.to_unnamed and address is None):
            length = raw_address(address, self.family, cython.address(to))
            if length == 0:
                return self.send_by_socket(data, address)
        if type(data) is bytes:
            return self.send_raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), address, cython.address(to), length)
        try:
            if isinstance(data, memoryview) and not data.c_contiguous:
                data = bytes(data)
            PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
        except BaseException as error:
            return self.send_raised(error)
        try:
            return self.send_raw(cython.cast(cython.p_char, view.buf), view.len, address, cython.address(to), length)
        finally:
            PyBuffer_Release(cython.address(view))

    def send_raw(self, data, size, address, to, length):
        done: cython.Py_ssize_t
        number: cython.int
        if length == 0:
            done = c_send(number_of(self), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        else:
            if PySys_Audit(
                "socket.sendto",
                "OO",
                cython.cast(cython.pointer(PyObject), self.file),
                cython.cast(cython.pointer(PyObject), address),
            ):
                return self.send_raised(lw_fetch())
            done = c_sendto(
                number_of(self),
                data,
                size,
                MSG_DONTWAIT | MSG_NOSIGNAL,
                cython.cast(cython.pointer(sockaddr), to),
                length,
            )
        if done >= 0:
            return SENT
        number = errno
        if number in (EAGAIN, EINTR):
            return NO_ROOM
        return self.send_failed(os_error(number))

    def send_by_socket(self, data, address):
        try:
            if self.connected or (self.to_unnamed and address is None):
                self.file.send(data)
            else:
                self.file.sendto(data, address)
        except BaseException as error:
            return self.send_raised(error)
        return SENT

    def send_raised(self, exception):
        if isinstance(exception, (BlockingIOError, InterruptedError)):
            return NO_ROOM
        if isinstance(exception, OSError):
            return self.send_failed(exception)
        if isinstance(exception, ENDS_THE_PROGRAM):
            return lw_raise(exception)
        self.fatal(exception, "Fatal write error on datagram transport")
        return FAILED

    def send_failed(self, error):
        self._protocol.error_received(error)
        return FAILED

    def write_ready(self):
        if self._conn_lost or self.flush() == FAILED or self._conn_lost:
            return 0
        self.maybe_resume()  # which may send
        if self.queued or self._conn_lost:
            return 0
        self.want(self.events & ~cython.cast(uint32_t, EPOLLOUT))
        if self._closing:
            self._conn_lost += 1
            self._call_connection_lost(None)
        return 0

    def flush(self):
        """Send what is queued, until there is no room or one of them fails."""
        size: cython.Py_ssize_t
        sent: cython.int
        while self.queued:
            entry = self.queue.popleft()
            data, address = entry
            size = PyBytes_GET_SIZE(data) + HEADER
            self.queued -= size
            sent = self.send_now(data, address)
            if sent == NO_ROOM:
                self.queue.appendleft(entry)
                self.queued += size
            if sent != SENT:
                return sent
        return SENT

    def pending(self):
        return self.queued

    def drop_output(self):
        self.queue = None
        self.queued = 0
        return 0


@cython.cfunc
def _name(ask):
    try:
        return ask()
    except OSError:
        return None


@cython.cfunc
@cython.exceptval(-1)
def _is_plain(sock) -> cython.bint:
    """Whether the methods of this socket are those of `socket`, so that what they do can be done without them."""
    if type(sock) is socket.socket:
        return True
    for name in ("recvfrom", "send", "sendto"):
        method = getattr(sock, name)
        if getattr(method, "__self__", None) is not sock or method != getattr(socket.SocketType, name).__get__(sock):
            return False
    return True

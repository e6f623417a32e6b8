"""The transport of a TCP or Unix stream socket.

Theory of operation. What is written goes straight away, in the caller's write(). Only what the kernel does not take is
queued, and the descriptor watched for room. Reading is in `_stream_input.py`.
"""

import asyncio
import logging
import socket

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._stream is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.libc.errno import EAGAIN, EINTR, errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
    send,
)
from cython.cimports.loopwright._native._outbox import Outbox
from cython.cimports.loopwright._native._transport import attach, number_of, os_error

_logger = cython.declare(object, logging.getLogger("asyncio"))
#: A subclass of asyncio.Transport; sendfile()'s way without the system call insists on it.
_asyncio_transport = cython.declare(object, asyncio.transports._FlowControlMixin)
_ConnectionError = cython.declare(object, ConnectionError)
_SENDFILE = cython.declare(object, asyncio.constants._SendfileMode.TRY_NATIVE)


@cython.cclass
class StreamTransport(StreamInput):
    """A connection, as `asyncio.Transport` describes it."""

    def __cinit__(self):
        self.outbox = Outbox.__new__(Outbox)

    def __init__(self, loop, sock, protocol, waiter=None, extra=None, server=None, context=None):
        self.set_up(loop, sock, protocol, extra, context)
        if "peername" not in self._extra:  # now: a peer that has gone has no name
            try:
                self._extra["peername"] = sock.getpeername()
            except OSError:
                self._extra["peername"] = None
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _set_nodelay(sock)
        if server is not None:
            self._server = server
            attach(server, self)
        loop._transports[self.fd] = self
        self.soon(protocol.connection_made, (self,))
        self.soon(self._begin, (waiter,))

    @property
    def __class__(self):
        return _asyncio_transport

    @property
    def _start_tls_compatible(self):
        return True

    @property
    def _sendfile_compatible(self):
        return _SENDFILE

    @property
    def _sock(self):
        return self.file

    @property
    def _sock_fd(self):
        return self.fd

    def learn(self, name):
        if self.file is None:
            return 0
        if name == "socket":
            self._extra["socket"] = asyncio.trsock.TransportSocket(self.file)
        elif name == "sockname":
            try:
                self._extra["sockname"] = self.file.getsockname()
            except OSError:
                self._extra["sockname"] = None
        return 0

    def _begin(self, waiter):
        """Read, now that the protocol knows of its connection; and tell whoever waits for that."""
        try:
            if not self._closing and not self._paused:
                self.want(self.events | EPOLLIN)
        finally:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # Writing

    def write(self, data):
        if type(data) is not bytes:
            self.write_buffer(data)
            return
        if self._eof or self._empty_waiter is not None:
            self.check_writable("write")
        size: cython.Py_ssize_t = PyBytes_GET_SIZE(data)
        done: cython.Py_ssize_t = 0
        if size == 0:
            return
        if self._conn_lost:
            self.lost_write()
            return
        if self.outbox.size == 0:
            done = self.send_now(PyBytes_AS_STRING(data), size)
        if done < size:
            self.keep(data, done)

    def write_buffer(self, data):
        """write() of anything but bytes: what is not sent at once is copied, for the caller may change it."""
        view: Py_buffer
        done: cython.Py_ssize_t = 0
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"data argument must be a bytes, bytearray, or memoryview object, not {type(data).__name__!r}"
            )
        self.check_writable("write")
        if isinstance(data, memoryview) and not data.c_contiguous:
            data = bytes(data)
        PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
        try:
            if view.len == 0:
                return 0
            if self._conn_lost:
                return self.lost_write()
            if self.outbox.size == 0:
                done = self.send_now(cython.cast(cython.p_char, view.buf), view.len)
            if done < view.len:
                start: cython.p_char = cython.cast(cython.p_char, view.buf)
                self.keep(PyBytes_FromStringAndSize(start + done, view.len - done), 0)
        finally:
            PyBuffer_Release(cython.address(view))
        return 0

    def keep(self, data, done):
        """Queue what follows, and wait for room."""
        self.outbox.append(data, done)
        self.want(self.events | EPOLLOUT)
        return self.maybe_pause()

    def writelines(self, list_of_data):
        self.check_writable("writelines")
        if not list_of_data:
            return
        # All of it is made before any is queued: to make it may raise, or run what writes to this transport or ends it.
        chunks = [data if type(data) is bytes else bytes(memoryview(data)) for data in list_of_data]
        self.check_writable("writelines")
        if self._conn_lost:
            self.lost_write()
            return
        waiting: cython.bint = self.outbox.size > 0
        for chunk in chunks:
            if PyBytes_GET_SIZE(chunk):
                self.outbox.append(chunk, 0)
        if self.outbox.size == 0:
            return
        if not waiting:
            self.flush()
        if self.outbox.size and not self._conn_lost:
            self.want(self.events | EPOLLOUT)
            self.maybe_pause()

    def check_writable(self, method):
        if self._eof:
            raise RuntimeError(f"Cannot call {method}() after write_eof()")
        if self._empty_waiter is not None:
            raise RuntimeError(f"unable to {method}; sendfile is in progress")
        return 0

    def send_now(self, data, size):
        """How much of it the kernel took; all of it, if the connection is lost: there is nothing to keep."""
        done: cython.Py_ssize_t = send(number_of(self), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if done >= 0:
            return done
        failed: cython.int = errno
        if failed in (EAGAIN, EINTR):
            return 0
        self.write_failed(failed)
        return size

    def flush(self):
        """Write what is queued, as far as the kernel takes it."""
        done: cython.Py_ssize_t = self.outbox.send(number_of(self), True)
        if done >= 0:
            self.outbox.sent(done)
        elif done != -EAGAIN:
            self.write_failed(-done)
        return 0

    def write_failed(self, number):
        error = os_error(number)
        waiter = self._empty_waiter
        self.fatal(error, "Fatal write error on socket transport")
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        return 0

    def write_ready(self):
        if self._conn_lost or self.outbox.size == 0:
            return 0
        self.flush()
        if self._conn_lost:
            return 0
        self.maybe_resume()  # which may write
        if self.outbox.size == 0 and not self._conn_lost:
            self.written()
        return 0

    def written(self):
        """All of it is written."""
        self.want(self.events & ~cython.cast(uint32_t, EPOLLOUT))
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_result(None)
        if self._closing:
            self._conn_lost += 1
            self.soon(self._call_connection_lost, (None,))
        elif self._eof:
            self.file.shutdown(socket.SHUT_WR)
        return 0

    def can_write_eof(self):
        return True

    def write_eof(self):
        if self._closing or self._eof:
            return
        self._eof = True
        if self.outbox.size == 0:
            self.file.shutdown(socket.SHUT_WR)

    def pending(self):
        return self.outbox.size

    def drop_output(self):
        self.outbox.clear()
        return 0

    # For asyncio's sendfile()

    def _make_empty_waiter(self):
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        self._empty_waiter = self.loop.create_future()
        if self.outbox.size == 0:
            self._empty_waiter.set_result(None)
        return self._empty_waiter

    def _reset_empty_waiter(self):
        self._empty_waiter = None

    def _call_connection_lost(self, exc):
        self.get_extra_info("sockname")  # the last moment to learn them
        self.get_extra_info("socket")
        try:
            StreamInput._call_connection_lost(self, exc)
        finally:
            if self._empty_waiter is not None and not self._empty_waiter.done():
                self._empty_waiter.set_exception(_ConnectionError("Connection is closed by peer"))


@cython.cfunc
def _set_nodelay(sock):
    if sock.type == socket.SOCK_STREAM and sock.proto in (0, socket.IPPROTO_TCP):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

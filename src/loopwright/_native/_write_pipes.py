"""The transport of connect_write_pipe(). `_pipes.py` has the theory of operation of both ends."""

import asyncio
import logging
import os

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._write_pipes is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.libc.errno import EAGAIN, EINTR
from cython.cimports.libc.errno import errno as c_errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
    PyList_GET_ITEM,
    send,
)
from cython.cimports.loopwright._native._outbox import Outbox
from cython.cimports.loopwright._native._transport import os_error
from cython.cimports.posix.unistd import write

_logger = cython.declare(object, logging.getLogger("asyncio"))
#: What asyncio's transport of a pipe that is written to is, too.
_asyncio_transport = cython.declare(object, asyncio.Transport)
LOST_WRITES = cython.declare(cython.long, asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
LATER = cython.declare(tuple, (BlockingIOError, InterruptedError))
#: From how many bytes on what is written is not joined.
LARGE = cython.declare(cython.Py_ssize_t, 32768)


@cython.cclass
class WritePipeTransport(PipeTransport):
    """Writes to a pipe, as `asyncio.WriteTransport` describes it."""

    def __cinit__(self):
        self.outbox = Outbox.__new__(Outbox)

    def __init__(self, loop, pipe, protocol, waiter=None, extra=None):
        self.take(loop, pipe, protocol, extra, "Pipe transport is only for pipes, sockets and character devices")
        self.listens = not self.shared
        self.soon(self._begin, (waiter,))

    @property
    def __class__(self):
        return _asyncio_transport

    # asyncio's has these, and they raise this. What is inherited would keep it from hearing of its reader's end.

    def is_reading(self):
        raise NotImplementedError

    def pause_reading(self):
        raise NotImplementedError

    def resume_reading(self):
        raise NotImplementedError

    def _begin(self, waiter):
        """Listen for the reader's end, now that the protocol knows of its transport; and tell who waits for that."""
        try:
            if self.listens and not self.ending:
                self.want(self.events | EPOLLIN)
        finally:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def read_ready(self):
        if self.ending:
            return 0
        if self.loop._debug:
            _logger.info("%r was closed by peer", self)
        return self.force_close(BrokenPipeError() if self.outbox.size else None)

    # Writing

    def write(self, data):  # noqa: C901 - as it would be slower in parts
        view: Py_buffer
        size: cython.Py_ssize_t
        done: cython.Py_ssize_t = 0
        if type(data) is bytes:
            size = PyBytes_GET_SIZE(data)
            if size == 0:
                return
            if self._conn_lost or self._closing:
                self.lost_write()
                return
            if self.outbox.size == 0:
                done = self.send_now(PyBytes_AS_STRING(data), size)
            rest = data
        else:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"data argument must be a bytes, bytearray, or memoryview object, not {type(data).__name__!r}"
                )
            if isinstance(data, memoryview) and not data.c_contiguous:
                data = bytes(data)
            PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
            try:
                size = view.len
                if size == 0:
                    return
                if self._conn_lost or self._closing:
                    self.lost_write()
                    return
                if self.outbox.size == 0:
                    done = self.send_now(cython.cast(cython.p_char, view.buf), size)
                # A copy, for the caller may change it; of what is left only.
                rest = PyBytes_FromStringAndSize(cython.cast(cython.p_char, view.buf) + done, size - done)
                size -= done
                done = 0
            finally:
                PyBuffer_Release(cython.address(view))
        if done >= size or self.ending:
            return
        self.outbox.append(rest, done)
        self.want(self.events | EPOLLOUT)
        self.maybe_pause()

    def writelines(self, list_of_data):
        """In one call to the kernel where that is possible: what several write to one pipe is mixed piece by piece."""
        chunks: list = list(list_of_data)
        size: cython.Py_ssize_t = 0
        for index in range(len(chunks)):
            chunk = chunks[index]
            if type(chunk) is not bytes:
                chunk = chunks[index] = bytes(memoryview(chunk))
            size += PyBytes_GET_SIZE(chunk)
        if size < LARGE or self._conn_lost or self._closing:
            self.write(b"".join(chunks))
            return
        waiting: cython.bint = self.outbox.size > 0
        for chunk in chunks:
            if PyBytes_GET_SIZE(chunk):
                self.outbox.append(chunk, 0)
        if not waiting:
            self.flush()
        if self.outbox.size and not self.ending:
            self.want(self.events | EPOLLOUT)
            self.maybe_pause()

    def send_now(self, data, size):
        """How much of it the kernel took; all of it, if the pipe is broken: there is nothing to keep."""
        done: cython.Py_ssize_t
        if self.socket:
            done = send(self.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        elif self.would_wait():
            return self.write_anyway(PyBytes_FromStringAndSize(data, size))
        else:
            done = write(self.fd, data, size)
        if done >= 0:
            return done
        if c_errno in (EAGAIN, EINTR):
            return 0
        self.write_failed(os_error(c_errno))
        return size

    def write_anyway(self, data):
        """The same, if the call waits."""
        try:
            return os.write(self.fd, data)
        except LATER:
            return 0
        except OSError as error:
            self.write_failed(error)
            return len(data)

    def flush(self):
        """Write what is queued, as far as the kernel takes it."""
        done: cython.Py_ssize_t
        if not self.socket and self.would_wait():
            first = cython.cast(bytes, PyList_GET_ITEM(self.outbox.chunks, self.outbox.first))
            done = self.write_anyway(first[self.outbox.offset :])
            if not self.ending:
                self.outbox.sent(done)
            return 0
        done = self.outbox.send(self.fd, self.socket)
        if done >= 0:
            self.outbox.sent(done)
        elif done != -EAGAIN:
            self.write_failed(os_error(-done))
        return 0

    def write_failed(self, error):
        self._conn_lost += 1
        return self.fatal(error, "Fatal write error on pipe transport")

    def write_ready(self):
        if self.ending or self.outbox.size == 0:
            return 0
        self.flush()
        if self.ending:
            return 0
        self.maybe_resume()  # which may write, or end it
        if self.outbox.size or self.ending:
            return 0
        if not self._closing:
            return self.want(self.events & ~cython.cast(uint32_t, EPOLLOUT))
        self.ending = True
        self.drop_interest()
        self._call_connection_lost(None)
        return 0

    def lost_write(self):
        if self._conn_lost >= LOST_WRITES:
            _logger.warning("pipe closed by peer or os.write(pipe, data) raised exception.")
        self._conn_lost += 1
        return 0

    def pending(self):
        return self.outbox.size

    def drop_output(self):
        self.outbox.clear()
        return 0

    # The end

    def can_write_eof(self):
        return True

    def write_eof(self):
        """What is queued is still written, and then the pipe closed."""
        if self._closing:
            return
        self._closing = True
        if self.outbox.size == 0:
            self.finish(None)

    def close(self):
        self.write_eof()

    def __repr__(self):
        info = self.state(EPOLLOUT)
        if self.file is not None:
            info.append(f"bufsize={self.outbox.size}")
        return f"<{' '.join(info)}>"

"""The transports of connect_read_pipe() and connect_write_pipe(): of pipes, FIFOs, sockets and character devices.

Theory of operation. What these do, and in which order, is what asyncio's do, but for this: what is queued goes out in
one vectored call for many pieces; resume_writing() comes when the buffer has drained to the low-water mark, as is
documented, and not only when it is empty; a second end, such as an abort() after close(), is none.

*Calls that wait.* That a descriptor does not block is a property of the open file, and so of whoever else has it open:
a terminal's is its shell's, too, and every program that is started on it may set it anew. A blocking call with the GIL
kept would stop every thread. So before each call the flag is looked at, which is a system call of the shortest kind;
to give the GIL up, and wait for a thread that computes to hand it back, can cost the interval of switching, 5 ms. Where
the flag is gone the call is Python's own, which gives the GIL up. Sockets have a flag of the call for it.

*Whoever reads is gone*: the writing end of a pipe then has an error (EPOLLERR), a socket is readable. Both are watched
for from the beginning. A terminal, which may well be readable for another reason, is not; there the next write fails.
As in asyncio a socket that is readable as it has been sent something counts as closed.

*One descriptor, two transports*: a terminal's is often given to one of each kind, and asyncio's loop has a place for a
reader and another for a writer. So on character devices events come by way of the loop's callbacks.
"""

import asyncio
import errno
import logging
import os
import stat

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._pipes is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF
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
    _PyBytes_Resize,
    bytes_data,
    new_bytes,
    recv,
    send,
)
from cython.cimports.loopwright._native._outbox import Outbox
from cython.cimports.loopwright._native._transport import os_error
from cython.cimports.posix.fcntl import F_GETFL, O_NONBLOCK, fcntl
from cython.cimports.posix.unistd import read, write

_logger = cython.declare(object, logging.getLogger("asyncio"))
_asyncio_read_transport = cython.declare(object, asyncio.ReadTransport)
#: What asyncio's transport of a pipe that is written to is, too.
_asyncio_transport = cython.declare(object, asyncio.Transport)
LOST_WRITES = cython.declare(cython.long, asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
LATER = cython.declare(tuple, (BlockingIOError, InterruptedError))

#: Bytes read at once, as in asyncio; the loop keeps a buffer of this size.
MOST = cython.declare(cython.Py_ssize_t, 262144)
#: And if `max_size` is set to whatever: no pipe holds more, and memory of this size can be had.
MOST_EVER = cython.declare(cython.Py_ssize_t, 16777216)
#: From how many bytes on what is read is a stream of large pieces, and what is written is not joined.
LARGE = cython.declare(cython.Py_ssize_t, 32768)


@cython.cclass
class PipeTransport(Transport):
    def __cinit__(self):
        self.ending = True  # as in Transport

    def take(self, loop, pipe, protocol, extra, kinds):
        """Make it this pipe's transport. ValueError for a file that is never waited for."""
        mode = os.fstat(pipe.fileno()).st_mode
        self.socket = stat.S_ISSOCK(mode)
        self.shared = stat.S_ISCHR(mode)
        if not (self.socket or self.shared or stat.S_ISFIFO(mode)):
            raise ValueError(kinds)
        os.set_blocking(pipe.fileno(), False)
        self.set_up(loop, pipe, protocol, extra, None)
        self.ending = False
        self._extra["pipe"] = pipe
        self.soon(protocol.connection_made, (self,))
        return 0

    @property
    def _pipe(self):
        return self.file

    @property
    def _fileno(self):
        return self.fd

    def would_wait(self):
        """Whether a call might, as somebody else who has this file open has set it so."""
        return not fcntl(self.fd, F_GETFL) & O_NONBLOCK

    # Events

    def want(self, events):
        if not self.shared:
            return Transport.want(self, events)
        changed: uint32_t = events ^ self.events
        if changed & EPOLLIN:
            if events & EPOLLIN:
                self.loop._add_reader(self.fd, self._on_readable, context=self._context)
            else:
                self.loop._remove_reader(self.fd)
        if changed & EPOLLOUT:
            if events & EPOLLOUT:
                self.loop._add_writer(self.fd, self._on_writable, context=self._context)
            else:
                self.loop._remove_writer(self.fd)
        self.events = events
        return 0

    def drop_interest(self):
        if self.events:
            self.want(0)
        return 0

    def _on_readable(self):
        self.read_ready()

    def _on_writable(self):
        self.write_ready()

    # The end

    def force_close(self, exception):
        if self.ending:
            return 0
        self.drop_output()
        return self.finish(exception)

    def finish(self, exception):
        self.ending = True
        self._closing = True
        self.drop_interest()
        return self.soon(self._call_connection_lost, (exception,))

    def state(self, event: uint32_t):
        """The beginning of a `repr()`."""
        info = [type(self).__name__]
        if self.file is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self.fd}")
        if self.file is not None:
            info.append("polling" if self.events & event else "idle")
        return info


@cython.cclass
class ReadPipeTransport(PipeTransport):
    """Reads from a pipe, as `asyncio.ReadTransport` describes it. `max_size`: bytes that are read at once at most."""

    def __init__(self, loop, pipe, protocol, waiter=None, extra=None):
        self.max_size = MOST
        self.take(loop, pipe, protocol, extra, "Pipe transport is for pipes/sockets only.")
        self.soon(self._begin, (waiter,))

    @property
    def __class__(self):
        return _asyncio_read_transport

    def _begin(self, waiter):
        """Read, now that the protocol knows of its transport; and tell whoever waits for that."""
        try:
            if not self._closing and not self._paused:
                self.want(EPOLLIN)
        finally:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def read_ready(self):
        if self._closing:
            return 0
        try:
            data = self.read_some()
        except OSError as error:
            return self.fatal(error, "Fatal read error on pipe transport")
        if data is None:
            return 0
        if not PyBytes_GET_SIZE(data):
            return self.read_end()
        self._protocol.data_received(data)
        return 0

    def read_some(self):
        """What there is to read; None for nothing yet, and nothing at the end."""
        size: cython.Py_ssize_t
        memory: cython.pointer(PyObject) = cython.NULL
        target: cython.p_char = self.loop.scratch
        most: cython.Py_ssize_t = min(self.max_size, MOST_EVER)
        if most <= 0 or (not self.socket and self.would_wait()):
            try:
                return os.read(self.fd, most)  # less than nothing is an error there
            except LATER:
                return None
        if self.large or most > MOST:
            memory = new_bytes(cython.NULL, most)
            if memory == cython.NULL:
                raise MemoryError
            target = bytes_data(memory)
        while True:
            size = recv(self.fd, target, most, MSG_DONTWAIT) if self.socket else read(self.fd, target, most)
            if size >= 0 or c_errno != EINTR:
                break
        failed: cython.int = c_errno
        if memory == cython.NULL:
            data = PyBytes_FromStringAndSize(target, size) if size >= 0 else None
        else:
            _PyBytes_Resize(cython.address(memory), max(size, 0))
            data = cython.cast(bytes, memory)
            Py_DECREF(data)
        if size < 0:
            if failed == EAGAIN:
                return None
            raise os_error(failed)
        self.large = size >= LARGE
        return data

    def read_end(self):
        if self.loop._debug:
            _logger.info("%r was closed by peer", self)
        self._closing = True
        self.drop_interest()
        self.soon(self._protocol.eof_received, ())
        return self.finish(None)

    def fatal(self, exception, message):
        # EIO is how a terminal's side says that the other is closed.
        if isinstance(exception, OSError) and exception.errno != errno.EIO:
            self.loop.call_exception_handler(
                {"message": message, "exception": exception, "transport": self, "protocol": self._protocol}
            )
            return self.force_close(exception)
        return Transport.fatal(self, exception, message)

    def close(self):
        if not self._closing:
            self.finish(None)

    def __repr__(self):
        return f"<{' '.join(self.state(EPOLLIN))}>"


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

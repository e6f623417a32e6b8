"""The transports of connect_read_pipe() and connect_write_pipe(): of pipes, FIFOs, sockets and character devices.

Here are what both have in common, and the one that reads; `_write_pipes.py` has the one that writes.

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

from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.libc.errno import EAGAIN, EINTR
from cython.cimports.libc.errno import errno as c_errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
    _PyBytes_Resize,
    bytes_data,
    lw_call_handling,
    new_bytes,
    recv,
)
from cython.cimports.loopwright._native._transport import os_error
from cython.cimports.posix.fcntl import F_GETFL, O_NONBLOCK, fcntl
from cython.cimports.posix.unistd import read

_logger = cython.declare(object, logging.getLogger("asyncio"))
_asyncio_read_transport = cython.declare(object, asyncio.ReadTransport)
LATER = cython.declare(tuple, (BlockingIOError, InterruptedError))

#: Bytes read at once, as in asyncio; the loop keeps a buffer of this size.
MOST = cython.declare(cython.Py_ssize_t, 262144)
#: And if `max_size` is set to whatever: no pipe holds more, and memory of this size can be had.
MOST_EVER = cython.declare(cython.Py_ssize_t, 16777216)
#: From how many bytes on what is read is a stream of large pieces.
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
            polling = "polling" if self.events & event else "idle"
            info.append("open" if self.loop.is_closed() else polling)
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
            lw_call_handling(
                self.loop,
                "call_exception_handler",
                {"message": message, "exception": exception, "transport": self, "protocol": self._protocol},
                exception,
            )
            return self.force_close(exception)
        return Transport.fatal(self, exception, message)

    def close(self):
        if not self._closing:
            self.finish(None)

    def __repr__(self):
        return f"<{' '.join(self.state(EPOLLIN))}>"

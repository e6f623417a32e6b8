"""What transports of sockets and pipes have in common: a protocol, flow control, and a way to their end.

Theory of operation. The order of what a protocol is told is asyncio's, by the same means: connection_made() and
connection_lost() are callbacks in the loop's queue; everything between is called from an event of the descriptor, or
from within a method of the transport. `_conn_lost` counts as it does in asyncio: from 1 on connection_lost() is queued
or was called, and what is written is thrown away, with a warning from the fifth time on.

All of a transport's callbacks run in one context, that of whoever made it (or the one given). asyncio before 3.14 makes
a copy for each callback it registers, and after resume_reading() runs data_received() in a copy of the caller's.

The loop holds a transport only while its descriptor is watched; so one that is paused and forgotten is collected, and
says so (ResourceWarning), as in asyncio.

System calls are made with the number that the socket object has then (`number_of`), not with the one that is watched:
where the program has closed the socket under its transport, the number may be another file's by now, and the kernel is
to say EBADF, as it does to asyncio.

To `isinstance()` these are asyncio's classes: they cannot inherit from them, as both have slots of their own.
"""

import _socket
import asyncio
import logging
import os
import socket
import warnings

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._transport is compiled code and does not run as plain Python")

from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    PyContext_CopyCurrent,
    PyContext_Enter,
    PyContext_Exit,
    lw_call_handling,
    lw_socket_number,
)
from cython.cimports.loopwright._native._poller import Watcher

_logger = cython.declare(object, logging.getLogger("asyncio"))
HIGH_WATER = cython.declare(cython.Py_ssize_t, 64 * 1024)
LOST_WRITES = cython.declare(cython.long, asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
ENDS_THE_PROGRAM = cython.declare(tuple, (SystemExit, KeyboardInterrupt))


@cython.cfunc
def _shows_its_number():
    """Whether a socket object's number is where CPython has had it since there are sockets."""
    with socket.socket(socket.AF_UNIX) as sock:
        shown = lw_socket_number(sock) == sock.fileno()
    return shown and lw_socket_number(sock) == -1


_sockets_show_numbers = cython.declare(cython.bint, _shows_its_number())


@cython.cclass
class Transport(Watcher):
    def __cinit__(self):
        self.fd = -1
        self._closing = True  # until it is set up: what was never made (copied, say) is closed to whoever uses it
        self._conn_lost = 1

    def set_up(self, loop, file, protocol, extra, context):
        if loop is None or self.loop is not None:
            raise TypeError("a transport is made once, of a loop")
        self.loop = loop
        self.fd = file.fileno()
        self.file = file
        self.is_socket = _sockets_show_numbers and isinstance(file, _socket.socket)
        self.high = HIGH_WATER
        self.low = HIGH_WATER // 4
        self._context = PyContext_CopyCurrent() if context is None else context
        self._extra = {} if extra is None else dict(extra)
        self.set_protocol(protocol)
        self._closing = False
        self._conn_lost = 0
        return 0

    # Events

    def on_events(self, events):
        context = self._context
        PyContext_Enter(context)
        try:
            if events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP) and self.events & EPOLLIN:
                self.read_ready()
            if events & (EPOLLOUT | EPOLLHUP | EPOLLERR) and self.events & EPOLLOUT:
                self.write_ready()
        finally:
            PyContext_Exit(context)
        return 0

    # Each subclass has those of the events that it asks for.

    def read_ready(self):
        raise NotImplementedError

    def write_ready(self):
        raise NotImplementedError

    def want(self, events):
        if self.loop._closed and events & ~self.events:
            raise RuntimeError("Event loop is closed")
        self.loop.poller.watch(self, events)
        return 0

    def drop_interest(self):
        if self.events:
            self.loop.poller.watch(self, 0)
        return 0

    def soon(self, callback, args):
        if self.loop._closed:
            raise RuntimeError("Event loop is closed")
        self.loop.queue(callback, args, self._context)
        return 0

    # asyncio.BaseTransport

    def get_extra_info(self, name, default=None):
        if name not in self._extra:
            self.learn(name)
        return self._extra.get(name, default)

    def learn(self, name):
        """What few ask for, and an idle connection is the smaller without: found out when it is asked for."""
        return 0

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol

    def is_closing(self):
        return self._closing

    def abort(self):
        self.force_close(None)

    @property
    def _loop(self):
        return self.loop

    # asyncio.ReadTransport, for those that are

    def is_reading(self):
        return not self._closing and not self._paused

    def pause_reading(self):
        if self._closing or self._paused:
            return
        self._paused = True
        self.want(self.events & ~cython.cast(uint32_t, EPOLLIN))
        if self.loop._debug:
            _logger.debug("%r pauses reading", self)

    def resume_reading(self):
        if self._closing or not self._paused:
            return
        self._paused = False
        self.want(self.events | EPOLLIN)
        if self.loop._debug:
            _logger.debug("%r resumes reading", self)

    # asyncio.WriteTransport, for those that are

    def get_write_buffer_limits(self):
        return (self.low, self.high)

    def set_write_buffer_limits(self, high=None, low=None):
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high = high
        self.low = low
        self.maybe_pause()

    def get_write_buffer_size(self):
        return self.pending()

    def pending(self):
        return 0

    def drop_output(self):
        return 0

    def maybe_pause(self):
        if self._protocol_paused or self.pending() <= self.high:
            return 0
        self._protocol_paused = True
        try:
            self._protocol.pause_writing()
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            self.protocol_failed("pause_writing", error)
        return 0

    def maybe_resume(self):
        if not self._protocol_paused or self.pending() > self.low:
            return 0
        self._protocol_paused = False
        try:
            self._protocol.resume_writing()
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            self.protocol_failed("resume_writing", error)
        return 0

    def protocol_failed(self, method, exception):
        lw_call_handling(
            self.loop,
            "call_exception_handler",
            {
                "message": f"protocol.{method}() failed",
                "exception": exception,
                "transport": self,
                "protocol": self._protocol,
            },
            exception,
        )
        return 0

    def lost_write(self):
        if self._conn_lost >= LOST_WRITES:
            _logger.warning("socket.send() raised exception.")
        self._conn_lost += 1
        return 0

    # The end

    def close(self):
        if self._closing:
            return
        self._closing = True
        if self.pending():
            self.want(self.events & ~cython.cast(uint32_t, EPOLLIN))
        else:
            self.drop_interest()
            self._conn_lost += 1
            self.soon(self._call_connection_lost, (None,))

    def fatal(self, exception, message):
        """End the connection for an error; one that is not the peer's or the kernel's doing is reported."""
        if isinstance(exception, OSError):
            if self.loop._debug:
                _logger.debug("%r: %s", self, message, exc_info=exception)
        else:
            lw_call_handling(
                self.loop,
                "call_exception_handler",
                {"message": message, "exception": exception, "transport": self, "protocol": self._protocol},
                exception,
            )
        return self.force_close(exception)

    def force_close(self, exception):
        if self._conn_lost:
            return 0
        self.drop_output()
        self._closing = True
        self.drop_interest()
        self._conn_lost += 1
        return self.soon(self._call_connection_lost, (exception,))

    def _fatal_error(self, exc, message="Fatal error on transport"):
        """By this name sslproto knows it."""
        if self.loop is not None:
            self.fatal(exc, message)

    def _force_close(self, exc):
        """Likewise."""
        self.force_close(exc)

    def _call_connection_lost(self, exc):
        try:
            self._protocol.connection_lost(exc)
        finally:
            file = self.file
            self.file, self.is_socket = None, False
            self._protocol = None
            server = self._server
            self._server = None
            if file is not None:
                file.close()
            if server is not None:
                detach(server, self)

    def __del__(self):
        if self.file is None:
            return
        warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=1)
        file = self.file
        self.file, self.is_socket = None, False
        file.close()
        if self._server is not None:
            detach(self._server, self)

    def __repr__(self):
        info = [type(self).__name__]
        if self.file is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self.fd}")
        if self.loop is not None and not self.loop._closed and self.file is not None:
            info.append("read=polling" if self.events & EPOLLIN else "read=idle")
            state = "polling" if self.events & EPOLLOUT else "idle"
            info.append(f"write=<{state}, bufsize={self.pending()}>")
        return f"<{' '.join(info)}>"


#: Since 3.12.1 a server knows its transports, and takes them by name.
_knows_transports = cython.declare(cython.bint, asyncio.base_events.Server._attach.__code__.co_argcount > 1)


@cython.ccall
def attach(server, transport):
    if _knows_transports:
        server._attach(transport)
    else:
        server._attach()


@cython.ccall
def detach(server, transport):
    if _knows_transports:
        server._detach(transport)
    else:
        server._detach()


@cython.ccall
def os_error(number: cython.int):
    """The OSError of an errno, of the class that belongs to it."""
    return OSError(number, os.strerror(number))

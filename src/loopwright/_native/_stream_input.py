"""The reading half of a stream's transport.

Theory of operation. One recv(2) an event, into a buffer that the loop keeps, of which the bytes that came are copied;
what fills much of it, a stream of large pieces, is from then on read into a new `bytes` at once, which is cut to its
length. A BufferedProtocol's own buffer is read into directly. Both calls keep the GIL: none waits.
"""

import asyncio
import logging

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._stream_input is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.libc.errno import EAGAIN, EINTR, errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLIN,
    MSG_DONTWAIT,
    PyBytes_FromStringAndSize,
    _PyBytes_Resize,
    bytes_data,
    lw_call_method,
    lw_fetch,
    lw_raise,
    new_bytes,
    recv,
)
from cython.cimports.loopwright._native._transport import number_of, os_error

_logger = cython.declare(object, logging.getLogger("asyncio"))
_BufferedProtocol = cython.declare(object, asyncio.BufferedProtocol)
ENDS_THE_PROGRAM = cython.declare(tuple, (SystemExit, KeyboardInterrupt))

#: Bytes read at once, and from how many on a stream is one of large pieces.
MOST = cython.declare(cython.Py_ssize_t, 262144)
LARGE = cython.declare(cython.Py_ssize_t, 32768)


@cython.cclass
class StreamInput(Transport):
    def set_protocol(self, protocol):
        self.buffered = isinstance(protocol, _BufferedProtocol)
        self._protocol = protocol

    def read_ready(self):
        if self._conn_lost:
            return 0
        if self.buffered:
            return self.read_into_buffer()
        return self.read_data()

    def read_data(self):
        size: cython.Py_ssize_t
        memory: cython.pointer(PyObject) = cython.NULL
        result: cython.pointer(PyObject)
        if self.large:
            memory = new_bytes(cython.NULL, MOST)
            if memory == cython.NULL:
                raise MemoryError
            size = recv(number_of(self), bytes_data(memory), MOST, MSG_DONTWAIT)
            if size <= 0:
                Py_DECREF(cython.cast(object, memory))
        else:
            size = recv(number_of(self), self.loop.scratch, MOST, MSG_DONTWAIT)
        if size < 0:
            return self.read_failed(errno)
        if size == 0:
            return self.read_end()
        if self.large:
            _PyBytes_Resize(cython.address(memory), size)
            data = cython.cast(object, memory)
            Py_DECREF(data)
        else:
            data = PyBytes_FromStringAndSize(self.loop.scratch, size)
        self.large = size >= LARGE
        result = lw_call_method(self._protocol, "data_received", data)
        if result == cython.NULL:
            exception = lw_fetch()
            if isinstance(exception, ENDS_THE_PROGRAM):
                return lw_raise(exception)
            return self.fatal(exception, "Fatal error: protocol.data_received() call failed.")
        Py_DECREF(cython.cast(object, result))
        return 0

    def read_into_buffer(self):
        view: Py_buffer
        size: cython.Py_ssize_t
        number: cython.int
        try:
            buffer = self._protocol.get_buffer(-1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")  # noqa: TRY301 - reported like its own
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            return self.fatal(error, "Fatal error: protocol.get_buffer() call failed.")
        try:
            PyObject_GetBuffer(buffer, cython.address(view), PyBUF_SIMPLE | PyBUF_WRITABLE)
        except BaseException as error:
            return self.fatal(error, "Fatal read error on socket transport")
        size = recv(number_of(self), view.buf, view.len, MSG_DONTWAIT)
        number = errno
        PyBuffer_Release(cython.address(view))
        if size < 0:
            return self.read_failed(number)
        if size == 0:
            return self.read_end()
        try:
            self._protocol.buffer_updated(size)
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            return self.fatal(error, "Fatal error: protocol.buffer_updated() call failed.")
        return 0

    def read_failed(self, number):
        if number in (EAGAIN, EINTR):
            return 0
        return self.fatal(os_error(number), "Fatal read error on socket transport")

    def read_end(self):
        if self.loop._debug:
            _logger.debug("%r received EOF", self)
        try:
            keep_open = self._protocol.eof_received()
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            return self.fatal(error, "Fatal error: protocol.eof_received() call failed.")
        if keep_open:
            # It may still write, but there is nothing more to read, and the kernel would say so for ever.
            self.want(self.events & ~cython.cast(uint32_t, EPOLLIN))
        else:
            self.close()
        return 0

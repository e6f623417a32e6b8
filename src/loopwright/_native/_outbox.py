"""What a transport was given to write and could not write yet: many chunks, handed to the kernel in one call.

Only `bytes` are kept, and none is copied again: what is left of the first is an offset. So what a caller does to a buffer
of his own after write() never reaches the wire.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._outbox is compiled code and does not run as plain Python")

from cython.cimports.libc.errno import EINTR, errno
from cython.cimports.libc.string import memset
from cython.cimports.loopwright._native._asyncio import (
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    PyBytes_AS_STRING,
    PyBytes_GET_SIZE,
    PyList_GET_ITEM,
    iovec,
    msghdr,
    sendmsg,
    writev,
)

#: Chunks of one call. The kernel takes 1024 (IOV_MAX); more than this is no faster.
MOST = cython.declare(cython.Py_ssize_t, 64)
#: Written chunks that may stay in the list, as None, before it is cut.
SLACK = cython.declare(cython.Py_ssize_t, 256)


@cython.final
@cython.cclass
class Outbox:
    def append(self, chunk, offset):
        """Queue what follows the offset, which only the first may have."""
        if self.chunks is None:  # most transports never need one
            self.chunks = []
        if self.size == 0:
            self.offset = offset
        self.chunks.append(chunk)
        self.size += PyBytes_GET_SIZE(chunk) - offset
        return 0

    def send(self, fd, socket):
        """Write what the kernel takes; how many bytes, or the negative errno."""
        vector: iovec[64]
        message: msghdr
        count: cython.Py_ssize_t = min(len(self.chunks) - self.first, MOST)
        index: cython.Py_ssize_t
        skip: cython.Py_ssize_t
        done: cython.Py_ssize_t
        for index in range(count):
            chunk = cython.cast(bytes, PyList_GET_ITEM(self.chunks, self.first + index))
            skip = self.offset if index == 0 else 0
            vector[index].iov_base = PyBytes_AS_STRING(chunk) + skip
            vector[index].iov_len = PyBytes_GET_SIZE(chunk) - skip
        if socket:
            memset(cython.address(message), 0, cython.sizeof(message))
            message.msg_iov = vector
            message.msg_iovlen = count
        while True:
            if socket:
                done = sendmsg(fd, cython.address(message), MSG_DONTWAIT | MSG_NOSIGNAL)
            else:
                done = writev(fd, vector, cython.cast(cython.int, count))
            if done >= 0:
                return done
            if errno != EINTR:
                return -errno

    def sent(self, size):
        """Forget so many bytes, from the first on."""
        length: cython.Py_ssize_t
        self.size -= size
        while size > 0:
            chunk = cython.cast(bytes, PyList_GET_ITEM(self.chunks, self.first))
            length = PyBytes_GET_SIZE(chunk) - self.offset
            if size < length:
                self.offset += size
                break
            size -= length
            self.chunks[self.first] = None
            self.first += 1
            self.offset = 0
        if self.size == 0:
            self.clear()
        elif self.first >= SLACK and 2 * self.first >= len(self.chunks):
            del self.chunks[: self.first]
            self.first = 0
        return 0

    def clear(self):
        if self.chunks is not None:
            self.chunks.clear()
        self.first = self.offset = self.size = 0
        return 0

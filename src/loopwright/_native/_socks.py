"""What the operations of sockets stand on: sock_recv(), sock_sendall() and the others (loops/_native_socks.py).

Theory of operation. An operation is tried at once. If it would block, it waits for a future that the next event of
its descriptor completes, and is tried again: nothing is read but by the task that gets it, so what was cancelled has
consumed nothing, however late the cancellation came.

*Interest is kept.* After an operation the descriptor stays in the kernel's set, by level, and the next one that has
to wait finds it there: requests and responses make no system calls but recv(2) and send(2). Where an event comes and
nobody waits, the interest is dropped. One event of that kind is let pass when reading: it is that of a task which was
woken and has not run yet. By edge instead (EPOLLET) such events would cost less, but a descriptor is by edge or by
level as a whole, and add_reader() promises level.

*Whose descriptor it is.* A socket that is closed leaves the kernel's set unseen, and its number comes back as another
socket. So interest counts as kept only for the same socket object, by a weak reference; for any other the kernel is
asked anew, and who still waits on the closed one is woken to find that it is closed. When the object is gone, so is
what the loop had of it. os.dup2() onto the number of a socket that is in use is the one thing this does not see.

*Several at once.* Reading and writing are apart. Of several operations that wait for the same, all are woken, the
newest first, and those that come too late wait again. (asyncio forgets all but the newest, for ever.) With
add_reader() and add_writer() it is as in asyncio: the newer takes the descriptor, be it callback or operation, and
what it is taken from is told nothing more; remove_reader() takes it from an operation, too.
"""

import weakref

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._socks is compiled code and does not run as plain Python")

from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF
from cython.cimports.libc.errno import EAGAIN, EINTR, errno
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    PyBytes_FromStringAndSize,
    _PyBytes_Resize,
    bytes_data,
    new_bytes,
    recv,
    send,
)
from cython.cimports.loopwright._native._core import LoopCore
from cython.cimports.loopwright._native._descriptors import Callbacks
from cython.cimports.loopwright._native._handles import Handle
from cython.cimports.loopwright._native._transport import os_error

#: Bytes: more than the loop's buffer holds are read into an object of their own.
SCRATCH = cython.declare(cython.Py_ssize_t, 262144)


class _SockReference(weakref.ref):
    __slots__ = ("fd",)


@cython.final
@cython.cclass
class Waiting:
    """The operations that wait for one direction of a socket."""

    def add(self, future):
        if self.active and not self.newest.done():
            if self.others is None:
                self.others = []
            self.others.append(self.newest)
        self.newest = future
        self.active = True
        return 0

    def wake(self):
        """Wake all, the newest first. Whether there was one that had not been cancelled."""
        newest = self.newest
        others = self.others
        woken: cython.bint = False
        self.newest = self.others = None
        self.active = False
        if not newest.done():
            newest.set_result(None)
            woken = True
        if others is not None:
            for future in reversed(others):
                if not future.done():
                    future.set_result(None)
                    woken = True
        return woken

    def waits(self):
        """Whether there is one that was not cancelled."""
        if not self.active:
            return False
        if not self.newest.done():
            return True
        if self.others is not None:
            for future in self.others:
                if not future.done():
                    return True
        return False

    def leave(self):
        """Let them wait for ever. Whether there were any."""
        waited: cython.bint = self.waits()
        self.newest = self.others = None
        self.active = False
        return waited


@cython.final
@cython.cclass
class SockCallbacks(Callbacks):
    """The operations of a socket, and the callbacks of its descriptor."""

    def __cinit__(self):
        self.reading = Waiting.__new__(Waiting)
        self.writing = Waiting.__new__(Waiting)

    def on_events(self, events):
        dropped: uint32_t = 0
        writer: Handle = self.writer  # that of now: what the reader's callback sets is for another event
        if events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP):
            if self.reader is not None:
                self.loop.run_now(self.reader)
            else:
                dropped |= self.wake_reading()
        if events & (EPOLLOUT | EPOLLERR | EPOLLHUP):
            if writer is not None:
                self.loop.run_now(writer)
            else:
                dropped |= self.wake_writing()
        if dropped and self.loop.poller.at(self.fd) is self:  # a callback may have given it to a transport
            self.loop.poller.watch(self, (self.events & ~dropped) | self.wanted())
        return 0

    def wake_reading(self):
        """Whoever waits for something to read. What the kernel need not tell any longer."""
        if self.reading.active:
            self.looked_twice = False
            return 0 if self.reading.wake() else EPOLLIN
        if self.events & EPOLLIN and not self.looked_twice:
            self.looked_twice = True
            return 0
        return self.events & EPOLLIN

    def wake_writing(self):
        if self.writing.active:
            return 0 if self.writing.wake() else EPOLLOUT
        return self.events & EPOLLOUT

    def wanted(self):
        events: uint32_t = Callbacks.wanted(self)
        if self.reading.waits():
            events |= EPOLLIN
        if self.writing.waits():
            events |= EPOLLOUT
        return events

    def settle(self):
        if self.sock is not None:
            sock = self.sock()
            if sock is None or sock.fileno() != self.fd:
                self.sock = None
                self.wake_all()
        return 0

    def leave(self, direction):
        return self.reading.leave() if direction == EPOLLIN else self.writing.leave()

    def displaced(self):
        """A transport has the descriptor: whoever waits is to try again, and to be told that."""
        self.events = 0
        return self.wake_all()

    def want(self, direction):
        """Have the kernel tell of this too; what it tells already is kept."""
        if self.events & direction:
            return 0
        try:
            self.loop.poller.watch(self, (self.events & (EPOLLIN | EPOLLOUT)) | self.wanted())
        except OSError:
            self.wake_all()  # to find the same
            raise
        return 0

    def wake_all(self):
        if self.reading.active:
            self.reading.wake()
        if self.writing.active:
            self.writing.wake()
        return 0


@cython.cfunc
def _callbacks(loop: LoopCore, sock, fd: cython.int) -> SockCallbacks:
    """What the loop has of the socket, made if there is nothing yet."""
    found = loop.poller.at(fd)
    callbacks: SockCallbacks
    if type(found) is SockCallbacks:
        callbacks = found
        if callbacks.sock is not None and callbacks.sock() is sock:
            return callbacks
        callbacks.events = 0  # that is what is known of it
        callbacks.wake_all()
    else:
        callbacks = SockCallbacks.__new__(SockCallbacks)
        callbacks.fd = fd
        callbacks.loop = loop
        if isinstance(found, Callbacks):
            callbacks.reader = cython.cast(Callbacks, found).reader
            callbacks.writer = cython.cast(Callbacks, found).writer
    callbacks.sock = _SockReference(sock, loop._forget_sock)
    callbacks.sock.fd = fd
    return callbacks


def readable(loop: LoopCore, sock):
    """A future that is done when the socket, which has just refused to give, may have something.

    Raises RuntimeError if a transport has it, OSError if it cannot be watched.
    """
    fd: cython.int = sock.fileno()
    if fd in loop._transports.data:
        loop._ensure_fd_no_transport(fd)
    callbacks = _callbacks(loop, sock, fd)
    future = loop.create_future()
    if callbacks.reader is not None:
        callbacks.reader.cancel()
        callbacks.reader = None
    callbacks.reading.add(future)
    callbacks.want(EPOLLIN)
    return future


def writable(loop: LoopCore, sock):
    """The same for one that has just refused to take."""
    fd: cython.int = sock.fileno()
    if fd in loop._transports.data:
        loop._ensure_fd_no_transport(fd)
    callbacks = _callbacks(loop, sock, fd)
    future = loop.create_future()
    if callbacks.writer is not None:
        callbacks.writer.cancel()
        callbacks.writer = None
    callbacks.writing.add(future)
    callbacks.want(EPOLLOUT)
    return future


def forget(loop: LoopCore, reference):
    """The socket object is gone."""
    callbacks: SockCallbacks
    found = loop.poller.at(reference.fd)
    if type(found) is SockCallbacks:
        callbacks = found
        if callbacks.sock is reference:
            callbacks.sock = None
            callbacks.events = 0
            try:
                loop.poller.watch(callbacks, callbacks.wanted())
            except OSError:  # its descriptor was closed with it, under whoever has a callback there
                callbacks.wake_all()


def recv_now(loop: LoopCore, sock, size: cython.Py_ssize_t):
    """As socket.recv(); None if it would block."""
    done: cython.Py_ssize_t
    fd: cython.int
    number: cython.int
    memory: cython.pointer(PyObject)
    if size <= 0:
        return sock.recv(size)  # which asks the kernel nothing, or raises
    fd = sock.fileno()
    if size <= SCRATCH:
        done = recv(fd, loop.scratch, size, MSG_DONTWAIT)
        if done >= 0:
            return PyBytes_FromStringAndSize(loop.scratch, done)
    else:
        memory = new_bytes(cython.NULL, size)
        if memory == cython.NULL:
            raise MemoryError
        done = recv(fd, bytes_data(memory), size, MSG_DONTWAIT)
        if done >= 0:
            _PyBytes_Resize(cython.address(memory), done)
            data = cython.cast(object, memory)
            Py_DECREF(data)
            return data
        number = errno
        Py_DECREF(cython.cast(object, memory))
        return _failed(number)
    return _failed(errno)


def recv_into_now(sock, buffer):
    """As socket.recv_into(); None if it would block."""
    view: Py_buffer
    done: cython.Py_ssize_t
    fd: cython.int = sock.fileno()
    try:
        PyObject_GetBuffer(buffer, cython.address(view), PyBUF_SIMPLE | PyBUF_WRITABLE)
    except (TypeError, BufferError):
        return sock.recv_into(buffer)  # its words are asyncio's
    if view.len == 0:
        PyBuffer_Release(cython.address(view))
        return 0
    done = recv(fd, view.buf, view.len, MSG_DONTWAIT)
    number: cython.int = errno
    PyBuffer_Release(cython.address(view))
    if done >= 0:
        return done
    return _failed(number)


def send_now(sock, data, start: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """As socket.send() of what comes after `start` bytes. How many of all are sent; -1 when that is all."""
    view: Py_buffer
    done: cython.Py_ssize_t
    size: cython.Py_ssize_t
    fd: cython.int = sock.fileno()
    PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
    size = view.len - start
    if size < 0:
        PyBuffer_Release(cython.address(view))
        raise ValueError(f"the buffer has shrunk to {size + start} bytes, of which {start} were sent")
    done = send(fd, cython.cast(cython.p_char, view.buf) + start, size, MSG_DONTWAIT | MSG_NOSIGNAL)
    number: cython.int = errno
    PyBuffer_Release(cython.address(view))
    if done < 0:
        _failed(number)
        done = 0
    return -1 if done == size else start + done


@cython.cfunc
def _failed(number: cython.int):
    """None if the call that failed with this would have blocked."""
    if number not in (EAGAIN, EINTR):
        raise os_error(number)

"""The callbacks of add_reader() and add_writer()."""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._descriptors is compiled code and does not run as plain Python")

from cython.cimports.libc.stdint import uint32_t
from cython.cimports.loopwright._native._asyncio import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from cython.cimports.loopwright._native._calls import CallingLoop
from cython.cimports.loopwright._native._handles import Handle
from cython.cimports.loopwright._native._poller import Watcher


@cython.cclass
class Callbacks(Watcher):
    """The callbacks of add_reader() and add_writer() for a descriptor."""

    def on_events(self, events):
        # An error or a hang-up is everybody's: whoever reads or writes next is told which.
        reader: Handle = self.reader
        writer: Handle = self.writer  # that of now: what the reader's callback sets is for another event
        if reader is not None and events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP):
            self.loop.run_now(reader)
        if writer is not None and events & (EPOLLOUT | EPOLLERR | EPOLLHUP):
            self.loop.run_now(writer)
        return 0

    def wanted(self):
        """The events that somebody is to be told of."""
        return (EPOLLIN if self.reader is not None else 0) | (EPOLLOUT if self.writer is not None else 0)

    def settle(self):
        """For `SockCallbacks`: the number counts from here on, whatever socket it is."""
        return 0

    def leave(self, _direction):
        """For `SockCallbacks`: nobody waits for this any longer. Whether somebody did."""
        return False


@cython.cclass
class WatchingLoop(CallingLoop):
    def _watched(self):
        """Of each descriptor that is watched: its number, the events (of `selectors`), and who is told."""
        watcher: Watcher
        found = []
        for entry in self.poller.table:
            if entry is not None:
                watcher = entry
                data = (entry.reader, entry.writer) if isinstance(entry, Callbacks) else entry
                wanted: uint32_t = watcher.events
                if isinstance(entry, Callbacks):
                    wanted = cython.cast(Callbacks, entry).wanted()
                events = (1 if wanted & EPOLLIN else 0) | (2 if wanted & EPOLLOUT else 0)
                if events:
                    found.append((watcher.fd, events, data))
        return found

    def callbacks_of(self, fd):
        watcher = self.poller.at(fd)
        if isinstance(watcher, Callbacks):
            callbacks: Callbacks = watcher
            callbacks.settle()
            return callbacks
        made: Callbacks = Callbacks.__new__(Callbacks)
        made.fd = fd
        made.loop = self
        return made

    def check_free(self, fd):
        """That no transport has it. asyncio's own check is in Python; it is asked where there may be one."""
        if type(fd) is not int or fd in self._transports.data:
            self._ensure_fd_no_transport(fd)
        return 0

    def add_reader(self, fd, callback, *args):
        self.check_free(fd)
        self._add_reader(fd, callback, *args)

    def add_writer(self, fd, callback, *args):
        self.check_free(fd)
        self._add_writer(fd, callback, *args)

    def _add_reader(self, fd, callback, *args, context=None):
        if self._closed:
            raise RuntimeError("Event loop is closed")
        callbacks = self.callbacks_of(_number(fd))
        handle = self.new_handle(callback, args, context)
        before = callbacks.reader
        callbacks.leave(EPOLLIN)
        self.poller.watch_anew(callbacks, callbacks.wanted() | EPOLLIN)
        callbacks.reader = handle
        if before is not None:
            before.cancel()
        return handle

    def _add_writer(self, fd, callback, *args, context=None):
        if self._closed:
            raise RuntimeError("Event loop is closed")
        callbacks = self.callbacks_of(_number(fd))
        handle = self.new_handle(callback, args, context)
        before = callbacks.writer
        callbacks.leave(EPOLLOUT)
        self.poller.watch_anew(callbacks, callbacks.wanted() | EPOLLOUT)
        callbacks.writer = handle
        if before is not None:
            before.cancel()
        return handle

    def _remove_reader(self, fd):
        if self._closed:
            return False
        callbacks = self.callbacks_of(_number(fd))
        reader = callbacks.reader
        waited: cython.bint = callbacks.leave(EPOLLIN)
        callbacks.reader = None
        self.poller.watch(callbacks, callbacks.wanted())
        if reader is None:
            return waited
        reader.cancel()
        return True

    def _remove_writer(self, fd):
        if self._closed:
            return False
        callbacks = self.callbacks_of(_number(fd))
        writer = callbacks.writer
        waited: cython.bint = callbacks.leave(EPOLLOUT)
        callbacks.writer = None
        self.poller.watch(callbacks, callbacks.wanted())
        if writer is None:
            return waited
        writer.cancel()
        return True


@cython.cfunc
@cython.exceptval(-1)
def _number(fd) -> cython.int:
    """A descriptor's number, of what `selectors` takes for one, and with its errors."""
    number: cython.int
    if type(fd) is not int:
        if isinstance(fd, int):
            number = fd
        else:
            try:
                number = int(fd.fileno())
            except (AttributeError, TypeError, ValueError):
                raise ValueError(f"Invalid file object: {fd!r}") from None
    else:
        number = fd
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    return number

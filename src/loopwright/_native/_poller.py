"""Which descriptors are ready, by epoll(7), and a way for other threads to wake whoever waits for that.

Theory of operation.

*Who is told.* `table` has the `Watcher` of each descriptor that epoll was asked about. An event carries the
descriptor's number and the serial of the registration, and is dropped if the table has another one there by then: so an
event of a descriptor that was closed, and its number used again within one round of events, reaches nobody it is not
meant for. Events that were found and not yet passed on when a callback ends the run (KeyboardInterrupt) are passed on
in the next.

*Descriptors closed behind our back* leave the kernel's set by themselves, and the table does not know. What
epoll_ctl(2) then says of the number (EEXIST, ENOENT) is what counts, not what was remembered. One that was closed while
a copy of it lives on (dup(2), a fork) stays in the set, and can no longer be taken out of it: where an event is
reported again and again that is nobody's, the set is made anew.

*Waking.* `wake()` writes to an eventfd only if the loop sleeps; `sleeping` is changed with the GIL held. It is watched
by edge, so nobody has to read it. Of its 64 bits none can overflow in the life of a machine.

*Time.* epoll_pwait2(2) takes nanoseconds (Linux 5.11). Where it is not, or a sandbox forbids it, timeouts are rounded
up to milliseconds, lest a timer fires early.

*The GIL* is kept while epoll is asked without waiting, which takes a third of a microsecond: to give it up and get it
back behind a thread that computes costs the interval of switching, 5 ms, each time. So a busy loop asks before it
waits, for as long as there is an answer: its next event has come while it saw to the last one.

*A fork* leaves the child with the parent's epoll instance: what the child changes changes for both. So before its first
use there it makes one of its own, and asks it about all that the table has (`generation`).
"""

import logging
import os

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._poller is compiled code and does not run as plain Python")

from cython.cimports.libc.errno import EEXIST, EINTR, ENOENT, ENOSYS, EPERM, errno
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.loopwright._native._asyncio import (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLET,
    EPOLLIN,
    PyErr_CheckSignals,
    PyList_GET_ITEM,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    eventfd,
    lw_epoll_pwait2,
    timespec,
)
from cython.cimports.posix.unistd import close, write

_logger = cython.declare(object, logging.getLogger("asyncio"))
#: Events that are fetched at a time. More of them wait in the kernel, in turn.
MOST = cython.declare(cython.int, 512)
#: Seconds: a day, as in asyncio. What is later is slept for in pieces.
LONGEST = cython.declare(cython.double, 86400.0)
WAKEUP = cython.declare(uint64_t, 0)
#: Looks in which the same event was nobody's, after which epoll gets a new set.
ORPHANED = cython.declare(cython.int, 16)

#: Waits that are begun at once, after one before which epoll was asked in vain whether there is need to wait.
UNASKED = cython.declare(cython.int, 15)

#: How many forks lie between this process and the first.
_generation = cython.declare(cython.ulong, 0)


def _forked():
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_forked)


@cython.cclass
class Watcher:
    """Something that wants to be told of a descriptor's events."""

    def on_events(self, events):
        raise NotImplementedError  # only subclasses are ever watched for

    def displaced(self):
        """Another has its descriptor from now on."""
        return 0

    def _on_events(self, events):
        """The same, as a callback that is queued."""
        self.on_events(events)


@cython.final
@cython.cclass
class Poller:
    def __cinit__(self):
        self.epoll = self.wakeup = -1
        self.table = [None] * 64
        self.found = cython.cast(cython.pointer(epoll_event), malloc(MOST * cython.sizeof(epoll_event)))
        if self.found == cython.NULL:
            raise MemoryError
        self.open()

    def __dealloc__(self):
        self.close()
        free(self.found)

    def open(self):
        event: epoll_event
        epoll: cython.int = epoll_create1(EPOLL_CLOEXEC)
        if epoll < 0:
            raise OSError(errno, f"epoll_create1: {os.strerror(errno)}")
        wakeup: cython.int = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        event.events = EPOLLIN | EPOLLET
        event.data.u64 = WAKEUP
        if wakeup < 0 or epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, cython.address(event)) < 0:
            error: cython.int = errno
            close(epoll)
            if wakeup >= 0:
                close(wakeup)
            raise OSError(error, f"eventfd: {os.strerror(error)}")
        self.epoll = epoll
        self.wakeup = wakeup
        self.generation = _generation
        return 0

    def at(self, fd):
        """The watcher of this descriptor, or None."""
        return self.table[fd] if 0 <= fd < len(self.table) else None

    def watch(self, watcher, events):
        """Tell `watcher` of these events of its descriptor from now on, by level; with 0, of none."""
        if self.generation != _generation and self.epoll >= 0:
            self.follow_fork()
        if self.at(watcher.fd) is not watcher:
            return self.begin(watcher, events) if events else 0
        if not events:
            self.table[watcher.fd] = None
            watcher.events = 0
            self.control(EPOLL_CTL_DEL, watcher, 0)  # it may have been closed, and so be gone already
            return 0
        if events == watcher.events:
            return 0
        failed: cython.int = self.control(EPOLL_CTL_MOD, watcher, events)
        if failed == ENOENT:
            failed = self.control(EPOLL_CTL_ADD, watcher, events)
        watcher.events = 0 if failed else events
        if failed:
            self.table[watcher.fd] = None
            raise OSError(failed, os.strerror(failed))
        return 0

    def begin(self, watcher, events):
        fd: cython.int = watcher.fd
        self.serial += 1
        if self.serial == 0:  # that is the wake-up's
            self.serial = 1
        watcher.serial = self.serial
        failed: cython.int = self.control(EPOLL_CTL_ADD, watcher, events)
        if failed == EEXIST:
            failed = self.control(EPOLL_CTL_MOD, watcher, events)
        watcher.events = 0 if failed else events
        if failed:
            raise OSError(failed, os.strerror(failed))
        if len(self.table) <= fd:  # only now: the kernel has said that there is a descriptor of this number
            try:
                self.table.extend([None] * (max(2 * len(self.table), fd + 1) - len(self.table)))
            except MemoryError:
                self.control(EPOLL_CTL_DEL, watcher, 0)
                watcher.events = 0
                raise
        before = self.table[fd]
        self.table[fd] = watcher
        if before is not None:
            cython.cast(Watcher, before).displaced()
        return 0

    def watch_anew(self, watcher, events):
        """The same, and the kernel is asked even if nothing changes: the number may be another file's by now."""
        if self.at(watcher.fd) is watcher and events == watcher.events:
            watcher.events = 0
        return self.watch(watcher, events)

    def control(self, operation, watcher, events):
        event: epoll_event
        event.events = events
        event.data.u64 = (cython.cast(uint64_t, watcher.serial) << 32) | cython.cast(uint32_t, watcher.fd)
        if epoll_ctl(self.epoll, operation, watcher.fd, cython.address(event)) < 0:
            return errno
        return 0

    def follow_fork(self):
        watcher: Watcher
        epoll: cython.int = self.epoll
        wakeup: cython.int = self.wakeup
        self.n_found = self.next_found = 0
        self.open()
        if epoll >= 0:
            close(epoll)
            close(wakeup)
        for entry in self.table:
            if entry is not None:
                watcher = entry
                self.control(EPOLL_CTL_ADD, watcher, watcher.events)
        return 0

    def dropped(self, data):
        """An event was nobody's: of a descriptor that was closed in this very round, or one that comes for ever."""
        if self.orphans == 0:
            self.orphan = data
        if self.orphan == data:
            self.orphans += 1

    def count_orphans(self):
        if self.orphans == self.orphans_before:  # it did not come again
            self.orphans = 0
        elif self.orphans >= ORPHANED:
            self.orphans = 0
            try:
                self.follow_fork()
            except OSError as error:  # there is no descriptor left for it now
                _logger.warning("cannot stop watching a descriptor that was closed here: %s", error)
        self.orphans_before = self.orphans
        return 0

    def look(self, timeout):
        """Fetch what is ready, waiting for so many seconds at most; for ever if that is negative."""
        found: cython.int
        failed: cython.int = 0
        milliseconds: cython.int
        time: timespec
        self.sleeping = timeout != 0  # from here on: what follows may run code, and so other threads
        if self.generation != _generation:
            self.follow_fork()
        if self.orphans:
            self.count_orphans()
        found = 0
        if timeout == 0 or self.unasked == 0:
            found = epoll_wait(self.epoll, self.found, MOST, 0)
            failed = errno
            self.unasked = 0 if found > 0 else UNASKED
        else:
            self.unasked -= 1
        self.waited = timeout != 0 and found == 0
        if self.waited and timeout < 0:
            with cython.nogil:
                found = epoll_wait(self.epoll, self.found, MOST, -1)
                failed = errno
        elif self.waited:
            timeout = min(timeout, LONGEST)
            if not self.without_pwait2:
                time.tv_sec = cython.cast(cython.long, timeout)
                time.tv_nsec = min(cython.cast(cython.long, (timeout - time.tv_sec) * 1e9) + 1, 999999999)
                with cython.nogil:
                    found = lw_epoll_pwait2(self.epoll, self.found, MOST, cython.address(time))
                    failed = errno
                self.without_pwait2 = found < 0 and failed in (ENOSYS, EPERM)
            if self.without_pwait2:
                milliseconds = cython.cast(cython.int, timeout * 1e3) + 1
                with cython.nogil:
                    found = epoll_wait(self.epoll, self.found, MOST, milliseconds)
                    failed = errno
        self.sleeping = False
        self.next_found = 0
        self.n_found = max(found, 0)
        if found < 0 and failed != EINTR:
            raise OSError(failed, f"the event loop cannot wait: {os.strerror(failed)}")
        if found < 0:
            PyErr_CheckSignals()
        return 0

    def next_ready(self, events):
        """The watcher whose turn it is, and in `events` what happened; None if there is no more."""
        data: uint64_t
        fd: cython.Py_ssize_t
        watcher: Watcher
        while self.next_found < self.n_found:
            data = self.found[self.next_found].data.u64
            events[0] = self.found[self.next_found].events
            self.next_found += 1
            fd = cython.cast(uint32_t, data)  # its lower half
            if data == WAKEUP:
                continue
            if fd < len(self.table):
                entry = cython.cast(object, PyList_GET_ITEM(self.table, fd))
                if entry is not None:
                    watcher = cython.cast(Watcher, entry)
                    if watcher.serial == data >> 32:
                        return watcher
            self.dropped(data)
        return None

    def wake(self):
        """Have the loop look at what is ready; from any thread, and any process that it was forked into."""
        one: uint64_t = 1
        if self.sleeping:
            self.sleeping = False
            if self.generation == _generation:
                write(self.wakeup, cython.address(one), 8)

    def close(self):
        epoll: cython.int = self.epoll
        wakeup: cython.int = self.wakeup
        self.epoll = self.wakeup = -1
        self.n_found = self.next_found = 0
        self.table = [None]
        if epoll >= 0:
            close(epoll)
            close(wakeup)

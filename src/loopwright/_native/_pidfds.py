"""Many pidfds behind one descriptor, and what became of those that are readable.

Theory of operation. A process descriptor becomes readable when its process has ended (pidfd_open(2)). All of a loop's
pidfds sit in one epoll set, and the loop watches that set's own descriptor: one `add_reader` however many children
there are, on any loop that can watch a descriptor.

`drain()` asks the kernel about each readable pidfd with `waitid(P_PIDFD, ..., WEXITED | WNOWAIT)`: it reads the status
and leaves the zombie, so the pid cannot be reused while somebody still owes it a signal. The raw system call has a
fifth argument that glibc's wrapper (and so Python's `os.waitid`) hides: the resource usage. With it, code, signal, core
flag and usage come from one call, and nothing has to be reaped to learn them. That is why this module is compiled.

Rules:
- EPOLLONESHOT: an event is told once. While a child that is just being started still shares the descriptor table,
  closing a pidfd does not take it out of the set, so it could be told again and its key used after it was dropped.
- Keys, never descriptors, name an entry: a descriptor's number is reused at once, a key not before 2**32 others. The
  kernel keeps both beside the event, packed into the 64 bits it gives a caller: key above, descriptor below.
- One set belongs to one loop and one process. Two loops on one set steal each other's events; a forked child that
  removes an entry removes its parent's. Whoever owns this object rebuilds it after a fork.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._pidfds is compiled code and does not run as plain Python")

from cython.cimports.cpython.exc import PyErr_SetFromErrno
from cython.cimports.libc.errno import EINTR, ENOENT, errno
from cython.cimports.libc.string import memset
from cython.cimports.loopwright._native._child import lw_reap_number
from cython.cimports.loopwright._native._linux import (
    CLOCK_MONOTONIC,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLIN,
    EPOLLONESHOT,
    TFD_CLOEXEC,
    TFD_NONBLOCK,
    WEXITED,
    WNOHANG,
    WNOWAIT,
    SYS_waitid,
    close,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    itimerspec,
    rusage,
    siginfo_t,
    syscall,
    timerfd_create,
    timerfd_settime,
)
from cython.cimports.loopwright._native._statuses import status_from, usage_of

P_PIDFD = cython.declare(cython.int, 3)  # Linux 5.4; older C libraries lack the name
BATCH = cython.declare(cython.int, 256)


@cython.final
@cython.cclass
@cython.cclass
class PidfdSet:
    """An epoll set of pidfds. Not thread-safe: it belongs to the thread that runs its loop.

    After `close()` nothing is left to hear, and what needs the set raises ValueError.
    """

    _epoll: cython.int
    _alarm: cython.int
    #: What `hear()` has still to tell.
    _left: list

    def __cinit__(self):
        self._left = []
        self._epoll = self._alarm = -1
        self._epoll = epoll_create1(EPOLL_CLOEXEC)
        if self._epoll < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        self.close()

    def fileno(self) -> int:
        """The set's own descriptor, readable while an entry is; ValueError after `close()`."""
        self._check_open()
        return self._epoll

    def add(self, pidfd: cython.int, key: cython.ulonglong):
        """Tell of `pidfd` once, under `key`. OSError as epoll_ctl(2): EEXIST, EBADF, ENOSPC, ENOMEM.

        Of what has the key 0, which need not be a pidfd, it is told while it is readable.
        """
        self._control(EPOLL_CTL_ADD, pidfd, key)

    def add_or_hear(self, pidfd: cython.int, key: cython.ulonglong) -> bool:
        """As `add()`, unless it has ended already: `hear()` tells of it then, if it is called. Whether it was added.

        To ask costs a third of a microsecond; to be told of it later, several, and maybe a switch from another task.
        """
        self._check_open()
        told: tuple = _ask(key, pidfd)
        pid: cython.int = told[1]
        if pid > 0:
            self._left.insert(0, told)
            return False
        self._control(EPOLL_CTL_ADD, pidfd, key)
        return True

    def rearm(self, pidfd: cython.int, key: cython.ulonglong):
        """Tell of a pidfd once more that was told of before."""
        self._control(EPOLL_CTL_MOD, pidfd, key)

    def alarm(self, nanoseconds: cython.long, key: cython.ulonglong):
        """Tell once, under `key`, when so much time has passed; an alarm that was set before is forgotten.

        A timer of the kernel's: one of the loop's gives each wait of its poller a limit, and to set and take back one
        that is nearer than the scheduler's tick is dear, above all in a virtual machine.
        """
        when: itimerspec
        self._check_open()
        if self._alarm < 0:
            self._alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
            if self._alarm < 0:
                PyErr_SetFromErrno(OSError)
            self._control(EPOLL_CTL_ADD, self._alarm, key)
        else:
            self._control(EPOLL_CTL_MOD, self._alarm, key)
        memset(cython.address(when), 0, cython.sizeof(when))
        when.it_value.tv_sec = nanoseconds // 1_000_000_000
        when.it_value.tv_nsec = nanoseconds % 1_000_000_000
        if timerfd_settime(self._alarm, 0, cython.address(when), cython.NULL) < 0:
            PyErr_SetFromErrno(OSError)

    def discard(self, pidfd: cython.int):
        """Stop watching `pidfd`, if it is watched. To be called before it is closed."""
        event: epoll_event
        if self._epoll < 0 or epoll_ctl(self._epoll, EPOLL_CTL_DEL, pidfd, cython.address(event)) == 0:
            return
        if errno != ENOENT:
            PyErr_SetFromErrno(OSError)

    def drain(self) -> list:
        """All that has ended and was not told yet, as (key, pid, si_code, si_status, usage).

        `usage` is a tuple in the order of `ResourceUsage`'s fields. `pid` is 0 where the kernel does not give the
        process up yet (it is being traced, ptrace(2)): rearm it later. `pid` is -1 and `si_code` the errno where it
        cannot be asked about any more: ECHILD means that something else reaped it. Of what was added under the key 0,
        which need not be a pidfd, it only says that it is readable.
        """
        events: epoll_event[256]
        told: list = []
        count: cython.int
        index: cython.int
        packed: cython.ulonglong
        self._check_open()
        while True:
            count = epoll_wait(self._epoll, events, BATCH, 0)
            if count < 0:
                if errno == EINTR:
                    continue
                PyErr_SetFromErrno(OSError)
            for index in range(count):
                packed = events[index].data.u64
                if packed >> 32 == 0 or cython.cast(cython.int, packed & 0xFFFFFFFF) == self._alarm:
                    told.append((packed >> 32, 0, 0, 0, None))
                else:
                    told.append(_ask(packed >> 32, packed & 0xFFFFFFFF))
            if count < BATCH:
                return told

    def hear(self, children: dict, heard: list, rest: list):
        """Tell of all that has ended as a loop does, and add the rest, as `drain()` gives it, to `rest`.

        `children` has under each key a pair: the `Child`, and what is called with its status. One that has ended is
        taken out, added to `heard`, and called for. If what is called raises, that is raised, and `is_left()` says
        whether there is more to be heard, by calling this again; after KeyboardInterrupt that one, too, once. All of
        it is one step, because it is what stands between an exit and those who wait for it: in Python it took twice as
        long, with cold caches three times.
        Nothing after `close()`: in a forked child, a loop's call may still be queued that the parent wants.
        """
        told: list = self._left
        if self._epoll < 0:
            return
        if not told:
            told = self.drain()
            told.reverse()  # so that the first can be taken off its end
            self._left = told
        while told:
            each: tuple = told.pop()
            pid: cython.int = each[1]
            if pid <= 0:
                rest.append(each)
                continue
            entry = children.pop(each[0], None)
            if entry is None:
                continue
            child, on_exit = entry
            status = status_from(each[2], each[3], each[4])
            told_before = child.status is not None
            child.status = status
            heard.append(child)
            try:
                on_exit(status)
            except Exception:
                raise
            except BaseException:
                if not told_before:  # Ctrl-C as a rule, which may have come before it did anything
                    children[each[0]] = entry
                    told.append(each)
                raise

    def is_left(self) -> bool:
        """Whether `hear()` was left before its end."""
        return self._epoll >= 0 and bool(self._left)

    def close(self):
        """Close the set, not the pidfds in it. Idempotent."""
        if self._alarm >= 0:
            close(self._alarm)
            self._alarm = -1
        if self._epoll >= 0:
            close(self._epoll)
            self._epoll = -1

    @cython.cfunc
    def _check_open(self) -> object:
        if self._epoll < 0:
            raise ValueError("this set of pidfds is closed")
        return None

    @cython.cfunc
    def _control(self, operation: cython.int, pidfd: cython.int, key: cython.ulonglong) -> object:
        event: epoll_event
        self._check_open()
        event.events = EPOLLIN | EPOLLONESHOT if key else EPOLLIN
        event.data.u64 = (key << 32) | cython.cast(cython.uint, pidfd)
        if epoll_ctl(self._epoll, operation, pidfd, cython.address(event)) < 0:
            PyErr_SetFromErrno(OSError)
        return None


def reap(pidfd: cython.int) -> int:
    """Reap the process that has ended, and close its descriptor in any case; the errno of what went wrong, or 0.

    ECHILD where somebody else reaped it. Never waits.
    """
    info: siginfo_t
    wrong: cython.int = 0
    while syscall(SYS_waitid, P_PIDFD, pidfd, cython.address(info), WEXITED | WNOHANG, cython.NULL) < 0:
        wrong = errno
        if wrong != EINTR:
            break
        wrong = 0
    close(pidfd)
    return wrong


def reap_number(pid: cython.int):
    """Reap the process that has ended, by its number, which must be its own still. Never waits."""
    lw_reap_number(pid)


@cython.cfunc
def _ask(key: cython.ulonglong, pidfd: cython.int) -> object:
    """What became of one process, left unreaped."""
    info: siginfo_t
    used: rusage
    memset(cython.address(info), 0, cython.sizeof(info))
    how: cython.int = WEXITED | WNOWAIT | WNOHANG
    while syscall(SYS_waitid, P_PIDFD, pidfd, cython.address(info), how, cython.address(used)) < 0:
        if errno != EINTR:
            return (key, -1, errno, 0, None)
    if info.si_pid == 0:
        return (key, 0, 0, 0, None)
    return (key, info.si_pid, info.si_code, info.si_status, usage_of(cython.address(used)))

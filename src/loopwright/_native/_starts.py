"""Starting programs: in the calling thread, or by the workers.

`Start` is one program to be started, with all that the child needs laid out in memory that no Python object can move.
`run()` starts it in the calling thread, without the GIL. `submit()` has a worker do that, and it comes back through the
`StartPort` of the loop that asked (`_deliveries.py` says how). A `Start` that is dropped with a child that nobody took
kills and reaps it.
"""

import cython

if not cython.compiled:
    raise ImportError("loopwright._native._starts is compiled code and does not run as plain Python")

from cython.cimports.cpython.exc import PyErr_SetFromErrno
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.libc.stdint import uint32_t  # noqa: F401 - named in a cast
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.loopwright._native import _child
from cython.cimports.loopwright._native._deliveries import close_port, collect, collect_unwanted, disown
from cython.cimports.loopwright._native._layout import encoded, environment, limits_of, numbers, pointers
from cython.cimports.loopwright._native._slots import DONE, NEW, QUEUED, Node, Port
from cython.cimports.loopwright._native._statuses import status_of
from cython.cimports.loopwright._native._workers import begin_here, open_shop, pending, queue, reopen_shop, shop
from cython.cimports.posix.unistd import close

CAN_CLONE = bool(_child.LW_CAN_CLONE)

#: `enum lw_flag` of _child.h, for those who ask.
NEW_SESSION = _child.LW_NEW_SESSION
TAKE_TERMINAL = _child.LW_TAKE_TERMINAL
CLOSE_FDS = _child.LW_CLOSE_FDS
RESTORE_SIGNALS = _child.LW_RESTORE_SIGNALS
COPY_MEMORY = _child.LW_COPY_MEMORY
NEW_PID_NAMESPACE = _child.LW_NEW_PID_NAMESPACE
SETTLE_LATE = _child.LW_SETTLE_LATE

#: `enum lw_stage` of _child.h in words: what could not be done.
STAGES = (
    "start a process",
    "put its descriptors in order",
    "connect its standard streams",
    "make it lead a session",
    "set its process group",
    "give it the terminal",
    "go to its working directory",
    "set its niceness",
    "set its CPU affinity",
    "set its resource limits",
    "set its supplementary groups",
    "set its group",
    "set its user",
    "set its parent-death signal",
    "execute the program",
)


@cython.final
@cython.cclass
@cython.cclass
class StartPort:
    """Where starts that are done come back: one for each loop, whose thread alone may use it."""

    _port: Port

    def __cinit__(self):
        if not open_shop():
            raise MemoryError
        self._port.wakeup = _child.eventfd(0, _child.EFD_CLOEXEC | _child.EFD_NONBLOCK)
        if self._port.wakeup < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        if self._port.wakeup >= 0:
            close(self._port.wakeup)

    def fileno(self) -> int:
        """Readable when `drain()` would give something. -1 after `close()`."""
        return self._port.wakeup

    def has_done(self) -> bool:
        """Whether `drain()` would give something, about now."""
        return self._port.first != cython.NULL

    def drain(self) -> list:
        """The starts that are done since the last call."""
        done: list = []
        node = collect(shop(), cython.address(self._port))
        while node != cython.NULL:
            following = node.next
            start = cython.cast(object, node.owner)
            node.next = cython.NULL
            node.owner = cython.NULL
            done.append(start)
            Py_DECREF(start)
            node = following
        _empty_unwanted()
        return done

    def close(self):
        """Want nothing more: what is queued for it is not started, what is under way is killed. Idempotent."""
        if self._port.wakeup < 0:
            return
        close_port(shop(), cython.address(self._port))
        self.drain()
        close(self._port.wakeup)
        self._port.wakeup = -1


@cython.final
@cython.cclass
@cython.cclass
class Start:
    """One program to be started, once. All strings are bytes without a null byte in them; only `argv` may have other
    words too, which are encoded as `os.fsencode()` does: TypeError and ValueError for those that cannot be.

    `programs` are the paths to be tried in turn, or None for what `argv` begins with; `env` is a tuple of `NAME=value`,
    or None for what this program has now. `streams` are three descriptors, or -1 for this program's own and -2 for
    /dev/null. `keep` are descriptors to be left open, in ascending order. `extras` is None or (process_group, umask,
    niceness, death_signal, cgroup, uid, gid, groups, limits, cpus), with None for what is not asked for; limits are
    triples, `cpus` is a mask in bytes.
    """

    _node: cython.pointer(Node)
    _port: StartPort
    _held: object

    def __cinit__(self, programs, argv, env, folder, streams: tuple, flags: cython.int, keep, extras):
        order: cython.pointer(_child.lw_order)
        argv = encoded(argv)
        programs = argv[:1] if programs is None else programs
        if not open_shop():
            raise MemoryError
        self._node = cython.cast(cython.pointer(Node), calloc(1, cython.sizeof(Node)))
        if self._node == cython.NULL:
            raise MemoryError
        self._held = (programs, argv, env, folder)
        self._node.outcome.pid = self._node.outcome.pidfd = -1
        order = cython.address(self._node.order)
        order.programs = pointers(programs)
        order.argv = pointers(argv)
        order.envp = environment() if env is None else pointers(env)
        order.folder = cython.NULL if folder is None else cython.cast("const char *", cython.cast(bytes, folder))
        order.streams[0], order.streams[1], order.streams[2] = streams
        order.flags = flags
        order.file_mask = order.cgroup = order.uid = order.gid = -1
        order.mask = _child.lw_blocked_signals()
        order.parent = _child.getpid()
        if keep:
            order.n_keep = len(keep)
            order.keep = numbers(keep)
        if extras is not None:
            self._add_extras(extras)

    @cython.cfunc
    def _add_extras(self, extras: tuple) -> object:  # noqa: C901 - a list of ifs is what it is
        order: cython.pointer(_child.lw_order) = cython.address(self._node.order)
        group, file_mask, niceness, death_signal, cgroup, uid, gid, groups, limits, cpus = extras
        if group is not None:
            order.flags |= _child.LW_SET_GROUP
            order.process_group = group
        if file_mask is not None:
            order.file_mask = file_mask
        if niceness is not None:
            order.flags |= _child.LW_SET_NICE
            order.niceness = niceness
        if death_signal is not None:
            order.death_signal = death_signal
        if cgroup is not None:
            order.flags |= _child.LW_INTO_CGROUP
            order.cgroup = cgroup
        if uid is not None:
            order.uid = uid
        if gid is not None:
            order.gid = gid
        if groups is not None:
            order.flags |= _child.LW_SET_GROUPS
            order.n_groups = len(groups)
            order.groups = cython.cast("const uint32_t *", numbers(groups))
        if limits is not None:
            order.n_limits = len(limits)
            order.limits = limits_of(limits)
        if cpus is not None:
            self._held = (*self._held, cpus)
            order.cpu_bytes = len(cpus)
            order.cpus = cython.cast("const unsigned char *", cython.cast("const char *", cython.cast(bytes, cpus)))
        return None

    def __dealloc__(self):
        if self._node == cython.NULL:
            return
        self._end_child()  # if it was started, and nobody took it
        free(cython.cast(cython.p_void, self._node.order.programs))
        free(cython.cast(cython.p_void, self._node.order.argv))
        free(cython.cast(cython.p_void, self._node.order.envp))
        free(cython.cast(cython.p_void, self._node.order.keep))
        free(cython.cast(cython.p_void, self._node.order.groups))
        free(cython.cast(cython.p_void, self._node.order.limits))
        free(self._node)

    @property
    def error(self) -> int:
        """The errno of what went wrong; 0 if nothing did."""
        return self._node.outcome.error

    @property
    def stage(self) -> int:
        """What went wrong: an index of STAGES."""
        return self._node.outcome.stage

    def take(self) -> tuple:
        """The (pid, pidfd, status) of the child, which are the caller's from now on; (-1, -1, None) if there is none.

        A child that SETTLE_LATE was asked for, and that a worker has started, may have ended already: then it has a
        status, no pidfd, and is to be reaped by its number. Where it has neither, a descriptor is not to be had (there
        are too many, or a filter is in front of the kernel), or `was_reaped`.
        """
        outcome = cython.address(self._node.outcome)
        status: object = None
        if outcome.ended == _child.LW_ENDED:
            status = status_of(outcome.code, outcome.value, cython.address(outcome.used))
        taken = (outcome.pid, outcome.pidfd, status)
        outcome.pid = outcome.pidfd = -1
        return taken

    @property
    def was_reaped(self) -> bool:
        """Whether somebody else has reaped the child already: its number is its own no more."""
        return self._node.outcome.ended == _child.LW_TAKEN

    def run(self) -> bool:
        """Start it now, in this thread; whether it runs."""
        self._claim(DONE)
        with cython.nogil:
            begin_here(self._node)
        return self._node.outcome.error == 0

    @property
    def needs_worker(self) -> bool:
        """Whether it has a parent-death signal, which is sent when the thread ends that started it."""
        return self._node.order.death_signal != 0

    def submit(self, port: StartPort) -> bool:
        """Have a worker start it; it comes back through `port`. False if no worker can be had: `run()` it then."""
        node = self._node
        if port._port.wakeup < 0:
            raise ValueError("this port is closed")
        self._claim(QUEUED)
        self._port = port
        node.port = cython.address(port._port)
        node.owner = cython.cast(cython.pointer(PyObject), self)
        Py_INCREF(self)
        if queue(node):
            _empty_unwanted()
            return True
        node.state = NEW
        node.owner = cython.NULL
        Py_DECREF(self)
        return False

    def abandon(self):
        """Nobody wants it any more. Its child, if there will be or is one, is killed and reaped."""
        if self._node.order.parent != _child.getpid() or disown(shop(), self._node):
            self._end_child()

    @cython.cfunc
    @cython.exceptval(check=False)
    def _end_child(self) -> cython.void:
        if self._node.outcome.pid <= 0:
            return
        if self._node.order.parent != _child.getpid():  # a forked child of this program: it is its parent's child
            if self._node.outcome.pidfd >= 0:
                close(self._node.outcome.pidfd)
            self._node.outcome.pid = self._node.outcome.pidfd = -1
            return
        with cython.nogil:
            _child.lw_end(cython.address(self._node.outcome))

    @cython.cfunc
    def _claim(self, state: cython.int) -> object:
        if self._node.state != NEW:
            raise ValueError("this start was begun already")
        self._node.state = state
        return None


def forget_all():
    """In a forked child of this program: there are no workers, and nothing that was queued is its business."""
    if not reopen_shop():
        raise MemoryError


def busy() -> int:
    """How many starts are queued or under way in workers, about now."""
    return pending()


@cython.cfunc
def _empty_unwanted() -> object:
    node = collect_unwanted(shop())
    while node != cython.NULL:
        following = node.next
        start = cython.cast(object, node.owner)
        node.owner = cython.NULL
        Py_DECREF(start)
        node = following
    return None

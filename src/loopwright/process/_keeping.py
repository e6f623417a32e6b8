"""Putting a keeper above this program."""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import signal
import stat
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.errors import CallerError, MechanismUnavailableError
from loopwright.process import _cgroup, _keeper
from loopwright.process._standing import Standing, set_standing, standing

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

__all__ = ["Keeper", "has_ended", "keep", "keeper_obstacle"]

PR_SET_CHILD_SUBREAPER = 36  # prctl(2), Linux 3.4
PR_GET_CHILD_SUBREAPER = 37


@dataclass(frozen=True, slots=True, repr=False)
class Keeper:
    """The keeper above this program."""

    pid: int
    pidfd: int
    """Becomes readable when the keeper has ended."""
    cgroup: str | None = None
    """The folder in which every process that this program starts gets a cgroup of its own; None if they get none."""

    def __repr__(self) -> str:
        how = "has ended" if self.lost else "with cgroups" if self.cgroup is not None else "without cgroups"
        return f"<Keeper process {self.pid}: {how}>"

    @property
    def lost(self) -> bool:
        """Whether the keeper has ended, and keeps nothing any more."""
        return has_ended(self.pidfd)

    def when_lost(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called on the running loop if the keeper is killed. Once."""
        loop = asyncio.get_running_loop()

        def lost() -> None:
            loop.remove_reader(self.pidfd)
            callback()

        loop.add_reader(self.pidfd, lost)

    def forget(self) -> None:
        """Undo `when_lost()`, before the loop is closed."""
        asyncio.get_running_loop().remove_reader(self.pidfd)


def keeper_obstacle() -> str | None:
    """Why no keeper is possible on this machine, as half a sentence; None if one is."""
    if sys.platform != "linux":
        return f"subreapers and process descriptors are Linux's, and this is {sys.platform}"
    try:
        libc = _libc()
        os.close(os.pidfd_open(os.getpid()))
    except (ImportError, OSError) as error:
        return str(error)
    import ctypes

    answer = ctypes.c_int()
    if libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) != 0:
        return f"prctl(PR_GET_CHILD_SUBREAPER) says {os.strerror(ctypes.get_errno())}"
    return None


def has_ended(pidfd: int) -> bool:
    """Whether the process of a pidfd has ended, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def keep(*, cgroup: bool = True) -> Keeper:
    """Split this program in two: the caller goes on in a child, under a keeper that takes over this process id.

    From then on, whatever the caller's process leaves running when it ends, in whatever way, is killed by the keeper:
    everything that descends from it, through process groups, sessions and daemonising. Signals that ask the process to
    end (INT, TERM, HUP, QUIT) are passed on to it, USR1 and USR2 if it does not leave them at their default, which
    would kill it; its exit status becomes the keeper's. It gets a process group of its own. `Keeper.when_lost()` tells
    if the keeper is killed.

    Where standard input is the terminal that this program has in its foreground, that group gets the foreground, and
    gives it back at the end. A shell sees one job: what Ctrl-Z stops is the program with its keeper, and `fg` continues
    both. SIGCONT sent to the keeper is passed on, and after a TERM or HUP a stopped program is continued, to hear it.

    What `spawn()` starts from then on gets a mark in its environment (LOOPWRIGHT_TREE), by which `Process.end()` finds
    daemons; and, where this user may make them, a cgroup of its own, unless `cgroup` is False. `Process.guarantee` says
    what that comes to.

    To be called early, before there are threads or a running event loop (fork(2) copies neither), and once: CallerError
    otherwise, and where a guard is in force. MechanismUnavailableError, an OSError, where `keeper_obstacle()` says why.
    Never unasked: a program that uses this library is not made a subreaper by it.
    """
    above = standing()
    if above is not None and not above.lost():
        what = "kept" if above.inherits else "guarded"
        raise CallerError(
            f"this program is {what} already, by process {above.pid}: one keeper or guard is enough"
            + ("" if above.inherits else "; dismiss the guard first")
        )
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise CallerError(f"keep() must be called while there is one thread; there are: {names}")
    if asyncio._get_running_loop() is not None:
        raise CallerError("keep() must be called before an event loop runs")
    if (obstacle := keeper_obstacle()) is not None:
        raise MechanismUnavailableError(f"no keeper is possible here: {obstacle}")
    # Both before the fork: the child must find a subreaper above it, and no signal may fall between the two.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _keeper.WAITED_FOR)
    _libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Ignored, as by a parent that does not care for its children, it would have the kernel reap without a status
    # (wait(2)), here, in the keeper and in every program that is started from here.
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    base = _new_base() if cgroup else None
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by whoever started this program
        stream.flush()
    keeper = os.getpid()
    pidfd = os.pidfd_open(keeper)
    has_terminal = _keeper.in_foreground() and not _is_pipe(1)
    child = os.fork()
    if child:
        os.close(pidfd)
        _become_keeper(child, base)
    os.setpgid(0, 0)
    if has_terminal:
        # Here, not by the keeper: what comes next must not run before it has the terminal.
        _keeper.give_terminal(os.getpid())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    kept = Keeper(keeper, pidfd, base)
    set_standing(Standing(keeper, inherits=True, lost=lambda: kept.lost, base=base))
    if base is not None:
        atexit.register(_clear_in_its_stead, kept, os.getpid())
    return kept


def _is_pipe(number: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:
        return False  # closed


def _new_base() -> str | None:
    try:
        base = _cgroup.make_base(os.getpid())
    except OSError:
        return None  # `cgroup_obstacle()` says why
    _cgroup.remove_strays(base)
    return base


def _clear_in_its_stead(keeper: Keeper, program: int) -> None:
    """What the keeper would have done with the cgroups, had it not been killed."""
    if keeper.cgroup is not None and keeper.lost and os.getpid() == program:
        _cgroup.clear(keeper.cgroup)


def _become_keeper(child: int, base: str | None) -> None:
    """Turn this process into the small program, which keeps pid, children, blocked signals and subreaper mark."""
    try:
        # S606: no shell is wanted, and every part of the command is ours.
        words = [str(child), base] if base is not None else [str(child)]
        os.execv(sys.executable, [sys.executable, "-I", "-S", _keeper.__file__, *words])  # noqa: S606
    except OSError as error:
        # The interpreter's file has gone, or there is no memory for another: this one can do it too, only larger.
        _keeper.tell(f"cannot become a program of its own ({error.strerror}); going on as I am")
        os._exit(_keeper.main(child, base))


def _libc() -> ctypes.CDLL:
    import ctypes  # here: only programs that ask for a keeper pay for it, and a Python may lack it

    return ctypes.CDLL(None, use_errno=True)

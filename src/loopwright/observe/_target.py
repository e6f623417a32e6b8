"""What a ProcessWatcher watches: how each kind of thing that stands for a process tells that it has ended, and how.

Theory of operation. A pid alone does not name a process for long: the kernel gives the number to another once the
first was reaped. So a target holds on to the process itself:

- A *pidfd* (pidfd_open(2)), opened when watching begins, means one process for ever, and becomes readable when that
  ends, whoever's child it is and without any privilege. Before that, a bare pid is held by its start time as well
  (psutil), compared once the pidfd is open.
- A process that has been started by this program and not reaped keeps its pid. It is looked at with WNOWAIT, so that
  whoever is to reap it still can; a child in Loopwright's ledger is held there until its status was read.
- How a process ended is told to its parent alone. For anybody else's child the answer is a `StatusLost` that says so.

Where pidfds do not work (not Linux, a seccomp filter, no descriptor left) the process is looked at every half a second.
"""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
from typing import TYPE_CHECKING

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import child_of
from loopwright.errors import NoSuchProcessError, NotAProcessError
from loopwright.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

    from loopwright._spawning import Child

__all__ = ["AsyncioTarget", "OwnTarget", "PidTarget", "PopenTarget", "Target", "target_for"]

#: Seconds between two looks where no pidfd can be had.
LOOKS = 0.5
#: Seconds that whoever took a status is given to write it down.
SETTLING = 5.0

Status = ExitStatus | StatusLost


def target_for(thing: object) -> Target:
    """The target for a pid, a Popen, an asyncio process or one of ours. NotAProcessError, NoSuchProcessError."""
    if isinstance(thing, Process):
        return OwnTarget(thing)
    if isinstance(thing, subprocess.Popen):
        return PopenTarget(thing)
    if isinstance(thing, asyncio.subprocess.Process):
        return AsyncioTarget(thing)
    if isinstance(thing, int) and not isinstance(thing, bool):
        return PidTarget(thing)
    raise NotAProcessError(
        "a ProcessWatcher takes a pid, a subprocess.Popen, an asyncio process, a Process of loopwright's, or a command "
        f"to start (a list, or the name of a program), not {thing!r}"
    )


class Target:
    """One process. `attach()` and `ended()` belong to one loop; `alive()` may be asked from any thread."""

    _pidfd = -1

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def known(self) -> Status | None:
        """How it ended, if that needs no look."""
        return None

    def attach(self) -> None:
        """Hold on to the process. NoSuchProcessError if it is gone, and how it ended is not known."""
        if self.known is not None:
            return
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.gone()
        except (AttributeError, OSError):
            return  # it is looked at instead

    def gone(self) -> None:
        """The pid names nothing; to raise, or to know better."""
        raise NoSuchProcessError(f"there is no process {self.pid}: it has ended and was reaped, or never was")

    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        if self.known is not None:
            return False
        pidfd = self._pidfd
        if pidfd < 0:
            return self.looks_alive()
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return not poll.poll(0)

    def looks_alive(self) -> bool:
        """`alive()` without a pidfd, of a child of this program that keeps its pid until it is reaped."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
        except ChildProcessError:
            return False

    async def ended(self) -> Status:
        """Wait until it has ended, and say how."""
        if self.known is None:
            if self._pidfd >= 0:
                await _readable(self._pidfd)
            else:
                while self.looks_alive():  # noqa: ASYNC110 - where nothing tells of it, looking is all there is
                    await asyncio.sleep(LOOKS)
        return self.known or await self.settle()

    async def settle(self) -> Status:
        """How it ended, now that it has."""
        return self.peek() or self.taken()

    def peek(self) -> ExitStatus | None:
        """How it ended, left unreaped; None if this program cannot know."""
        try:
            return self.look()
        except ChildProcessError:
            return None

    def look(self) -> ExitStatus | None:
        """How it ended, left unreaped; None if it runs. ChildProcessError if it is no child, or was reaped."""
        which = (os.P_PIDFD, self._pidfd) if self._pidfd >= 0 else (os.P_PID, self.pid)
        found = os.waitid(*which, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        return None if found is None else ExitStatus.from_siginfo(found.si_code, found.si_status)

    def taken(self) -> StatusLost:
        """What is said of a child of which something else took the status."""
        return StatusLost(f"something else in this program reaped process {self.pid} before its status could be read")

    def detach(self) -> None:
        """Let go. Idempotent."""
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def __del__(self) -> None:
        self.detach()  # a loop that was closed without its watchers


class PidTarget(Target):
    """A process of which only the pid is known; anybody's."""

    _child: Child | None = None
    _is_child = False

    def __init__(self, pid: int) -> None:
        if pid < 1:
            raise ValueError(f"a process id is 1 or more, not {pid}")
        super().__init__(pid)
        import psutil  # here: programs that hand in what knows more than a number need not load it

        try:
            self._facts: psutil.Process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self.gone()
        if self._facts.pid != pid or not _is_process(pid):
            raise NoSuchProcessError(f"{pid} is not the id of a process, but of a thread in one")

    def attach(self) -> None:
        self._child = child_of(self.pid)
        if self._child is not None:
            self._child.hold()
        super().attach()
        if not self._facts.is_running():  # compares the start times
            self.detach()
            self.gone()
        try:
            self.look()
            self._is_child = True
        except ChildProcessError:
            self._is_child = False

    def looks_alive(self) -> bool:
        import psutil

        try:
            return self._facts.is_running() and self._facts.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.NoSuchProcess:
            return False

    def taken(self) -> StatusLost:
        if self._is_child:
            return super().taken()
        return StatusLost(
            f"process {self.pid} is no child of this program, and how a process ended is told to its parent alone"
        )

    def detach(self) -> None:
        super().detach()
        child, self._child = self._child, None
        if child is not None:
            child.release()


class PopenTarget(Target):
    """A `subprocess.Popen`, which is reaped through its own `poll()`: unaware of it, it would report 0 later."""

    def __init__(self, popen: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
        super().__init__(popen.pid)
        self._popen = popen

    @property
    def known(self) -> Status | None:
        code = self._popen.returncode
        return None if code is None else ExitStatus.from_returncode(code)

    def gone(self) -> None:
        """Whoever reaped it may be about to say so in its returncode: `settle()` waits for that."""

    async def settle(self) -> Status:
        status: Status | None = self.peek()
        if status is None:
            # A thread in its wait() has reaped it, and writes the returncode a moment later. Not asked by poll(), which
            # says 0 for a status that somebody else took.
            await _until(lambda: self._popen.returncode is not None)
            status = self.known
        self._popen.poll()
        return status or self.taken()


class AsyncioTarget(Target):
    """An `asyncio.subprocess.Process`, on its loop."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process.pid)
        self._process = process

    @property
    def known(self) -> Status | None:
        code = self._process.returncode
        return None if code is None else self._told(code)

    def gone(self) -> None:
        """Its loop has reaped it and says so in a moment: `settle()` waits for that."""

    async def settle(self) -> Status:
        status: Status | None = self.peek()
        if status is None:
            await _until(lambda: self._process.returncode is not None)
            status = self.known
        return status or self.taken()

    def _told(self, code: int) -> Status:
        if code == 255:
            return StatusLost(
                f"asyncio says 255 of process {self.pid}, as it does too where it could not learn the status"
            )
        return ExitStatus.from_returncode(code)


class OwnTarget(Target):
    """A `Process` of ours, on its loop, whose own watching is as good as any."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.pid)
        self._process = process

    @property
    def known(self) -> Status | None:
        return self._process.status

    def attach(self) -> None:
        self._process._check_loop("watch")

    async def ended(self) -> Status:
        return await self._process.wait()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def on_readable() -> None:
        loop.remove_reader(descriptor)
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(descriptor, on_readable)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for a moment that is about to come, but not for ever."""
    deadline = asyncio.get_running_loop().time() + SETTLING
    while not condition() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)


def _is_process(pid: int) -> bool:
    """Linux has /proc/TID for threads that are not the first of their process, and psutil takes them (proc(5))."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - one line is wanted of it
            return all(int(line.split()[1]) == pid for line in file if line.startswith(b"Tgid:"))
    except OSError:
        return True  # no /proc here, and so no threads in it

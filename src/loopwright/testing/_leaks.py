"""What a piece of code left behind: descriptors, threads, tasks, loops and child processes, by name.

Theory of operation
-------------------
A snapshot is taken before and compared after. Each kind is read where it cannot hide, whatever made it:

- *Descriptors* from /proc/self/fd (proc(5)), each identified by number, device and inode: a number that was
  closed and opened again for another file is a leak, a file that was merely renamed is not.
- *Threads* from `threading.enumerate()`. Those that Python did not start (a library's own pthreads, of which
  it only learns when they call in) are left out: nobody can join them. So is Loopwright's reaper: it is there
  for children of closed loops, which are reported, and ends by itself after them.
- *Tasks and loops* from the garbage collector's own list. asyncio keeps a register of tasks too, but a
  private one that changed its shape in 3.12 and in 3.14, and it keeps none of loops. No collection is forced
  first: what only a collection would end has leaked. What an automatic collection swept away in between is
  known from the complaint that asyncio logs for a pending task. The list has every object of the program: where
  there are many and checks are frequent, as in a test run, `gc.freeze()` after the imports, and now and then
  again, takes those off it.
- *Children* from /proc/PID/stat (proc(5)), identified by pid and start time. A zombie counts: somebody forgot
  to wait for it.

Things that are just ending get a grace period before they count. What a library opens once for a whole
process, such as the pipe of libuv's signal handling, would be blamed on whoever used it first: use such a
library once beforehand.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from loopwright.errors import LeakError, MechanismUnavailableError
from loopwright.watchers import _reaper

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Leak", "LeakCheck"]

POLL = 0.01
OF_INTEREST = (asyncio.Task, asyncio.AbstractEventLoop)
PROC = Path("/proc")
#: What Loopwright itself keeps from the first start of a program on (`_native/_slots.py`).
OURS = "/memfd:loopwright-slot"
#: It ends by itself, a while after the children for which it is there, which are reported.
REAPER = _reaper.NAME
#: __WALL of waitid(2): children too whose end is told by no signal, or another than SIGCHLD (clone(2)).
WALL = 0x4000_0000
#: How asyncio complains (Lib/asyncio/tasks.py and Modules/_asynciomodule.c, the same since 3.4).
DESTROYED = "Task was destroyed but it is pending!"


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """One thing that was left behind."""

    kind: str
    """`child`, `descriptor`, `loop`, `task` or `thread`."""
    what: str
    """Enough to find it by: a descriptor's target, a thread's name, a child's pid and command line."""

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


class LeakCheck:
    """A block of code that must leave nothing behind: `with LeakCheck(): ...`.

    LeakError at the end of the block if it left a descriptor, thread, task, event loop or child process that
    is still there after `grace` seconds; if the block itself raises, that exception stands and the leaks
    become a note on it. The end of the block waits, without giving way to a running loop, for up to `grace`
    seconds, and only if something is left. MechanismUnavailableError, at the start, where there is no /proc.

    It sees the whole process: what other threads open in the meantime counts too. Use it from one thread at a
    time. An object may be used for one block after another.
    """

    def __init__(self, *, grace: float = 1.0) -> None:
        if not grace >= 0:
            raise ValueError(f"grace must be a number of seconds, 0 or more, not {grace!r}")
        self._grace = grace
        self._destroyed = _DestroyedTasks()
        self._before: _Snapshot | None = None

    def __enter__(self) -> Self:
        self._before = _Snapshot.take()
        self._destroyed.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            leaks = self.leaks()
            if leaks:
                gc.collect()  # a leaked task that is swept away later would be blamed on a later block
        finally:
            self._destroyed.stop()
            self._before = None
        if not leaks:
            return
        report = "\n".join([f"left behind: {len(leaks)}", *(f"  {leak}" for leak in leaks)])
        if error is None:
            raise LeakError(report)
        error.add_note(report)

    def leaks(self) -> tuple[Leak, ...]:
        """What is there now that was not there when the block began, sorted; empty if nothing is.

        Waits up to `grace` seconds for it to be empty. RuntimeError outside the block.
        """
        if self._before is None:
            raise RuntimeError(
                "leaks() compares with the start of a block: call it inside `with LeakCheck() as check:`"
            )
        deadline = time.monotonic() + self._grace
        while True:
            found = self._before.added() + self._destroyed.found
            if not found or time.monotonic() >= deadline:
                return tuple(sorted(found))
            time.sleep(POLL)


class _Child(NamedTuple):
    pid: int
    started: int  # clock ticks since boot: with the pid, unique


class _Descriptor(NamedTuple):
    number: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    descriptors: set[_Descriptor]
    threads: set[threading.Thread]
    running: weakref.WeakSet[Any]  # loops and tasks; weak, or the check would itself keep them
    children: dict[_Child, str]

    @classmethod
    def take(cls) -> _Snapshot:
        return cls(_descriptors(), _threads(), weakref.WeakSet(_loops_and_tasks()), _children())

    def added(self) -> list[Leak]:
        children = _children()
        targets = {key: _target(key) for key in _descriptors() - self.descriptors}
        return [
            *(Leak("child", children[key]) for key in children.keys() - self.children.keys()),
            *(
                Leak("descriptor", f"{key.number}: {target}")
                for key, target in targets.items()
                if not target.startswith(OURS)
            ),
            *(
                Leak("task" if isinstance(item, asyncio.Task) else "loop", repr(item))
                for item in _loops_and_tasks()
                if item not in self.running
            ),
            *(
                Leak("thread", f"{thread.name!r}{' (daemon)' if thread.daemon else ''}")
                for thread in _threads() - self.threads
            ),
        ]


class _DestroyedTasks(logging.Handler):
    """Remembers tasks that were collected while pending: no list shows them any more."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[Leak] = []

    def start(self) -> None:
        self.found = []
        logging.getLogger("asyncio").addHandler(self)

    def stop(self) -> None:
        logging.getLogger("asyncio").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        # The task is in the text only: BaseEventLoop.default_exception_handler() formats before it logs.
        headline, *details = record.getMessage().splitlines()
        if headline == DESTROYED:
            self.found.append(Leak("task", f"collected while pending: {' '.join(details)}"))


def _descriptors() -> set[_Descriptor]:
    found = set()
    for name in _listed(PROC / "self" / "fd"):
        try:
            facts = os.fstat(int(name))
        except OSError:
            continue  # closed since it was listed; the one that did the listing always is
        found.add(_Descriptor(int(name), facts.st_dev, facts.st_ino))
    return found


def _target(descriptor: _Descriptor) -> str:
    try:
        return str((PROC / "self" / "fd" / str(descriptor.number)).readlink())
    except OSError as error:
        return f"closed just now ({error.strerror})"


def _threads() -> set[threading.Thread]:
    return {
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) and thread.name != REAPER
    }


def _loops_and_tasks() -> list[Any]:
    objects = gc.get_objects()
    # By type first: that runs in C, and most of the time not one of the types is of interest.
    wanted = {kind for kind in set(map(type, objects)) if issubclass(kind, OF_INTEREST)}
    return [item for item in objects if type(item) in wanted and _is_open(item)] if wanted else []


def _is_open(item: Any) -> bool:
    if isinstance(item, asyncio.Task):
        return not item.done()
    try:
        return not item.is_closed()
    except (AttributeError, NotImplementedError):
        return False  # its __init__ never ran, or it is a sketch of a loop that has nothing to close


def _children() -> dict[_Child, str]:
    try:
        # The usual answer is that there are none, and it spares a look at every process of the machine.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG | WALL)
    except ChildProcessError:
        return {}
    found = {}
    me = os.getpid()
    for name in _listed(PROC):
        if not name.isdigit():
            continue
        try:
            stat = (PROC / name / "stat").read_bytes()
            # The program's name, in parentheses, may itself hold both: the fields come after the last of them.
            title, _, rest = stat.rpartition(b")")
            fields = rest.split()
            if int(fields[1]) != me:
                continue
            command = (PROC / name / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended, and was waited for, since it was listed
        shown = (command.rstrip(b"\0").replace(b"\0", b" ") or title.partition(b"(")[2]).decode(errors="replace")
        state = " (zombie: nobody waited for it)" if fields[0] == b"Z" else ""
        found[_Child(int(name), int(fields[19]))] = f"{name}: {shown}{state}"
    return found


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - the names are all that is wanted, several times a test
    except FileNotFoundError as error:
        raise MechanismUnavailableError(
            error.errno, f"finding leaks needs Linux's /proc: there is no {folder} here"
        ) from error

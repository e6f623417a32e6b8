"""Every process there is, out of /proc, and signals that meet none but the one that was seen.

Theory of operation. A pid is a number that somebody else may have by the time it is used. A process is known here by
its pid *and* its start time (proc_pid_stat(5), field 22: clock ticks since boot). To signal one, its pidfd is opened
first, and its start time read again after that: if it still is the one that was seen, it has had the number all the
while, so the pidfd is its own, and the signal goes through the pidfd (pidfd_send_signal(2)), which can only meet that
process. Two processes that have the same number within one tick (10 ms) cannot be told apart: for that, every number
there is would have to be used up within the tick.

A look at /proc is not one moment: processes start and end while it lasts. Whoever decides looks again until what is
seen does not change.

It uses nothing but the standard library and imports nothing of ours, because the guard runs it without the rest.
"""

from __future__ import annotations

import enum
import os
import signal
import time
from dataclasses import dataclass

__all__ = [
    "MARK",
    "Identity",
    "Seen",
    "Sent",
    "above",
    "ancestors",
    "children",
    "look",
    "marks",
    "read",
    "send",
    "ticks_now",
]

#: The environment variable by which a tree's orphans are known: marks with colons between, the outermost first.
MARK = "LOOPWRIGHT_TREE"
MARK_PREFIX = MARK.encode() + b"="
#: How much of an environment is read. A mark stands where the starter's environment put it, near the end as a rule;
#: execve(2) allows some megabytes at most.
ENVIRONMENT = 8 << 20
#: How often a list of children is asked for until it is the same twice.
CHILDREN_ASKED = 6


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A process, and no other that has had or will have its number."""

    pid: int
    started: int
    """Clock ticks since boot."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look saw of one process."""

    pid: int
    started: int
    parent: int
    group: int
    session: int
    state: str
    """One letter of proc_pid_stat(5): R, S, D, T (stopped), Z (zombie)..."""
    threads: int = 1
    name: str = ""

    @property
    def identity(self) -> Identity:
        """Its pid and start time."""
        return Identity(self.pid, self.started)

    @property
    def runs(self) -> bool:
        """Whether it has not ended. One whose first thread alone has ended shows as a zombie with more threads."""
        return (self.state not in "ZXx") or self.threads > 1

    @property
    def stopped(self) -> bool:
        """Whether it does nothing, not even fork, until it is continued or killed."""
        return self.state in "Tt"


class Sent(enum.Enum):
    """What became of a signal."""

    YES = "it was sent"
    GONE = "the process has ended"
    REFUSED = "this user may not signal it"
    LATER = "no descriptor was free"


def look() -> dict[int, Seen]:
    """All processes that /proc shows, by pid; none where there is no /proc."""
    world = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - names are wanted, thousands of them, and no Path for each
    except OSError:
        return {}
    for name in names:
        if name.isdigit() and (seen := read(int(name))) is not None:
            world[seen.pid] = seen
    return world


def read(pid: int) -> Seen | None:
    """One process; None if there is none with that number."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = os.read(file, 4096)
    except OSError:
        return None  # ESRCH: it was reaped since
    finally:
        os.close(file)
    # proc_pid_stat(5): the name in parentheses may hold anything, so the fields are what follows the last one.
    title, _, rest = stat.rpartition(b") ")
    fields = rest.split()
    return Seen(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode(),
        threads=int(fields[17]),
        name=title.partition(b"(")[2].decode(errors="replace"),
    )


def marks(pid: int) -> frozenset[str]:
    """The marks in a process's environment, as it was when it began its program; none if it may not be read."""
    try:
        file = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return frozenset()
    try:
        pieces = []
        while piece := os.read(file, ENVIRONMENT):
            pieces.append(piece)
    except OSError:
        return frozenset()
    finally:
        os.close(file)
    for entry in b"".join(pieces).split(b"\0"):
        if entry.startswith(MARK_PREFIX):
            return frozenset(entry[len(MARK_PREFIX) :].decode(errors="replace").split(":"))
    return frozenset()


def children(pid: int) -> frozenset[int] | None:
    """The pids of a process's children; None where the kernel does not list them (no CONFIG_PROC_CHILDREN).

    proc_pid_children(5): a child may be left out while a sibling of it is being reaped. So it is asked until two
    answers are the same; None if they never are.
    """
    before: frozenset[int] | None = None
    for _ in range(CHILDREN_ASKED):
        found: set[int] = set()
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - no pathlib here: the guard has none
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - as above
                    found.update(map(int, file.read().split()))
        except FileNotFoundError:
            if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):  # noqa: PTH110 - as above
                return None
            if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - as above
                return frozenset()
            continue  # a thread has ended meanwhile
        except ProcessLookupError:
            continue
        except OSError:
            return None
        if before is not None and before == found:
            return before
        before = frozenset(found)
    return None


def above(pid: int) -> frozenset[int]:
    """As `ancestors()`, asked of each."""
    found: set[int] = set()
    while (seen := read(pid)) is not None and seen.parent not in found and seen.parent > 0:
        pid = seen.parent
        found.add(pid)
    return frozenset(found)


def ancestors(world: dict[int, Seen], pid: int) -> frozenset[int]:
    """The parent of a process, its parent, and so on up to the first one that can be seen."""
    found: set[int] = set()
    while (seen := world.get(pid)) is not None and seen.parent not in found and seen.parent > 0:
        pid = seen.parent
        found.add(pid)
    return frozenset(found)


def send(process: Identity, number: int) -> Sent:
    """Signal that process and no other."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return Sent.GONE
    except OSError:
        return Sent.LATER  # EMFILE, ENFILE, ENOMEM: whoever looks again tries again
    try:
        now = read(process.pid)
        if now is None or now.identity != process:
            return Sent.GONE
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return Sent.GONE
    except PermissionError:
        return Sent.REFUSED
    finally:
        os.close(pidfd)
    return Sent.YES


def ticks_now() -> int:
    """The present moment as start times are counted."""
    return as_ticks(time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def as_ticks(since_boot: int) -> int:
    """A moment on the clock since boot, in nanoseconds, as start times are counted."""
    return since_boot * os.sysconf("SC_CLK_TCK") // 1_000_000_000

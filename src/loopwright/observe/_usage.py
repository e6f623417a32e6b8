"""How much memory and processor a process takes, as psutil reads it.

Who descends from a process is asked of the kernel, which lists the children of each (CONFIG_PROC_CHILDREN), so that it
takes as long as the tree is large. psutil reads the parent of every process on the machine for that, which takes
seconds where there are ten thousand; so it is asked only where children are not listed.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from loopwright.process._proc import children

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psutil

__all__ = ["Reading", "Usage", "UsageReader", "usage_between"]

#: Seconds by which a process's start, which the kernel counts in ticks of 10 ms, may seem to lie before our look.
TICK = 0.05

Key: TypeAlias = "tuple[int, float]"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process, or a tree of them, uses."""

    memory: int
    """Resident memory in bytes. In a tree, pages that several processes share count for each of them."""
    cpu: float
    """Processor time since the look before, in percent of one processor, as `top` has it: two busy threads are 200."""
    processes: int = 1
    """How many processes were counted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look: everything counted from the start of each process, which is named by pid and start time."""

    at: float
    """Monotonic seconds."""
    wall: float
    """Seconds since 1970, for comparison with the start of a process."""
    memory: int
    cpu_times: Mapping[Key, float]
    """Processor seconds of each process."""


def usage_between(before: Reading, after: Reading) -> Usage:
    """What was used between two looks.

    Of a process that only the second one saw, all processor time counts if it was started in between; what joined the
    tree otherwise (adopted by a subreaper) counts from then on. Of one that ended in between, what it used since the
    first look was not seen.
    """
    spent = 0.0
    for key, seconds in after.cpu_times.items():
        if key in before.cpu_times:
            spent += max(0.0, seconds - before.cpu_times[key])
        elif key[1] >= before.wall - TICK:
            spent += seconds
    elapsed = after.at - before.at
    return Usage(after.memory, 100.0 * spent / elapsed if elapsed > 0 else 0.0, len(after.cpu_times))


class UsageReader:
    """Looks at a process. PermissionError from any look at one that this program may not read."""

    def __init__(self, pid: int) -> None:
        import psutil  # here: programs that only wait for processes need not load it

        self._psutil = psutil
        self.pid = pid
        self._process: psutil.Process | None = None
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return
        self.read(tree=False)

    def read(self, *, tree: bool) -> Reading | None:
        """One look; None if the process is gone. Blocks: some 50 us, with `tree` for each."""
        if self._process is None:
            return None
        at, wall, memory = time.monotonic(), time.time(), 0
        times: dict[Key, float] = {}
        try:
            members = [self._process, *(self._descendants(self._process) if tree else ())]
        except self._psutil.NoSuchProcess:
            return None
        except self._psutil.AccessDenied as error:
            raise self._refused(error) from error
        for process in members:
            try:
                with process.oneshot():
                    used, spent = process.memory_info().rss, process.cpu_times()
                    times[process.pid, process.create_time()] = spent.user + spent.system
                    memory += used
            except self._psutil.NoSuchProcess:  # a zombie, too
                if process is self._process:
                    return None
            except self._psutil.AccessDenied as error:
                if process is self._process:
                    raise self._refused(error) from error
        return Reading(at, wall, memory, times)

    def _descendants(self, process: psutil.Process) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {process.pid: process}
        ahead = [process]
        while ahead:
            parent = ahead.pop()
            if (pids := children(parent.pid)) is None:
                return process.children(recursive=True)
            for pid in pids - found.keys():
                try:
                    child = self._psutil.Process(pid)
                    # As psutil does it: one that is older has got the number of a parent that has ended.
                    if child.create_time() >= parent.create_time():
                        found[pid] = child
                        ahead.append(child)
                except self._psutil.NoSuchProcess:
                    continue
        del found[process.pid]
        return list(found.values())

    def _refused(self, error: psutil.AccessDenied) -> PermissionError:
        return PermissionError(
            errno.EACCES, f"this program may not see what process {self.pid} uses ({error.msg or 'access denied'})"
        )

"""Who is in a process group.

The kernel tells when a process ends, but not when a group has become empty, so that has to be looked up: `getpgid(2)`
for each process there is (a third of a microsecond each; reading /proc/PID/stat would be fifty times that), and the
state only of those that match. A zombie counts as gone: it runs no more, and it is its parent's to reap.
"""

from __future__ import annotations

import os
from pathlib import Path

from loopwright.process._proc import read

__all__ = ["anybody", "live_members"]

PROC = Path("/proc")


def live_members(group: int) -> tuple[int, ...]:
    """The pids of the processes in a group that have not ended, in no particular order.

    Without /proc (not Linux, or not mounted) it cannot be looked up, and the group's leader stands for it.
    """
    try:
        names = os.listdir(PROC)  # noqa: PTH208 - names are wanted, ten thousand of them, and no Path for each
    except OSError:
        return _leader_alone(group)
    return tuple(pid for name in names if name.isdigit() and _in_group(pid := int(name), group))


def anybody(number: int) -> bool | None:
    """Whether anything that has not ended is in the group or the session of that number; None if there is no /proc."""
    try:
        names = os.listdir(PROC)  # noqa: PTH208 - as above
    except OSError:
        return None
    return any(name.isdigit() and _in_either(int(name), number) for name in names)


def _in_either(pid: int, number: int) -> bool:
    try:
        if number not in (os.getpgid(pid), os.getsid(pid)):
            return False
    except ProcessLookupError:
        return False
    seen = read(pid)
    return seen is not None and seen.runs


def _in_group(pid: int, group: int) -> bool:
    try:
        if os.getpgid(pid) != group:
            return False
    except ProcessLookupError:
        return False  # it ended while we looked
    seen = read(pid)
    return seen is not None and seen.runs


def _leader_alone(group: int) -> tuple[int, ...]:
    try:
        os.kill(group, 0)
    except ProcessLookupError:
        return ()
    except PermissionError:
        return (group,)
    return (group,)

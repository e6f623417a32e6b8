"""Whether nothing is left of a tree, asked of what is cheap to ask and conclusive.

Theory of operation. Most processes end and leave nothing, and to read all of /proc in order to hear that takes some 20
us for each process on the machine. What `_tree.find()` would find of a tree whose leader has ended can be asked for
more directly:

- A cgroup of its own, which it was started into, is populated or it is not (cgroups(7)): no look adds to that.
- Its group and session: `getpgid(2)` and `getsid(2)` for each pid, a third of a microsecond each.
- Those that were seen in it before: a handful, each looked at by itself.
- Marked orphans, and what descends from them: an orphan is a child of the keeper or, under a guard, of one of the
  processes above this one. Whose children these are the kernel tells in one file (/proc/PID/task/TID/children, with
  CONFIG_PROC_CHILDREN), and older ones than the tree are none of it.

A "no" from here means nothing but that somebody has to look properly: this never says who is left.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from loopwright.process import _proc
from loopwright.process._groups import anybody

if TYPE_CHECKING:
    from collections.abc import Collection

    from loopwright.process._proc import Identity
    from loopwright.process._standing import Kept

__all__ = ["is_empty"]


def is_empty(leader: int, kept: Kept, known: Collection[Identity], *, leads: bool) -> bool:
    """Whether it is certain, as far as a look can be, that nothing is left of the tree of a leader that has ended."""
    empty = _seems_empty(leader, kept, known, leads=leads)
    # Where no descriptor is free nothing can be read, which is no sign that nothing is there.
    return empty and _proc.read(os.getpid()) is not None


def _seems_empty(leader: int, kept: Kept, known: Collection[Identity], *, leads: bool) -> bool:
    if any((seen := _proc.read(one.pid)) is not None and seen.identity == one and seen.runs for one in known):
        return False
    if kept.leaf is not None and not kept.moved:
        return not kept.leaf.populated()
    # None: there is no /proc to ask.
    if (kept.leaf is not None and kept.leaf.populated()) or (leads and anybody(leader) is not False):
        return False
    return kept.mark is None or _without_orphans(kept)


#: When processes began, by pid and by the inode of their folder in /proc: no two processes have the same one at any
#: time, and it is a fifth of the work of reading when it began. The kernel may give a process another inode when memory
#: is short; then it is read again. Cleared when it has grown, as those that have ended stay in it.
_began: dict[tuple[int, int], int] = {}
MOST_REMEMBERED = 50_000


def _is_older(pid: int, moment: int) -> bool:
    try:
        inode = os.stat(f"/proc/{pid}").st_ino  # noqa: PTH116 - thousands of them, and no Path for each
    except OSError:
        return False
    if (began := _began.get((pid, inode))) is None:
        if (seen := _proc.read(pid)) is None:
            return False
        if len(_began) >= MOST_REMEMBERED:
            _began.clear()
        # Asked for by the number: if that has come to mean another since, the younger one is remembered, and looked at.
        began = _began[pid, inode] = seen.started
    return began < moment


def _without_orphans(kept: Kept) -> bool:
    me = os.getpid()
    above = kept.standing
    if kept.since is None or above is None:
        return False
    # Under a keeper that lives no orphan gets past it.
    reapers = {above.pid} if above.inherits and kept.in_force else _proc.above(me) | {1}
    for reaper in reapers:
        if (orphans := _proc.children(reaper)) is None:
            return False
        for pid in orphans:
            if pid in (me, above.pid) or pid in reapers or _is_older(pid, kept.since):
                continue
            if (seen := _proc.read(pid)) is None or not seen.runs:
                continue
            marks = _proc.marks(pid)
            # One that says nothing of itself may be ours: a look at everything decides what is said of it.
            if kept.mark in marks or (above.inherits and above.token not in marks):
                return False
    return True

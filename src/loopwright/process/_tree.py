"""Who belongs to a tree of processes, and what is to be done next to end it: decisions alone, nothing is touched.

Theory of operation. A tree is a process that was started (its *leader*) and all that descends from it. The kernel
remembers of each process only its present parent, so descent is lost when a parent ends: the orphan's parent is then
the nearest subreaper above, or the first process there is. Four things find a tree's processes all the same:

- *Descent*, as far as parents still live. While a tree is being ended its processes are stopped (SIGSTOP) before any is
  killed: nothing that is stopped forks or ends, so no link is lost and nobody outruns the sweep.
- The *group and session* that the leader began, whose number is its pid. The kernel does not give a number away while
  anything still has it as pid, group or session. So the number is safe while the leader is not reaped, and after that
  as long as the session had somebody in it all the while: somebody is in it who started before the leader was reaped.
  Without such an anchor it may be anybody's by now, and is only named.
- *Having been seen* in the tree before: by pid and start time, an orphan stays known.
- A *mark* in the environment, looked for in orphans only, since who has a parent in the tree needs none.

And the cgroup of the tree, where there is one, says itself who is in it.

Never in a tree: the first process, this one and all above it, a keeper or a guard.

`advance()` is a small machine: ASK (once), WAIT (the grace period), FREEZE (stop until two looks agree), KILL (until
nothing is left or patience is over), OVER. It is told what a look saw and when, and answers with what to send and when
to look again. Killing right away, in rounds, was rejected: what forks faster than it is swept, in sessions of its own,
loses its link to the tree with every parent that dies.
"""

from __future__ import annotations

import enum
import signal as signals
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from loopwright.process._proc import Identity, Seen

__all__ = ["Course", "Finding", "Orders", "Phase", "Tree", "advance", "begin", "find", "hurry"]

#: How long until the next look, in seconds: soon at first, then more rarely.
LOOKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.05, 0.1)
#: Seconds that processes are given to stop. One that hangs inside the kernel does not, and does not fork either.
FREEZING = 1.0
#: Seconds after which a process that has not died of SIGKILL (it hangs inside the kernel) is named and left.
PATIENCE = 10.0
#: The same for processes of which none may be signalled by this user: they may still end because the others have.
REFUSED_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of a tree before one looks."""

    leader: int
    """Its first process's pid; 0 if there is none to go by."""
    held: bool = True
    """Whether the leader is not reaped, so that its number is its own."""
    leads: bool = False
    """Whether it leads a process group of its own."""
    ended_at: int | None = None
    """Once it is reaped: a moment before that, in clock ticks since boot. None if that is not known."""
    mark: str | None = None
    spared: frozenset[int] = frozenset({1})
    """Pids that are never touched."""
    reapers: frozenset[int] = frozenset({1})
    """Pids whose children may be orphans of the tree."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Who is in a tree, by pid."""

    members: dict[int, Seen] = field(default_factory=dict)
    """Those that have not ended."""
    doubtful: dict[int, Seen] = field(default_factory=dict)
    """Those in a group whose number may have come to mean another one."""


def find(
    world: Mapping[int, Seen],
    tree: Tree,
    known: Collection[Identity] = (),
    cgroup: Collection[int] = (),
    marks: Callable[[int], Collection[str]] = lambda _pid: (),
) -> Finding:
    """Who is in a tree: `known` are those that were seen in it before, `marks(pid)` reads a process's marks."""
    roots = {pid for pid in cgroup if pid in world}
    roots |= {one.pid for one in known if one.pid in world and world[one.pid].identity == one}
    if tree.held and tree.leader in world:
        roots.add(tree.leader)
    doubtful: dict[int, Seen] = {}
    if tree.leads:
        group = [seen for seen in world.values() if tree.leader in (seen.group, seen.session)]
        if tree.held or any(_anchors(seen, tree, known) for seen in group):
            roots |= {seen.pid for seen in group}
        else:
            doubtful = {seen.pid: seen for seen in group if seen.runs and seen.pid not in tree.spared}
    if tree.mark is not None:
        for seen in world.values():
            orphan = seen.parent in tree.reapers and seen.pid not in tree.spared and seen.pid not in roots
            if orphan and seen.runs and tree.mark in marks(seen.pid):
                roots.add(seen.pid)
    everybody = _with_descendants(world, roots, tree.spared)
    members = {pid: world[pid] for pid in everybody if world[pid].runs}
    return Finding(members, {pid: seen for pid, seen in doubtful.items() if pid not in members})


def _anchors(seen: Seen, tree: Tree, known: Collection[Identity]) -> bool:
    """Whether this one proves that the number of the leader's group was never given back."""
    if seen.identity in known:
        return True
    # "Or as old": within one tick nobody uses up all numbers there are, reaches this one and begins a session in it.
    # A session is joined by nobody, so who is in it and is older than the number's return descends from its leader. A
    # group of the same session can be joined, so the same says nothing of it.
    return seen.session == tree.leader and tree.ended_at is not None and seen.started <= tree.ended_at


def _with_descendants(world: Mapping[int, Seen], roots: Iterable[int], spared: Collection[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for seen in world.values():
        children.setdefault(seen.parent, []).append(seen.pid)
    found: set[int] = set()
    ahead = [pid for pid in roots if pid not in spared]
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead += [child for child in children.get(pid, ()) if child not in spared]
    return found


class Phase(enum.Enum):
    """How far the ending has come."""

    ASK = "to be asked"
    WAIT = "asked, and given time"
    FREEZE = "being stopped, so that nothing forks on"
    KILL = "being killed"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Course:
    """How an ending stands."""

    phase: Phase
    until: float
    """When the phase is over at the latest."""
    signal: int
    freeze: bool = True
    looks: int = 0
    stopped: frozenset[Identity] = frozenset()
    killed: frozenset[Identity] = frozenset()


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do now."""

    send: tuple[tuple[int, tuple[Identity, ...]], ...] = ()
    """(signal, to whom), in this order."""
    kill_cgroup: bool = False
    wait: float = 0.0
    """Seconds until the next look."""


def begin(now: float, grace: float, signal: int = signals.SIGTERM, *, freeze: bool = True) -> Course:
    """The beginning of an ending. Without a grace period nobody is asked. `freeze=False` where nothing can escape."""
    course = Course(Phase.ASK, now + grace, signal, freeze)
    return course if grace > 0 and signal != signals.SIGKILL else _forcibly(course, now)


def hurry(course: Course, until: float) -> Course:
    """End the grace period at `until`, if that is sooner."""
    return replace(course, until=min(course.until, until)) if course.phase in (Phase.ASK, Phase.WAIT) else course


def advance(
    course: Course,
    members: Mapping[Identity, Seen],
    now: float,
    refused: Collection[Identity] = (),
    *,
    cgroup_empty: bool = True,
) -> tuple[Course, Orders]:
    """What comes next, given who is in the tree now and which of them may not be signalled."""
    if not members and cgroup_empty:
        return replace(course, phase=Phase.OVER), Orders()
    if course.phase is Phase.ASK and now < course.until:
        everybody = tuple(sorted(members))
        send = [(course.signal, everybody)]
        # As systemd does: what is stopped would not hear that it is to end.
        if stopped := tuple(one for one in everybody if members[one].stopped):
            send.append((signals.SIGCONT, stopped))
        return replace(course, phase=Phase.WAIT, looks=1), Orders(tuple(send), wait=min(LOOKS[0], course.until - now))
    if course.phase in (Phase.ASK, Phase.WAIT):
        if now < course.until:
            return replace(course, looks=course.looks + 1), Orders(wait=min(_pause(course), course.until - now))
        course = _forcibly(course, now)
    if course.phase is Phase.FREEZE:
        course, orders = _freeze(course, members, now, refused)
        if course.phase is Phase.FREEZE:
            return course, orders
    return _kill(course, members, now, refused)


def _forcibly(course: Course, now: float) -> Course:
    if course.freeze:
        return replace(course, phase=Phase.FREEZE, until=now + FREEZING, looks=0)
    return replace(course, phase=Phase.KILL, until=now + PATIENCE, looks=0)


def _freeze(
    course: Course, members: Mapping[Identity, Seen], now: float, refused: Collection[Identity]
) -> tuple[Course, Orders]:
    """Stop all; only when a look has seen that all are stopped is nobody new on the way."""
    moving = [one for one, seen in members.items() if not seen.stopped and one not in refused]
    if not moving or now >= course.until:
        return replace(course, phase=Phase.KILL, until=now + PATIENCE, looks=0), Orders()
    # To all that move, again: one that was continued from outside in the meantime would otherwise be waited for.
    send = ((int(signals.SIGSTOP), tuple(sorted(moving))),)
    # Somebody new: what forks is stopped by looking again faster than it forks, not by waiting.
    new = not course.stopped.issuperset(moving)
    course = replace(course, stopped=course.stopped.union(moving), looks=1 if new else course.looks + 1)
    return course, Orders(send, wait=0.0 if new else min(_pause(course), course.until - now))


def _kill(
    course: Course, members: Mapping[Identity, Seen], now: float, refused: Collection[Identity]
) -> tuple[Course, Orders]:
    began = course.until - PATIENCE
    helpless = bool(members) and all(one in refused for one in members) and now >= began + REFUSED_PATIENCE
    if now >= course.until or helpless:
        return replace(course, phase=Phase.OVER), Orders()
    to_kill = tuple(sorted(members))
    course = replace(course, killed=course.killed.union(to_kill), looks=course.looks + 1)
    send = ((int(signals.SIGKILL), to_kill),) if to_kill else ()
    return course, Orders(send, kill_cgroup=True, wait=_pause(course))


def _pause(course: Course) -> float:
    return LOOKS[min(course.looks, len(LOOKS)) - 1]

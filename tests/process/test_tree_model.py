"""The plan of an ending against a model of the kernel: processes that fork, leave, ignore and are recycled."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright.process import _tree
from loopwright.process._proc import Identity, Seen
from loopwright.process._tree import Course, Phase, Tree, advance, begin, find, hurry

INIT, KEEPER, ME, LEADER = 1, 2, 3, 10
MARK = "mark.1"


@dataclass
class One:
    """A process of the model."""

    pid: int
    started: int
    parent: int
    group: int
    session: int
    ours: bool
    """Whether it descends from the leader: what the plan must find out, and is never told."""
    marked: bool
    ignores: bool = False
    immune: bool = False
    state: str = "S"
    caught: set[int] = field(default_factory=set)

    def seen(self) -> Seen:
        return Seen(self.pid, self.started, self.parent, self.group, self.session, self.state)


class Kernel:
    """As much of a kernel as matters: numbers are given again, as soon as nothing has them in any role."""

    def __init__(self, *, marked: bool, session: bool) -> None:
        self.tick = 100
        self.all: dict[int, One] = {}
        for pid, parent in ((INIT, 0), (KEEPER, INIT), (ME, KEEPER)):
            self.all[pid] = One(pid, pid, parent, pid, pid, ours=False, marked=False)
        group = LEADER if session else ME
        self.all[LEADER] = One(LEADER, 100, ME, group, group, ours=True, marked=marked)
        self.strangers_hit: list[int] = []

    def free(self) -> int:
        used = {number for one in self.all.values() for number in (one.pid, one.group, one.session)}
        return next(number for number in range(LEADER, 1000) if number not in used)

    def add(self, parent: One, **changes: Any) -> One:
        self.tick += 1
        child = replace(parent, pid=self.free(), started=self.tick, parent=parent.pid, caught=set(), state="S")
        child = replace(child, **changes)
        self.all[child.pid] = child
        return child

    def leave(self, one: One) -> None:
        if one.group != one.pid:
            one.group = one.session = one.pid

    def end(self, one: One) -> None:
        self.tick += 1
        for child in self.all.values():
            if child.parent == one.pid:
                child.parent = KEEPER
        if one.parent == ME:
            one.state = "Z"  # ours to reap
        else:
            del self.all[one.pid]

    def reap(self) -> None:
        for pid in [pid for pid, one in self.all.items() if one.state == "Z"]:
            del self.all[pid]

    def deliver(self, identity: Identity, number: int) -> bool:
        """As `_proc.send()`: True if it was sent, False if it may not be."""
        one = self.all.get(identity.pid)
        if one is None or one.started != identity.started or one.state == "Z":
            return True
        if not one.ours:
            self.strangers_hit.append(one.pid)
        if one.immune:
            return False
        if number == signal.SIGSTOP:
            one.state = "T"
        elif number == signal.SIGCONT:
            one.state = "S"
        elif number == signal.SIGKILL or not one.ignores:
            if one.state == "T" and number != signal.SIGKILL:
                one.caught.add(number)
            else:
                self.end(one)
        return True

    def ours(self) -> list[One]:
        return [one for one in self.all.values() if one.ours and one.state != "Z"]

    def moving(self) -> list[One]:
        return [one for one in self.ours() if one.state == "S"]


class Endings(RuleBasedStateMachine):
    """Between two looks the world moves as it likes; the plan must reach the end, whole, and meet no stranger."""

    @initialize(
        marked=st.booleans(),
        session=st.booleans(),
        grace=st.sampled_from([0.0, 0.5]),
        freeze=st.just(True),
    )
    def start(self, marked: bool, session: bool, grace: float, freeze: bool) -> None:
        self.kernel = Kernel(marked=marked, session=session)
        self.marked, self.session = marked, session
        self.now = 1000.0
        self.known: set[Identity] = set()
        self.refused: set[Identity] = set()
        self.lost: set[int] = set()
        self.grace = grace
        self.course: Course | None = None
        self.reaped = False
        self.ended_at: int | None = None
        self.pending: list[tuple[int, Identity]] = []

    def look(self) -> _tree.Finding:
        tree = Tree(
            leader=LEADER,
            held=not self.reaped,
            leads=self.session,
            ended_at=self.ended_at,
            mark=MARK if self.marked else None,
            spared=frozenset({INIT, KEEPER, ME}),
            reapers=frozenset({INIT, KEEPER}),
        )
        world = {pid: one.seen() for pid, one in self.kernel.all.items()}
        marks = {pid: {MARK} if one.marked else set() for pid, one in self.kernel.all.items()}
        return find(world, tree, self.known, (), lambda pid: marks[pid])

    def over(self) -> bool:
        return self.course is not None and self.course.phase is Phase.OVER

    # --- what the world does

    @precondition(lambda self: self.kernel.moving() and not self.over())
    @rule(which=st.integers(0, 50), leaves=st.booleans(), ignores=st.booleans())
    def fork(self, which: int, leaves: bool, ignores: bool) -> None:
        moving = self.kernel.moving()
        child = self.kernel.add(moving[which % len(moving)], ignores=ignores)
        if leaves:
            self.kernel.leave(child)

    @precondition(lambda self: len(self.kernel.moving()) > 1 and not self.over())
    @rule(which=st.integers(0, 50))
    def end_one(self, which: int) -> None:
        """Its children are orphans from then on: what they can be known by must be left."""
        moving = self.kernel.moving()
        one = moving[which % len(moving)]
        children = [child for child in self.kernel.ours() if child.parent == one.pid]
        leader = self.kernel.all.get(LEADER)
        alive = leader is not None and leader.ours
        findable = self.marked or all(
            child.seen().identity in self.known or (alive and self.session and child.session == LEADER)
            for child in children
        )
        if findable:
            self.kernel.end(one)

    @precondition(lambda self: not self.reaped and self.kernel.all[LEADER].state == "Z" and self.course is None)
    @rule()
    def reap_the_leader(self) -> None:
        """Before an ending begins; while it lasts the leader is held."""
        self.ended_at = self.kernel.tick - 1
        self.kernel.reap()
        self.reaped = True
        # What stayed in its group and began after that has nothing to be known by but somebody older in the session.

    @precondition(lambda self: not self.over())
    @rule(leaves=st.booleans(), ignores=st.booleans())
    def stranger(self, leaves: bool, ignores: bool) -> None:
        """Somebody else's process, with the first number that is free, perhaps the leader's."""
        one = self.kernel.add(self.kernel.all[INIT], ours=False, marked=False, ignores=ignores)
        if leaves:
            self.kernel.leave(one)

    @precondition(lambda self: not self.over())
    @rule()
    def stranger_forks(self) -> None:
        strangers = [one for pid, one in self.kernel.all.items() if not one.ours and pid > ME and one.state == "S"]
        if strangers:
            self.kernel.add(strangers[-1])

    @precondition(lambda self: self.course is not None and self.kernel.moving() and not self.over())
    @rule(which=st.integers(0, 50))
    def become_immune(self, which: int) -> None:
        """A set-uid program: it may not be signalled."""
        moving = self.kernel.moving()
        moving[which % len(moving)].immune = True

    @precondition(lambda self: self.course is not None)
    @rule()
    def hurried(self) -> None:
        assert self.course is not None
        self.course = hurry(self.course, 0.0)

    # --- what the plan does

    @precondition(lambda self: not self.over() and not self.pending)
    @rule()
    def step(self) -> None:
        if self.course is None:
            self.course = begin(self.now, self.grace)
        found = self.look()
        members = {seen.identity: seen for seen in found.members.values()}
        self.known.update(members)
        before = self.course
        self.course, orders = advance(self.course, members, self.now, self.refused)
        assert list(Phase).index(self.course.phase) >= list(Phase).index(before.phase)
        self.pending = [(number, one) for number, to in orders.send for one in to]
        if self.course.phase is Phase.OVER:
            left = {one.pid for one in self.kernel.ours() if one.pid in found.members}
            assert left == set(found.members)
            assert all(self.kernel.all[pid].immune for pid in left)
        assert 0 <= orders.wait <= 0.5
        self.now += orders.wait

    @precondition(lambda self: self.pending)
    @rule()
    def deliver(self) -> None:
        """Some time after the look: who has forked meanwhile has a child that the plan has not seen."""
        for number, one in self.pending:
            if not self.kernel.deliver(one, number):
                self.refused.add(one)
            if number not in (signal.SIGSTOP, signal.SIGKILL):
                self.note_the_lost()
        self.pending = []

    def note_the_lost(self) -> None:
        """One that was asked has ended, and left an orphan that nobody has seen: only a mark or its session tells."""
        for one in self.kernel.ours():
            told = self.marked or one.seen().identity in self.known or (self.session and one.session == LEADER)
            if one.parent == KEEPER and not told:
                self.lost.add(one.pid)

    def is_lost(self, one: One) -> bool:
        return one.pid in self.lost or (one.parent > ME and self.is_lost(self.kernel.all[one.parent]))

    @invariant()
    def no_stranger_was_met(self) -> None:
        if hasattr(self, "kernel"):
            assert self.kernel.strangers_hit == []
            assert {INIT, KEEPER, ME} <= self.kernel.all.keys()

    def teardown(self) -> None:
        """Left to itself, it comes to its end in a bounded time, and to the last of them that may be signalled."""
        if not hasattr(self, "kernel"):
            return
        deadline = self.now + _tree.FREEZING + _tree.PATIENCE + 2
        looks = 0
        while not self.over():
            self.deliver()
            self.step()
            looks += 1
            assert self.now < deadline
            assert looks < 1000
        findable = self.marked or not self.reaped
        if findable:
            assert all(one.immune or self.is_lost(one) for one in self.kernel.ours())
        self.no_stranger_was_met()


TestEndings = Endings.TestCase
TestEndings.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

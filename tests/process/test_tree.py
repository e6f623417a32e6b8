"""Who is in a tree, and what is next to end it: decision by decision (test_tree_model.py tries whole histories)."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from loopwright.process import _tree
from loopwright.process._proc import Identity, Seen
from loopwright.process._tree import Phase, Tree, advance, begin, find, hurry

INIT = 1
MARK = "mark.1"


def seen(
    pid: int, *, parent: int = INIT, group: int = 0, state: str = "S", started: int = 100, session: int = 0
) -> Seen:
    return Seen(pid, started, parent, group or pid, session or group or pid, state)


def world(*processes: Seen) -> dict[int, Seen]:
    return {one.pid: one for one in processes}


def members(*processes: Seen) -> dict[Identity, Seen]:
    return {one.identity: one for one in processes}


def test_never_its_own_ancestors_keeper_or_itself() -> None:
    """Whatever mark, group or cgroup they seem to be in."""
    everybody = world(
        *(seen(pid, group=10, parent=11) for pid in (1, 2, 3)), seen(10, parent=3), seen(11, parent=2, group=10)
    )
    tree = Tree(leader=10, leads=True, mark=MARK, spared=frozenset({1, 2, 3}), reapers=frozenset({1, 2}))
    found = find(everybody, tree, [seen(2).identity], [1, 2, 3], lambda _pid: {MARK})
    assert set(found.members) == {10, 11}


def test_a_zombie_is_no_member_but_one_with_threads_is() -> None:
    everybody = world(
        replace(seen(10, parent=3), state="Z"), replace(seen(11, parent=10), state="Z", threads=2), seen(12, parent=11)
    )
    assert set(find(everybody, Tree(leader=10)).members) == {11, 12}


def test_marks_are_read_of_orphans_only() -> None:
    read: list[int] = []

    def marks(pid: int) -> set[str]:
        read.append(pid)
        return {MARK} if pid == 20 else set()

    everybody = world(
        seen(1, parent=0), seen(10, parent=3), seen(11, parent=10), seen(20), seen(21, parent=20), seen(30)
    )
    tree = Tree(leader=10, mark=MARK)
    assert set(find(everybody, tree, marks=marks).members) == {10, 11, 20, 21}
    assert sorted(read) == [20, 30]


@pytest.mark.parametrize(
    ("member", "ours"),
    [
        (seen(11, group=10, started=100), True),
        (seen(11, group=11, session=10, started=100), True),
        (seen(11, group=10, started=201), False),
        (seen(11, group=10, session=5, started=100), False),
    ],
    ids=["older", "another-group-of-the-session", "younger", "joined-the-group"],
)
def test_a_number_that_was_given_back(member: Seen, ours: bool) -> None:
    """Who is in the session and older than the leader's end proves that it is the same."""
    tree = Tree(leader=10, held=False, leads=True, ended_at=200)
    found = find(world(member, seen(12, group=10, session=member.session, started=300)), tree)
    assert set(found.members) == ({11, 12} if ours else set())
    assert set(found.doubtful) == (set() if ours else {11, 12})


def test_who_was_seen_in_it_proves_the_number_too() -> None:
    tree = Tree(leader=10, held=False, leads=True)
    member, other = seen(11, group=10, session=5), seen(12, group=10, session=5, started=300)
    assert set(find(world(member, other), tree, [member.identity]).members) == {11, 12}
    assert set(find(world(member, other), tree, [Identity(11, 99)]).members) == set()


def test_nothing_is_killed_before_all_have_stopped() -> None:
    one, two = seen(10), seen(11)
    course = begin(0.0, 0.0)
    course, orders = advance(course, members(one, two), 0.0)
    assert orders.send == ((signal.SIGSTOP, (one.identity, two.identity)),)
    stopped = replace(one, state="T")
    course, orders = advance(course, members(stopped, two), 0.01)
    assert orders.send == ((signal.SIGSTOP, (two.identity,)),)
    new = seen(12, parent=11)
    course, orders = advance(course, members(stopped, replace(two, state="T"), new), 0.02)
    assert orders.send == ((signal.SIGSTOP, (new.identity,)),)
    course, orders = advance(course, members(stopped, replace(two, state="T"), replace(new, state="T")), 0.03)
    assert orders.send == ((signal.SIGKILL, (one.identity, two.identity, new.identity)),)
    assert orders.kill_cgroup
    course, _ = advance(course, {}, 0.04)
    assert course.phase is Phase.OVER
    assert course.killed == {one.identity, two.identity, new.identity}


def test_one_that_does_not_stop_is_killed_all_the_same() -> None:
    one = replace(seen(10), state="D")
    course, _ = advance(begin(0.0, 0.0), members(one), 0.0)
    course, orders = advance(course, members(one), _tree.FREEZING)
    assert orders.send == ((signal.SIGKILL, (one.identity,)),)
    course, orders = advance(course, members(one), _tree.FREEZING + _tree.PATIENCE)
    assert (course.phase, orders.send) == (Phase.OVER, ())


def test_a_cgroup_that_is_not_empty_is_not_over() -> None:
    course, orders = advance(begin(0.0, 0.0), {}, 0.0, cgroup_empty=False)
    assert course.phase is Phase.KILL
    assert orders.kill_cgroup


@pytest.mark.parametrize("hurried", [False, True])
def test_the_grace_period(hurried: bool) -> None:
    one = seen(10)
    course, orders = advance(begin(0.0, 5.0, signal.SIGINT), members(one), 0.0)
    assert orders.send == ((signal.SIGINT, (one.identity,)),)
    course, orders = advance(course, members(one), 4.99)
    assert orders.send == ()
    assert orders.wait <= 0.0101
    if hurried:
        course = hurry(course, 1.0)
    course, orders = advance(course, members(one), 4.995 if hurried else 5.0)
    assert [number for number, _ in orders.send] == [signal.SIGSTOP]

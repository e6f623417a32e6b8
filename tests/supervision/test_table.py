"""The table of states, held against the world (`table_world.py`) in *every* history there is.

And with one mistake in it, which must be noticed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.supervision import TABLE, Action, Life, RestartPolicy, RestartRule, State, Stimulus, judge, step
from loopwright.supervision import _table as module
from loopwright.supervision._table import ENDED
from tests.supervision.table_world import (
    BADLY,
    DELIBERATE,
    EXPECTED,
    KILLED,
    LOST,
    POLICIES,
    WELL,
    BrokenLawError,
    E,
    S,
    Status,
    World,
    demand,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: With which everything that can happen at all can happen.
RICHEST = RestartPolicy(rule=RestartRule.ON_FAILURE, max_restarts=1)


@dataclass
class Explored:
    """All that can come to be."""

    after: dict[World, list[World]]
    """What each world becomes by itself, whatever anybody asks for."""
    met: set[tuple[State, Stimulus]]
    """What can happen when."""


def explore(policy: RestartPolicy) -> Explored:
    """Try every history; BrokenLawError if one breaks a law, comes to a halt, or after a stop may go on for ever."""
    first = World(policy)
    found = Explored({}, set())
    fresh = [first]
    while fresh:
        world = fresh.pop()
        if world in found.after:
            continue
        demand(world.goes_on() or world.settled(), "nothing comes to a halt half-way", world)
        found.met.update((world.life.state, stimulus) for stimulus, _ in world.possible())
        found.after[world] = [world.happen(*event) for event in world.to_come()]
        fresh += found.after[world]
        fresh += [world.happen(*event) for event in world.possible()]
    lengths: dict[World, int] = {}
    for world in found.after:
        if world.asked:
            longest(world, found, lengths)
    return found


def longest(world: World, found: Explored, known: dict[World, int]) -> int:
    """The most that can still happen by itself; BrokenLawError if that has no end."""
    if world not in known:
        known[world] = -1
        known[world] = max((1 + longest(after, found, known) for after in found.after[world]), default=0)
    demand(known[world] >= 0, "after a stop there is an end", world)
    return known[world]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.rule.value}-{policy.max_restarts}")
def test_no_history_breaks_a_law(policy: RestartPolicy) -> None:
    found = explore(policy)
    ends = {world.over for world in found.after if world.over}
    assert ends == ENDED - ({S.FINISHED} if policy.rule is RestartRule.ALWAYS else set())


def test_after_a_stop_four_events_at_most_bring_the_end() -> None:
    found = explore(RICHEST)
    known: dict[World, int] = {}
    # Asked while it was being made: it is there, its grace period is over, it has ended, nothing of it is left.
    assert max(longest(world, found, known) for world in found.after if world.asked) == 4
    assert {world.life.state for world, left in known.items() if left == 0} == {S.STOPPED}


def test_every_row_can_happen_and_what_has_no_row_is_meant() -> None:
    met = explore(RICHEST).met
    assert met - TABLE.keys() == DELIBERATE
    assert met >= TABLE.keys()
    assert {state for state, _ in met} == set(State)
    assert {stimulus for _, stimulus in met} == set(Stimulus)


def test_what_has_no_row_changes_nothing() -> None:
    for pair in itertools.product(State, Stimulus):
        life = Life(pair[0], attempts=3, started=True)
        assert (step(life, pair[1]) == (life, ())) == (pair not in TABLE or pair in EXPECTED)


# --- tables with a mistake


def mutants(key: tuple[State, Stimulus]) -> Iterator[dict[Any, Any]]:
    """Copies of the table in which one row is missing or wrong: another state, an action less, an action more."""
    state, actions = TABLE[key]
    rest = {other: row for other, row in TABLE.items() if other != key}
    if key not in EXPECTED:
        yield rest
    for other in State:
        if other is not state:
            yield {**rest, key: (other, actions)}
    for action in Action:
        if action not in actions:
            yield {**rest, key: (state, (*actions, action))}
    for number in range(len(actions)):
        yield {**rest, key: (state, actions[:number] + actions[number + 1 :])}


@pytest.mark.parametrize("key", list(TABLE), ids=lambda key: "-".join(x.name for x in key))
def test_a_wrong_row_is_noticed(key: tuple[State, Stimulus], monkeypatch: pytest.MonkeyPatch) -> None:
    for table in mutants(key):
        monkeypatch.setattr(module, "TABLE", table)
        with pytest.raises(BrokenLawError):
            assert not explore(RICHEST), f"nobody minds {table.get(key, 'no row')} for {key}"


def test_a_row_for_what_must_change_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in DELIBERATE:
        others = [(state, ()) for state in State if state is not key[0]]
        for wrong in [*others, *((key[0], (action,)) for action in Action)]:
            monkeypatch.setattr(module, "TABLE", {**TABLE, key: wrong})
            with pytest.raises(BrokenLawError):
                assert not explore(RICHEST), f"nobody minds {wrong} for {key}"


# --- what an end leads to


@pytest.mark.parametrize(
    ("restart", "status", "expected"),
    [
        (RestartRule.ALWAYS, WELL, E.GONE_RESTART),
        (RestartRule.ALWAYS, BADLY, E.GONE_RESTART),
        (RestartRule.ALWAYS, KILLED, E.GONE_RESTART),
        (RestartRule.ALWAYS, LOST, E.GONE_RESTART),
        (RestartRule.ALWAYS, None, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, WELL, E.GONE_FINISHED),
        (RestartRule.ON_FAILURE, BADLY, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, KILLED, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, LOST, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, None, E.GONE_RESTART),
        (RestartRule.NEVER, WELL, E.GONE_FINISHED),
        (RestartRule.NEVER, BADLY, E.GONE_FAILED),
        (RestartRule.NEVER, KILLED, E.GONE_FAILED),
        (RestartRule.NEVER, LOST, E.GONE_FAILED),
        (RestartRule.NEVER, None, E.GONE_FAILED),
    ],
)
def test_what_an_end_leads_to(restart: RestartRule, status: Status | None, expected: Stimulus) -> None:
    stimulus, why = judge(RestartPolicy(rule=restart), 1_000, status)
    assert stimulus is expected
    assert why == f"its restart rule is {restart.value}"


@pytest.mark.parametrize(
    ("most", "attempts", "why"),
    [
        (0, 0, "crash-looping: 0 restarts in a row did not help, and max_restarts is 0"),
        (1, 1, "crash-looping: 1 restart did not help, and max_restarts is 1"),
        (5, 5, "crash-looping: 5 restarts in a row did not help, and max_restarts is 5"),
    ],
)
def test_restarts_have_a_limit_and_the_reason_names_it(most: int, attempts: int, why: str) -> None:
    policy = RestartPolicy(max_restarts=most)
    assert judge(policy, attempts, BADLY) == (E.GONE_FAILED, why)
    assert attempts == 0 or judge(policy, attempts - 1, BADLY)[0] is E.GONE_RESTART
    assert judge(RestartPolicy(rule=RestartRule.ON_FAILURE, max_restarts=most), attempts, WELL)[0] is E.GONE_FINISHED

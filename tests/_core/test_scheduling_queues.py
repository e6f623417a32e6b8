"""The queues behind the descriptions, held against the plainest thing that could be right, over random histories."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright._core import (
    Deadlines,
    FairShares,
    FirstInFirstOut,
    PriorityLanes,
)
from loopwright._core._scheduling_queues import UNKNOWN_LANES, waiting_rank
from tests._core.queued import context_with, queue_for

LANES = ("urgent", "normal", "bulk")


class LanesMachine(RuleBasedStateMachine):
    """Lanes beside a list that is searched from its beginning at every step."""

    @initialize(aging=st.sampled_from([None, 1.0, 3.0]), every=st.integers(1, 4))
    def begin(self, aging: float | None, every: int) -> None:
        self.queue = queue_for(PriorityLanes(LANES, default="normal", aging=aging, aged_every=every))
        self.aging, self.every = math.inf if aging is None else aging, every
        self.waiting: list[tuple[int, float, int]] = []  # lane, since, step
        self.now, self.count, self.turns = 0.0, 0, 0

    @rule(lane=st.sampled_from([*LANES, None, "elsewhere"]))
    def push(self, lane: str | None) -> None:
        self.queue.push(self.count, context_with(lane), self.now)
        index = LANES.index(lane) if lane in LANES else 1
        self.waiting.append((index, self.now, self.count))
        self.count += 1

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.waiting)
    @rule()
    def pop(self) -> None:
        first = min(self.waiting)
        aged = [each for each in self.waiting if each[0] > first[0] and each[1] + self.aging <= self.now]
        if self.turns >= self.every and aged:
            # The one that has waited longest; of several since the same moment the higher lane's, in order.
            expected = min(aged, key=lambda each: (each[1], each[0], each[2]))
            self.turns = 0
        else:
            expected = first
            self.turns += 1
        assert self.queue.pop(self.now) == expected[2]
        self.waiting.remove(expected)

    @precondition(lambda self: not self.waiting)
    @rule()
    def pop_of_nothing(self) -> None:
        with pytest.raises(IndexError):
            self.queue.pop(self.now)

    @rule(back=st.sampled_from([0.0, 0.5]))
    def take(self, back: float) -> None:
        until = self.now - back
        expected = [each for each in sorted(self.waiting) if each[1] <= until]
        assert self.queue.take(until) == [each[2] for each in expected]
        self.waiting = [each for each in self.waiting if each[1] > until]

    @invariant()
    def all_are_there(self) -> None:
        if hasattr(self, "queue"):
            assert len(self.queue) == len(self.waiting)
            assert self.queue.ready(2) == min(2, len(self.waiting))
            assert sorted(step for _, step in self.queue.entries()) == sorted(each[2] for each in self.waiting)
            assert [since for since, _ in self.queue.entries()] == sorted(each[1] for each in self.waiting)


class DeadlinesMachine(RuleBasedStateMachine):
    @initialize(default=st.sampled_from([None, 2.0]))
    def begin(self, default: float | None) -> None:
        self.queue = queue_for(Deadlines(default))
        self.default = default
        self.waiting: list[tuple[float, int, float]] = []  # due, step, since
        self.now, self.count = 0.0, 0

    @rule(due=st.sampled_from([None, -1.0, 3.0, 7.0]))
    def push(self, due: float | None) -> None:
        self.queue.push(self.count, context_with(due=due), self.now)
        if due is None:
            due = math.inf if self.default is None else self.now + self.default
        self.waiting.append((due, self.count, self.now))
        self.count += 1

    @rule()
    def wait(self) -> None:
        self.now += 1.0

    @precondition(lambda self: self.waiting)
    @rule()
    def pop(self) -> None:
        expected = min(self.waiting)
        assert self.queue.pop(self.now) == expected[1]
        self.waiting.remove(expected)

    @rule(back=st.sampled_from([0.0, 1.0]))
    def take(self, back: float) -> None:
        until = self.now - back
        assert self.queue.take(until) == [each[1] for each in sorted(self.waiting) if each[2] <= until]
        self.waiting = [each for each in self.waiting if each[2] > until]

    @invariant()
    def all_are_there(self) -> None:
        if hasattr(self, "queue"):
            assert len(self.queue) == len(self.waiting)
            assert sorted(step for _, step in self.queue.entries()) == sorted(each[1] for each in self.waiting)


TestLanes = LanesMachine.TestCase
TestDeadlines = DeadlinesMachine.TestCase


def test_starvation_is_bounded_as_documented() -> None:
    """A flood of urgent steps, and bulk ones that have waited for long: counted in steps, not in time."""
    scheduler = PriorityLanes(aging=0.1, aged_every=10)
    queue = queue_for(scheduler)
    for number in range(50):
        queue.push(("bulk", number), context_with("bulk"), 0.0)
    ran: list[Any] = []
    for number in range(5000):
        queue.push(("urgent", number), context_with("urgent"), 1.0)
        ran.append(queue.pop(1.0))
    when = {step[1]: place + 1 for place, step in enumerate(ran) if step[0] == "bulk"}
    assert len(when) == 50
    for older, place in when.items():
        assert place <= (older + 1) * (scheduler.aged_every + 1)
    gaps = [later - earlier for earlier, later in zip(sorted(when.values()), sorted(when.values())[1:], strict=False)]
    assert min(gaps) == scheduler.aged_every + 1, "urgent steps are held up by one at a time"


def test_without_aging_lower_lanes_wait_for_ever() -> None:
    queue = queue_for(PriorityLanes(aging=None))
    queue.push("bulk", context_with("bulk"), 0.0)
    for number in range(1000):
        queue.push(number, context_with("urgent"), 1e9)
        assert queue.pop(1e9) == number


def test_unknown_lanes_are_told_of_once_each_and_not_for_ever() -> None:
    told: list[Any] = []
    queue = queue_for(PriorityLanes(), told)
    for _ in range(2):
        for number in range(2 * UNKNOWN_LANES):
            queue.push(number, context_with(f"lane-{number}"), 0.0)
    assert len(told) < 2 * UNKNOWN_LANES
    assert len(set(told)) == len(told)
    assert told[0] == ("lane-0", "normal")


def test_tasks_that_wait_stand_by_deadline_or_lane() -> None:
    assert waiting_rank(Deadlines(), context_with(due=3.0)) < waiting_rank(Deadlines(), context_with(due=4.0))
    assert waiting_rank(Deadlines(), context_with()) == math.inf
    for scheduler in (PriorityLanes(), FirstInFirstOut(), FairShares()):
        ranks = [waiting_rank(scheduler, context_with(lane)) for lane in ("urgent", None, "elsewhere", "bulk")]
        assert ranks == [0, 2, 2, 4]

"""Shares of a loop: the account, and who gets how much of it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright._core import FairShares, Shares
from loopwright._core._wishes import GroupWish
from tests._core.queued import context_with, queue_for


class SharesMachine(RuleBasedStateMachine):
    """An account kept by hand beside the queue's, and first in, first out within a group."""

    NAMES = ("a", "b", "c", None)
    MOST = 4.0

    @initialize()
    def begin(self) -> None:
        self.queue: Shares = queue_for(FairShares(weight=1.0, remembered=1000))
        self.weights = dict(zip(self.NAMES, (1.0, 2.0, 4.0, 1.0), strict=True))
        self.waiting: dict[str | None, list[int]] = defaultdict(list)
        self.used: dict[str | None, float] = defaultdict(float)
        self.since: dict[str | None, tuple[float, ...]] = {}
        self.count, self.now = 0, 0.0
        self.running: str | type | None = int

    def context(self, name: str | None) -> Any:
        return context_with(group=None if name is None else GroupWish(name, self.weights[name]))

    @rule(name=st.sampled_from(NAMES), number=st.integers(1, 3))
    def push(self, name: str | None, number: int) -> None:
        for _ in range(number):
            self.queue.push(self.count, self.context(name), self.now)
            self.waiting[name].append(self.count)
            self.count += 1
        self.now += 1.0

    @precondition(lambda self: any(self.waiting.values()))
    @rule(cost=st.floats(0.0, MOST))
    def run_a_step(self, cost: float) -> None:
        step = self.queue.pop(self.now)
        name = next(name for name, steps in self.waiting.items() if step in steps)
        assert self.waiting[name].pop(0) == step, "first in, first out within a group"
        self.queue.charge(cost)
        self.used[name] += cost
        self.now += 1.0

    @rule(name=st.sampled_from(NAMES), cost=st.floats(0.0, MOST))
    def run_a_callback(self, name: str | None, cost: float) -> None:
        self.queue.begin(self.context(name))
        self.queue.charge(cost)
        self.used[name] += cost

    @rule()
    def take(self) -> None:
        assert self.queue.take(self.now) == sorted(step for steps in self.waiting.values() for step in steps)
        self.waiting.clear()

    @invariant()
    def the_account_is_right(self) -> None:
        if not hasattr(self, "queue"):
            return
        account = self.queue.account()
        for name, used in self.used.items():
            assert account[name].cpu_time == pytest.approx(used)
            assert account[name].weight == self.weights[name]
            assert account[name].ready == len(self.waiting[name])
        assert len(self.queue) == sum(map(len, self.waiting.values()))
        assert self.queue.ready(2) == min(2, len(self.queue))


TestShares = SharesMachine.TestCase


def shares_of(queue: Shares, steps: int, cost: dict[str, float]) -> dict[str | None, float]:
    """Have groups that always have more to do run so many steps; a step is its group's name."""
    before = {name: account.cpu_time for name, account in queue.account().items()}
    for _ in range(steps):
        name = queue.pop(0.0)
        queue.push(name, context_with(group=GroupWish(name, None)), 0.0)
        queue.charge(cost[name])
    return {name: account.cpu_time - before.get(name, 0.0) for name, account in queue.account().items()}


def test_shares_follow_weights_however_many_tasks_a_group_has_and_however_long_its_steps_are() -> None:
    queue: Shares = queue_for(FairShares())
    for _ in range(1000):
        queue.push("noisy", context_with(group=GroupWish("noisy", 1)), 0.0)
    queue.push("quiet", context_with(group=GroupWish("quiet", 2)), 0.0)
    used = shares_of(queue, 3000, {"noisy": 0.003, "quiet": 0.001})
    assert used["quiet"] / used["noisy"] == pytest.approx(2.0, rel=0.01)


def test_a_group_that_was_idle_collects_nothing() -> None:
    queue: Shares = queue_for(FairShares())
    queue.push("late", context_with(group=GroupWish("late", 1)), 0.0)
    queue.pop(0.0)
    queue.charge(0.001)
    queue.push("busy", context_with(group=GroupWish("busy", 1)), 0.0)
    shares_of(queue, 1000, {"busy": 1.0})
    queue.push("late", context_with(group=GroupWish("late", 1)), 0.0)
    used = shares_of(queue, 1000, {"busy": 1.0, "late": 1.0})
    assert used["late"] == pytest.approx(used["busy"], rel=0.01)


def test_what_a_group_uses_while_nobody_waits_is_not_held_against_it() -> None:
    queue: Shares = queue_for(FairShares())
    callbacks = context_with(group=GroupWish("callbacks", 1))
    for _ in range(100):
        queue.begin(callbacks)
        queue.charge(1.0)
    queue.push("other", context_with(group=GroupWish("other", 1)), 0.0)
    queue.push("callbacks", callbacks, 0.0)
    used = shares_of(queue, 100, {"callbacks": 1.0, "other": 1.0})
    assert used["callbacks"] == pytest.approx(used["other"], abs=2.0)


def test_idle_groups_are_forgotten_and_busy_ones_are_not() -> None:
    queue: Shares = queue_for(FairShares(remembered=10))
    queue.push("busy", context_with(group=GroupWish("busy", 3)), 0.0)
    for number in range(1000):
        queue.begin(context_with(group=GroupWish(f"tenant-{number}", None)))
        queue.charge(0.001)
    assert len(queue.account()) <= 20
    assert queue.account()["busy"].weight == 3
    assert "tenant-999" in queue.account()


def test_a_weight_without_a_number_stays_what_it_is() -> None:
    queue: Shares = queue_for(FairShares(weight=5))
    for weight, expected in ((None, 5.0), (2.0, 2.0), (None, 2.0), (3.0, 3.0)):
        queue.push("step", context_with(group=GroupWish("a", weight)), 0.0)
        assert queue.account()["a"].weight == expected


@pytest.mark.parametrize("where", ["heappop", "heappush"])
@pytest.mark.parametrize("before", [True, False])
def test_a_keyboard_interrupt_anywhere_loses_nothing(monkeypatch: pytest.MonkeyPatch, where: str, before: bool) -> None:
    queue = queue_for(FairShares())
    contexts = [context_with(group=GroupWish(name, None)) for name in "ab"]
    for number in range(2):
        for context in contexts:
            queue.push((number, context), context, 0.0)
    really = getattr(heapq, where)

    def interrupted(*args: Any) -> None:
        monkeypatch.undo()
        if not before:
            really(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"loopwright._core._scheduling_shares.heapq.{where}", interrupted)
    late = context_with(group=GroupWish("late", None))

    def push_and_pop() -> None:
        queue.push("late", late, 0.0)
        queue.pop(0.0)

    with pytest.raises(KeyboardInterrupt):
        push_and_pop()
    queue.mend()
    assert len(queue) == queue.ready(100) == 5
    for _ in range(5):
        queue.pop(0.0)
        queue.charge(0.01)
    assert len(queue) == 0
    with pytest.raises(IndexError):
        queue.pop(0.0)

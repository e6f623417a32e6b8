"""Slots for tasks, held against a model that is plain lists, and what the model cannot say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright._core._task_slots import Standing, TaskSlots


class Model:
    """Every slot is a list of members, and whoever waits is in one list that is sorted anew each time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.slots: list[list[int]] = []
        self.waiting: list[tuple[int, int]] = []
        self.outside: dict[int, bool] = {}

    def slot_of(self, member: int) -> list[int] | None:
        return next((slot for slot in self.slots if member in slot), None)

    def enter(self, member: int, rank: int, parent: int | None) -> Standing:
        if parent is not None and self.outside.get(parent):
            self.outside[member] = True
            return Standing.OUTSIDE_WITH_ALL
        if parent is not None and (slot := self.slot_of(parent)) is not None:
            slot.append(member)
            return Standing.RIDES
        if len(self.slots) < self.limit:
            self.slots.append([member])
            return Standing.HOLDS
        self.waiting.append((rank, member))
        return Standing.WAITS

    def remove(self, member: int) -> None:
        self.outside.pop(member, None)
        self.waiting = [each for each in self.waiting if each[1] != member]
        self.slots = [left for slot in self.slots if (left := [each for each in slot if each != member])]

    def admit(self) -> list[int]:
        admitted = []
        while self.waiting and len(self.slots) < self.limit:
            first = min(self.waiting)  # members are numbered in the order in which they come
            self.waiting.remove(first)
            self.slots.append([first[1]])
            admitted.append(first[1])
        return admitted

    def all(self) -> list[int]:
        waiting = [member for _, member in self.waiting]
        return [*self.outside, *waiting, *(member for slot in self.slots for member in slot)]


class SlotsMachine(RuleBasedStateMachine):
    @initialize(limit=st.integers(1, 4))
    def begin(self, limit: int) -> None:
        self.slots: TaskSlots[int] = TaskSlots(limit)
        self.model = Model(limit)
        self.last = 0

    def new(self) -> int:
        self.last += 1
        return self.last

    @rule(rank=st.integers(0, 3), data=st.data())
    def enter(self, rank: int, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from([None, *self.model.all()]))
        member = self.new()
        assert self.slots.enter(member, lambda: rank, parent) is self.model.enter(member, rank, parent)

    @rule()
    def force(self) -> None:
        member = self.new()
        self.slots.force(member)
        self.model.slots.append([member])

    @precondition(lambda self: self.model.all())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.model.all()))
        self.model.remove(member)
        assert self.slots.finish(member) == self.model.admit()

    @rule(data=st.data(), with_all=st.booleans())
    def put_outside(self, data: st.DataObject, with_all: bool) -> None:
        member = data.draw(st.sampled_from([self.last + 1, *self.model.all()]))
        self.last = max(self.last, member)
        self.model.remove(member)
        self.model.outside[member] = with_all
        assert self.slots.put_outside(member, with_all=with_all) == self.model.admit()

    @rule()
    def a_stranger_finishes(self) -> None:
        assert self.slots.finish(self.new()) == []

    @invariant()
    def they_agree(self) -> None:
        model = self.model
        assert self.slots.started == len(model.slots)
        assert self.slots.waiting == len(model.waiting)
        assert sorted(map(sorted, self.slots.slots())) == sorted(map(sorted, model.slots))
        assert self.slots.full == (len(model.slots) >= model.limit)
        ranks = {member: self.slots.standing(member) for member in range(1, self.last + 1)}
        assert {member for member, standing in ranks.items() if standing is not None} == set(model.all())
        assert self.slots.riding == sum(standing is Standing.RIDES for standing in ranks.values())

    @invariant()
    def nobody_waits_beside_a_free_slot(self) -> None:
        assert self.slots.full or not self.slots.waiting


SlotsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSlots = SlotsMachine.TestCase


def refused() -> Any:
    raise AssertionError("asked for the rank of a member that need not wait")


def test_the_rank_is_asked_for_only_of_those_that_wait() -> None:
    slots: TaskSlots[str] = TaskSlots(1)
    assert slots.enter("a", refused) is Standing.HOLDS
    assert slots.enter("b", refused, "a") is Standing.RIDES
    with pytest.raises(AssertionError, match="asked for"):
        slots.enter("c", refused)
    assert (slots.started, slots.riding, slots.waiting, slots.standing("c")) == (1, 1, 0, None)


def test_a_rank_that_cannot_be_compared_leaves_everything_as_it_was() -> None:
    slots: TaskSlots[str] = TaskSlots(1)
    slots.enter("a", refused)
    slots.enter("b", lambda: 1)
    with pytest.raises(TypeError):
        slots.enter("c", lambda: "one")
    slots.enter("d", lambda: 0)
    assert slots.waiting == 2
    assert slots.finish("a") == ["d"]
    assert slots.finish("d") == ["b"]
    assert slots.finish("b") == []


def test_many_that_give_up_are_not_remembered() -> None:
    slots: TaskSlots[int] = TaskSlots(1)
    slots.enter(0, refused)
    for number in range(1, 10_001):
        slots.enter(number, lambda: 0)
        slots.finish(number)
    assert len(slots._queue) < 100
    assert slots.finish(0) == []


def test_no_limit_any_more_starts_all_in_order() -> None:
    slots: TaskSlots[int] = TaskSlots(1)
    slots.enter(0, refused)
    for number, rank in enumerate((3, 1, 2, 1), start=1):
        slots.enter(number, lambda rank=rank: rank)  # type: ignore[misc]
    assert slots.unlimit() == [2, 4, 3, 1]
    assert (slots.started, slots.waiting, slots.full) == (5, 0, False)
    assert slots.enter(5, refused) is Standing.HOLDS


def test_cleared() -> None:
    slots: TaskSlots[int] = TaskSlots(1)
    slots.enter(0, refused)
    slots.enter(1, refused, 0)
    slots.enter(2, lambda: 0)
    slots.clear()
    assert (slots.started, slots.riding, slots.waiting, slots.standing(2)) == (0, 0, 0, None)
    assert slots.enter(3, refused) is Standing.HOLDS

"""Steps that a user's own scheduler chooses from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loopwright._core import ReadyStep, TaskScheduler
from loopwright._core._scheduling_selected import Selected
from loopwright._core._wishes import GroupWish
from tests._core.queued import context_with, queue_for


class Choosing(TaskScheduler):
    def __init__(self, *choices: Any) -> None:
        self.choices = list(choices)
        self.seen: list[Any] = []

    def select(self, ready: Any) -> Any:
        self.seen.append([step.task for step in ready])
        choice = self.choices.pop(0)
        if isinstance(choice, BaseException):
            raise choice
        return choice(ready) if callable(choice) else choice


@pytest.mark.parametrize(
    "wrong", [ValueError("of mine"), asyncio.CancelledError(), 3, -4, "one", None, True, 1.0, lambda _: object()]
)
def test_a_wrong_choice_is_told_of_once_and_no_step_is_lost(wrong: Any) -> None:
    told: list[Any] = []
    queue = queue_for(Choosing(wrong, wrong, wrong), told)
    for name in "abc":
        queue.push(name, context_with(), 0.0)
    assert [queue.pop(0.0) for _ in range(3)] == ["a", "b", "c"]
    assert len(told) == 1


def test_a_step_or_an_index_is_a_choice() -> None:
    scheduler = Choosing(lambda ready: ready[1], -1, 0)
    queue = queue_for(scheduler)
    for name in "abc":
        queue.push(name, context_with(), 0.0)
    assert [queue.pop(0.0) for _ in range(3)] == ["b", "c", "a"]
    assert scheduler.seen == [["a", "b", "c"], ["a", "c"], ["a"]]


def test_the_steps_of_a_task_stay_in_order_whatever_is_chosen() -> None:
    queue = queue_for(Choosing(-1, -1, -1))
    for step in (("a", 1), ("b", 1), ("a", 2)):
        queue.push(step, context_with(), 0.0)
    assert [queue.pop(0.0) for _ in range(3)] == [("a", 1), ("a", 2), ("b", 1)]


def test_a_keyboard_interrupt_in_select_loses_nothing() -> None:
    queue = queue_for(Choosing(KeyboardInterrupt(), 0))
    queue.push("a", context_with(), 0.0)
    with pytest.raises(KeyboardInterrupt):
        queue.pop(0.0)
    assert queue.pop(0.0) == "a"


def test_what_is_to_be_chosen_from_cannot_be_changed_and_tells_everything() -> None:
    def look(ready: Any) -> int:
        with pytest.raises(TypeError):
            ready[0] = None
        step: ReadyStep = ready[0]
        assert (step.task, step.since, step.priority) == ("a", 2.5, "low")
        assert (step.group, step.weight, step.deadline) == ("g", 2.0, 7.0)
        assert "low" in repr(step)
        return 0

    queue = queue_for(Choosing(look))
    queue.push("a", context_with("low", GroupWish("g", 2.0), 7.0), 2.5)
    assert queue.pop(3.0) == "a"


def test_a_choice_costs_no_look_at_every_other_task() -> None:
    looks: list[int] = []

    def look(step: int) -> int:
        looks.append(step)
        return step

    queue = Selected(lambda ready: len(ready) - 1, look, lambda *_: None)
    for number in range(100):
        queue.push(number, context_with(), 0.0)
    assert [queue.pop(0.0) for _ in range(100)] == list(range(99, -1, -1))
    assert len(looks) == 100


def test_what_is_left_of_a_task_when_steps_were_taken_stays_in_order() -> None:
    queue = queue_for(Choosing(-1, -1, -1))
    for step, since in ((("a", 1), 1.0), (("a", 2), 2.0), (("b", 1), 2.0), (("a", 3), 2.0)):
        queue.push(step, context_with(), since)
    assert queue.take(1.0) == [("a", 1)]
    assert [queue.pop(3.0) for _ in range(3)] == [("a", 2), ("a", 3), ("b", 1)]
    assert len(queue) == 0

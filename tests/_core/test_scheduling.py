from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from loopwright._core import (
    Deadlines,
    FairShares,
    FirstInFirstOut,
    PriorityLanes,
    TaskScheduler,
    scheduler_named,
    scheduler_names,
)
from loopwright.errors import CallerError, NotASchedulerError, UnknownSchedulerError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fifo", FirstInFirstOut()),
        ("priority", PriorityLanes()),
        ("fair", FairShares()),
        ("deadline", Deadlines()),
        (None, FirstInFirstOut()),
    ],
)
def test_names(name: Any, expected: TaskScheduler) -> None:
    assert scheduler_named(name) == expected
    assert scheduler_named(expected) is expected
    assert set(scheduler_names()) == {"fifo", "priority", "fair", "deadline"}


@pytest.mark.parametrize(
    ("name", "near"), [("prority", "'priority'"), (" Fair ", "'fair'"), ("deadlines", "'deadline'")]
)
def test_a_mistyped_name_gets_the_nearest_one(name: str, near: str) -> None:
    with pytest.raises(UnknownSchedulerError, match=f"did you mean {near}"):
        scheduler_named(name)
    with pytest.raises(ValueError, match="there are: fifo, priority, fair, deadline"):
        scheduler_named("xyz")


class Mine(TaskScheduler):
    def select(self, ready: Any) -> int:
        return 0


class Empty(TaskScheduler):
    pass


class Derived(PriorityLanes):
    pass


def test_what_is_no_scheduler_is_refused_with_the_mend() -> None:
    with pytest.raises(NotASchedulerError, match=r"call it first: PriorityLanes\(\)"):
        scheduler_named(PriorityLanes)
    with pytest.raises(NotASchedulerError, match=r"Empty has no select\(\)"):
        scheduler_named(Empty())
    for wrong in (5, object(), b"fifo", ["fifo"]):
        with pytest.raises(TypeError, match="must be a TaskScheduler or the name of one"):
            scheduler_named(wrong)
    for right in (Mine(), Derived()):
        assert scheduler_named(right) is right
    with pytest.raises(NotImplementedError, match="PriorityLanes has no select"):
        PriorityLanes().select([])
    assert issubclass(NotASchedulerError, CallerError)


@pytest.mark.parametrize("described", [FirstInFirstOut(), PriorityLanes(), FairShares(), Deadlines()])
def test_descriptions_are_frozen_values(described: Any) -> None:
    assert described == type(described)()
    assert hash(described) == hash(type(described)())
    for field in dataclasses.fields(described):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(described, field.name, 1)


def test_lanes_may_be_any_sequence_of_names() -> None:
    lanes: Any = ["a", "b"]
    assert PriorityLanes(lanes, default="b") == PriorityLanes(("a", "b"), default="b")


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: PriorityLanes(lanes=()), ValueError, "at least one name"),
        (lambda: PriorityLanes(lanes="abc"), TypeError, "names of lanes"),  # type: ignore[arg-type]
        (lambda: PriorityLanes(lanes=(1, 2)), TypeError, "names of lanes"),  # type: ignore[arg-type]
        (lambda: PriorityLanes(lanes=("a", "a"), default="a"), ValueError, "there twice"),
        (lambda: PriorityLanes(lanes=("", "a"), default="a"), ValueError, "empty"),
        (lambda: PriorityLanes(default="usual"), ValueError, "one of urgent, high"),
        (lambda: PriorityLanes(aging=0), ValueError, "aging must be a finite number of seconds above 0"),
        (lambda: PriorityLanes(aging=float("nan")), ValueError, "nan"),
        (lambda: PriorityLanes(aging=float("inf")), ValueError, "or None"),
        (lambda: PriorityLanes(aging="1s"), TypeError, "'1s'"),  # type: ignore[arg-type]
        (lambda: PriorityLanes(aged_every=0), ValueError, "aged_every must be a whole number"),
        (lambda: PriorityLanes(aged_every=1.5), TypeError, "1.5"),  # type: ignore[arg-type]
        (lambda: FairShares(weight=0), ValueError, "above 0"),
        (lambda: FairShares(weight=True), TypeError, "True"),
        (lambda: FairShares(remembered=-1), ValueError, "-1"),
        (lambda: Deadlines(default=-1), ValueError, "default must be"),
        (lambda: Deadlines(default="soon"), TypeError, "'soon'"),  # type: ignore[arg-type]
    ],
)
def test_wrong_numbers_and_names(make: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()

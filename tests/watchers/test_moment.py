"""Those that wait for their moment: by one timer, which is set for as long as nobody needed it."""

from __future__ import annotations

from typing import Any

import pytest

from loopwright.watchers._moment import ALARM, LONGEST, SHORTEST, Moment


class Loop:
    """A loop whose timers ring when they are told to."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Any, tuple[Any, ...]]] = []

    def call_later(self, seconds: float, callback: Any, *args: Any) -> None:
        self.set.append((seconds, callback, args))

    def ring(self) -> float:
        seconds, callback, args = self.set.pop()
        assert not self.set, "one timer at a time"
        callback(*args)
        return float(seconds)


class Waiting:
    def __init__(self, error: Exception | None = None) -> None:
        self.called = 0
        self._error = error

    def come_due(self) -> None:
        self.called += 1
        if self._error is not None:
            raise self._error


class Waits:
    """A moment with its loop, as a hub uses it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.moment = Moment()

    def add(self, who: Waiting) -> None:
        if self.moment.add(who):
            self.moment.set_timer(self.loop, None)  # type: ignore[arg-type]  # all that it uses of one


def test_who_comes_while_the_timer_runs_waits_for_the_next() -> None:
    waits, first, second = Waits(), Waiting(), Waiting()
    waits.add(first)
    waits.add(second)
    assert waits.loop.ring() == SHORTEST
    assert (first.called, second.called) == (1, 0)
    assert waits.loop.ring() == SHORTEST
    assert (first.called, second.called) == (1, 1)
    assert not waits.loop.set


@pytest.mark.parametrize("place", [0, 1])
def test_who_takes_it_back_is_not_called(place: int) -> None:
    waits, both = Waits(), (Waiting(), Waiting())
    for each in both:
        waits.add(each)
    waits.moment.discard(both[place])
    waits.moment.discard(both[place])
    while waits.loop.set:
        waits.loop.ring()
    assert [each.called for each in both] == [place, 1 - place]


def test_the_timer_is_not_set_anew_by_each_of_many() -> None:
    waits = Waits()
    for _ in range(100):
        one = Waiting()
        waits.add(one)
        waits.moment.discard(one)
    assert len(waits.loop.set) == 1
    waits.loop.ring()
    assert not waits.loop.set


def test_it_is_set_for_longer_as_long_as_it_rings_for_nobody() -> None:
    waits, found = Waits(), []
    for _ in range(5):
        one = Waiting()
        waits.add(one)
        waits.moment.discard(one)
        found.append(waits.loop.ring())
    assert found == [SHORTEST, 2 * SHORTEST, LONGEST, LONGEST, LONGEST]
    last = Waiting()
    waits.add(last)
    assert (waits.loop.ring(), last.called) == (LONGEST, 1)
    waits.add(Waiting())
    assert waits.loop.ring() == SHORTEST


def test_one_that_raises_does_not_hold_up_the_others() -> None:
    waits, wrong = Waits(), ZeroDivisionError()
    first, second, later = Waiting(wrong), Waiting(wrong), Waiting()
    waits.moment.add(first)
    waits.moment._due[second] = None  # two that the timer was set for, as after one has raised
    waits.moment.set_timer(waits.loop, None)  # type: ignore[arg-type]  # as above
    waits.add(later)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            waits.loop.ring()
    assert (first.called, second.called) == (1, 1)
    while waits.loop.set:
        waits.loop.ring()
    assert later.called == 1


def test_a_set_that_has_an_alarm_of_its_own() -> None:
    class Set:
        def __init__(self) -> None:
            self.alarms: list[tuple[int, int]] = []

        def alarm(self, nanoseconds: int, key: int) -> None:
            if self.alarms:
                raise OSError
            self.alarms.append((nanoseconds, key))

    loop, moment, pidfds, one = Loop(), Moment(), Set(), Waiting()
    assert moment.add(one)
    moment.set_timer(loop, pidfds)  # type: ignore[arg-type]  # as above
    assert pidfds.alarms == [(int(SHORTEST * 1e9), ALARM)]
    assert not loop.set
    moment.come(loop, pidfds)  # type: ignore[arg-type]  # as above
    assert one.called == 1
    assert moment.add(one)
    moment.set_timer(loop, pidfds)  # type: ignore[arg-type]  # as above
    assert len(loop.set) == 1, "no descriptor was left for the set's own: the loop's serves"

"""Decisions about limits, over histories that nobody thought of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.observe._threshold import BELOW, State, Threshold, step

LOOKS = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 200)), max_size=60)
THRESHOLDS = st.builds(Threshold, st.just(100.0), st.floats(0, 10), st.floats(0, 1))


def play(threshold: Threshold, looks: list[tuple[float, float]]) -> list[tuple[float, float, bool]]:
    state, now, seen = BELOW, 0.0, []
    for pause, value in looks:
        now += pause
        state, alarm = step(threshold, state, now, value)
        seen.append((now, value, alarm))
    return seen


def test_alarm_at_the_first_look_without_patience() -> None:
    assert [alarm for *_, alarm in play(Threshold(100), [(1, 100), (1, 101), (1, 150)])] == [False, True, False]


def test_patience_starts_anew_when_it_dips() -> None:
    looks = [(1.0, 101.0), (1.0, 101.0), (1.0, 100.0), (1.0, 101.0), (1.0, 101.0), (1.0, 101.0)]
    assert [alarm for *_, alarm in play(Threshold(100, patience=2), looks)] == [False] * 5 + [True]


def test_second_alarm_only_after_calm() -> None:
    looks = [(1.0, 101.0), (1.0, 95.0), (1.0, 101.0), (1.0, 90.0), (1.0, 101.0)]
    assert [alarm for *_, alarm in play(Threshold(100, calm=0.9), looks)] == [True, False, False, False, True]


@given(THRESHOLDS, LOOKS)
def test_every_alarm_was_deserved(threshold: Threshold, looks: list[tuple[float, float]]) -> None:
    seen = play(threshold, looks)
    for index, (now, _, alarm) in enumerate(seen):
        if not alarm:
            continue
        run = index
        while run > 0 and seen[run - 1][1] > threshold.limit:
            run -= 1
        assert seen[index][1] > threshold.limit
        assert now - seen[run][0] >= threshold.patience


@given(THRESHOLDS, LOOKS)
def test_between_two_alarms_it_was_calm(threshold: Threshold, looks: list[tuple[float, float]]) -> None:
    seen = play(threshold, looks)
    alarms = [index for index, (*_, alarm) in enumerate(seen) if alarm]
    for first, second in itertools.pairwise(alarms):
        assert min(value for _, value, _ in seen[first:second]) <= threshold.limit * threshold.calm


@given(THRESHOLDS, LOOKS)
def test_no_alarm_is_missed(threshold: Threshold, looks: list[tuple[float, float]]) -> None:
    """Whoever has been above for long enough, and was calm since the last alarm, is told of."""
    armed, since = True, None
    for now, value, alarm in play(threshold, looks):
        if armed:
            since = None if value <= threshold.limit else now if since is None else since
            expected = since is not None and now - since >= threshold.patience
            assert alarm is expected
            armed = not expected
        else:
            assert not alarm
            armed, since = value <= threshold.limit * threshold.calm, None


def test_an_alarm_leaves_a_state_that_says_so() -> None:
    assert step(Threshold(1), BELOW, 5.0, 2.0) == (State(5.0, alarmed=True), True)


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": float("nan")}, {"patience": -1}, {"calm": 1.5}])
def test_bad_numbers(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Threshold(**{"limit": 1.0, **bad})

"""Delays between restarts: within their bounds, growing, and never too large to reckon with."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loopwright._core import Pacing

SECONDS = st.floats(0, 1e9)


@st.composite
def pacings(draw: st.DrawFn, jitter: st.SearchStrategy[float] = st.floats(0, 1)) -> Pacing:  # noqa: B008 - immutable
    initial = draw(SECONDS)
    return Pacing(initial, draw(st.floats(1, 1e6)), draw(st.floats(initial, 1e9)), draw(jitter))


attempts = st.one_of(st.integers(1, 100), st.integers(1, 10**400))
chances = st.floats(0, 1, exclude_max=True)


@given(pacings(), attempts, chances)
@example(Pacing(), 2000, 0.0)  # 2.0 ** 1999 is too large for a float
@example(Pacing(0.5, 1.0, 60.0, 0.0), 10**400, 0.0)  # and this is too large to become one
@example(Pacing(0.0, 2.0, 60.0, 0.0), 2000, 0.0)
@example(Pacing(5e-324, 2.0, 1e308, 0.0), 3000, 0.0)
def test_within_bounds(pacing: Pacing, attempt: int, chance: float) -> None:
    delay = pacing.delay(attempt, chance)
    assert math.isfinite(delay)
    full = Pacing(pacing.initial_delay, pacing.factor, pacing.max_delay, 0.0).delay(attempt, chance)
    assert pacing.initial_delay <= full <= pacing.max_delay
    assert full * (1 - pacing.jitter) * (1 - 1e-12) <= delay <= full


@given(pacings(st.just(0.0)), attempts, attempts)
def test_never_shorter_for_a_later_restart(pacing: Pacing, one: int, other: int) -> None:
    sooner, later = sorted((one, other))
    assert pacing.delay(sooner, 0.5) <= pacing.delay(later, 0.5)


@given(pacings(), attempts, chances, chances)
def test_jitter_only_shortens(pacing: Pacing, attempt: int, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert pacing.delay(attempt, more) <= pacing.delay(attempt, less) <= pacing.max_delay


def test_the_series_that_is_documented() -> None:
    pacing = Pacing(initial_delay=0.5, factor=2, max_delay=10, jitter=0)
    assert [pacing.delay(attempt, 0.9) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert Pacing(4, 1, 60, 0.25).delay(9, 0.5) == 3.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"initial_delay": -1}, "initial_delay must be a number from 0 to inf, not -1"),
        ({"factor": 0.5}, "factor must be a number from 1 to inf, not 0.5"),
        ({"max_delay": math.inf}, "max_delay must be"),
        ({"initial_delay": math.nan}, "initial_delay must be"),
        ({"jitter": 1.5}, "jitter must be a number from 0 to 1, not 1.5"),
        ({"initial_delay": 5, "max_delay": 2}, r"max_delay \(2 s\) is below initial_delay \(5 s\)"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pacing(**wrong)


@pytest.mark.parametrize("attempt", [0, -3])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match=f"counted from 1, not {attempt}"):
        Pacing().delay(attempt, 0.0)

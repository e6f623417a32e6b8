"""The arithmetic of the benchmarks: benchmarks/_shared/statistics.py and tables.py."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(__file__).parents[2] / "benchmarks" / "_shared"


@pytest.fixture(scope="module")
def stats() -> Iterator[Any]:
    """The module, from its file: benchmarks are programs, and no package on anybody's path."""
    name = "benchmarks_statistics"
    spec = importlib.util.spec_from_file_location(name, SHARED / "statistics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_a_ratio_of_paired_rounds_does_not_feel_a_machine_that_slows_down(stats: Any) -> None:
    machine = [1.0, 1.0, 9.0, 2.0, 5.0, 1.0, 30.0]
    found = stats.ratio([2.0 * speed for speed in machine], [4.0 * speed for speed in machine])
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_rounds_that_have_no_partner_are_refused(stats: Any) -> None:
    with pytest.raises(ValueError, match="shorter"):
        stats.ratio([1.0, 2.0], [1.0])


def test_nineteen_of_twenty_intervals_hold_the_true_median(stats: Any) -> None:
    chance = random.Random(5)
    held = 0
    for number in range(100):
        rounds = [chance.gauss(10.0, 3.0) for _ in range(25)]
        found = stats.bootstrap(rounds, stats.statistics.median, resamples=200, seed=number)
        assert found.low <= found.value <= found.high
        held += found.low <= 10.0 <= found.high
    assert 88 <= held <= 100  # 95 but for chance, which of a hundred leaves seven either way


def test_the_same_rounds_give_the_same_interval(stats: Any) -> None:
    rounds = [1.0, 5.0, 2.0, 8.0, 3.0]
    assert stats.median(rounds) == stats.median(rounds)


def test_a_slope_is_found_under_a_machine_that_slows_down(stats: Any) -> None:
    sizes = (0, 500, 1000)
    rounds = [[load + 0.25 * size for size in sizes] for load in (100.0, 700.0, 150.0, 120.0, 90.0)]
    found = stats.slope(sizes, rounds)
    assert found.value == pytest.approx(0.25)
    assert found.low > 0


def test_what_does_not_grow_has_a_slope_not_to_be_told_from_zero(stats: Any) -> None:
    chance = random.Random(2)
    rounds = [[chance.gauss(300.0, 20.0) for _ in range(3)] for _ in range(15)]
    found = stats.slope((100, 1000, 10000), rounds)
    assert found.low < 0 < found.high


def test_a_slope_takes_two_sizes(stats: Any) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        stats.line((5, 5), (1.0, 2.0))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.5, 0.9, "met comfortably"), (0.9, 1.0, "met comfortably"), (0.9, 1.2, "met"), (1.1, 1.2, "not met")],
)
def test_a_bound_is_met_where_the_interval_reaches_it(stats: Any, low: float, high: float, verdict: str) -> None:
    assert stats.Estimate((low + high) / 2, low, high).at_most(1.0) == verdict


def test_a_bound_from_below_is_the_mirror_of_one_from_above(stats: Any) -> None:
    assert stats.Estimate(2.5, 2.1, 3.0).at_least(2.0) == "met comfortably"
    assert stats.Estimate(1.9, 1.7, 2.1).at_least(2.0) == "met"
    assert stats.Estimate(1.5, 1.4, 1.6).at_least(2.0) == "not met"


def test_quantiles_lie_between_neighbours(stats: Any) -> None:
    assert stats.quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert stats.quantile([7.0], 0.99) == 7.0
    assert stats.quantile(list(range(101)), 0.99) == 99
    with pytest.raises(ValueError, match="no values"):
        stats.quantile([], 0.5)

"""What rounds say: medians with intervals, ratios of paired rounds, slopes, verdicts. Pure functions.

Rounds are paired: in each, every side was measured, in an order of chance, within a few seconds. What slows the machine
for a while slows both members of a pair, so their ratio is steadier than the figures. Intervals are those of a
percentile bootstrap over the rounds (Efron, 1979), of 95 %; the seed is fixed, so the same figures give the same one.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESAMPLES = 2_000
LEVEL = 0.95
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure and the interval in which it lies."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """In another unit; the factor is positive."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def at_most(self, bound: float) -> str:
        """A bound is met if the interval reaches it, and met comfortably if the whole interval lies inside."""
        if self.high <= bound:
            return "met comfortably"
        return "met" if self.low <= bound else "not met"

    def at_least(self, bound: float) -> str:
        """The same from the other side."""
        return Estimate(-self.value, -self.high, -self.low).at_most(-bound)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, between neighbours in proportion."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def bootstrap(
    rounds: Sequence[T], figure: Callable[[Sequence[T]], float], *, resamples: int = RESAMPLES, seed: int = 1
) -> Estimate:
    """`figure(rounds)`, with the interval that follows from drawing as many rounds anew, with repetition."""
    chance = random.Random(seed)
    drawn = [figure(chance.choices(rounds, k=len(rounds))) for _ in range(resamples)]
    return Estimate(figure(rounds), quantile(drawn, (1 - LEVEL) / 2), quantile(drawn, (1 + LEVEL) / 2))


def median(rounds: Sequence[float]) -> Estimate:
    """The median of the rounds."""
    return bootstrap(rounds, statistics.median)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The median of the rounds' ratios."""
    return median([mine / other for mine, other in zip(ours, theirs, strict=True)])


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The median of the rounds' differences."""
    return median([mine - other for mine, other in zip(ours, theirs, strict=True)])


def line(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """The slope of the straight line through the points that has the least squares."""
    middle = statistics.fmean(sizes)
    spread = sum((size - middle) ** 2 for size in sizes)
    if not spread:
        raise ValueError("a slope takes two sizes at least")
    return sum((size - middle) * figure for size, figure in zip(sizes, figures, strict=True)) / spread


def slope(sizes: Sequence[float], rounds: Sequence[Sequence[float]]) -> Estimate:
    """The median of the rounds' slopes; each round has one figure for each size."""
    return median([line(sizes, figures) for figures in rounds])

"""The figures against one another and against the bounds that were set. Pure functions over rows.

Every figure is a cost, and every comparison says how many times as fast: the other's figure over the side's own, of the
same round. Above 1 the side is the faster one.
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _shared.statistics import LEVEL, Estimate, quantile, ratio
from _shared.tables import with_interval

from _loops.sides import CEILINGS, OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _loops.measure import Row

UVLOOP, ASYNCIO = "uvloop", "asyncio"
RESAMPLES = 1_000
SCHEDULING = ("scheduling", "timers")
#: The rows of which point 5 of the issue says something on their own.
RUN = "run"


@dataclass(frozen=True)
class Verdict:
    """One bound."""

    what: str
    bound: str
    found: str
    verdict: str


def _pairs(row: Row, side: str, other: str, what: str | None = None) -> tuple[list[float], list[float]] | None:
    """The rounds of both. None if one has none, or some below the least that can be told, as a smoke run may have."""
    mine, theirs = row.of(side, what), row.of(other, what)
    return (mine, theirs) if mine and theirs and min(*mine, *theirs) > 0 else None


def times(row: Row, side: str, other: str, what: str | None = None) -> Estimate | None:
    """How many times as fast as another one a side is; None if one of them has no figures."""
    pairs = _pairs(row, side, other, what)
    return ratio(pairs[1], pairs[0]) if pairs else None


def best_peer(row: Row, what: str | None = None) -> str | None:
    """The fastest side that is neither ours nor a ceiling."""
    figures = row.figures.get(what or row.judged, {})
    peers = [side for side in figures if side != OURS and side not in CEILINGS]
    return min(peers, key=lambda side: statistics.median(figures[side])) if peers else None


def geometric_mean(rows: Iterable[Row], side: str, other: str) -> Estimate | None:
    """Of how many times as fast a side is, over the rows in which both have figures; the rounds of every row are drawn
    anew by themselves for the interval."""
    ratios: list[Sequence[float]] = []
    for row in rows:
        pairs = _pairs(row, side, other)
        if pairs:
            ratios.append([theirs / mine for mine, theirs in zip(*pairs, strict=True)])
    if not ratios:
        return None

    def mean(medians: Iterable[float]) -> float:
        return math.exp(statistics.fmean(map(math.log, medians)))

    chance = random.Random(1)
    drawn = [
        mean(statistics.median(chance.choices(rounds, k=len(rounds))) for rounds in ratios) for _ in range(RESAMPLES)
    ]
    value = mean(map(statistics.median, ratios))
    return Estimate(value, quantile(drawn, (1 - LEVEL) / 2), quantile(drawn, (1 + LEVEL) / 2))


def all_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """What point 5 of the issue wants, as far as it was measured."""
    scheduling = [row for row in rows if row.part in SCHEDULING]
    found: list[Verdict | None] = [
        _judge(
            f"scheduling and timers, geometric mean of {len(scheduling)} rows",
            geometric_mean(scheduling, OURS, UVLOOP),
            2.0,
            UVLOOP,
        ),
        _none_behind("no scheduling or timer row behind", scheduling, UVLOOP),
    ]
    kib = [row for row in rows if row.key.startswith("protocol-1k-")]
    found += [_judge(row.title, times(row, OURS, UVLOOP), 1.1, f"{UVLOOP}, CPU a message") for row in kib]
    found.append(
        _judge(f"Protocol, 1 KiB, geometric mean of {len(kib)} rows", geometric_mean(kib, OURS, UVLOOP), 1.1, UVLOOP)
    )
    for kind in ("udp", "sock", "streams", "unix"):
        of_kind = [row for row in rows if row.key.startswith(f"{kind}-")]
        found.append(_none_behind(f"{kind}: no row behind", of_kind, UVLOOP))
    found.append(_none_behind("tls: no row behind", [row for row in rows if row.part == "tls"], ASYNCIO))
    found += [_judge(row.title, times(row, OURS, ASYNCIO), 1.0, ASYNCIO) for row in rows if row.key == RUN]
    found += [_judge(row.title, times(row, OURS, UVLOOP), 1.0, UVLOOP) for row in rows if row.part == "memory"]
    return [verdict for verdict in found if verdict is not None]


def _judge(what: str, estimate: Estimate | None, bound: float, other: str) -> Verdict | None:
    if estimate is None:
        return None
    return Verdict(what, f"{bound:g} x {other}", with_interval(estimate), estimate.at_least(bound))


def _none_behind(what: str, rows: Sequence[Row], other: str) -> Verdict | None:
    compared = {row.key: times(row, OURS, other) for row in rows}
    there = {key: estimate for key, estimate in compared.items() if estimate is not None}
    if not there:
        return None
    judged = {key: estimate.at_least(1.0) for key, estimate in there.items()}
    behind = [key for key, verdict in judged.items() if verdict == "not met"]
    worst = min(there, key=lambda key: there[key].value)
    verdict = "not met" if behind else "met" if "met" in judged.values() else "met comfortably"
    told = f"{worst}: {with_interval(there[worst])}" + (f"; behind: {', '.join(behind)}" if behind else "")
    return Verdict(what, f"1 x {other}", told, verdict)


def behind_the_best(rows: Iterable[Row]) -> list[tuple[Row, str, Estimate]]:
    """The rows in which the whole interval lies behind the best peer's, which peer, and how far."""
    found = []
    for row in rows:
        peer = best_peer(row)
        estimate = times(row, OURS, peer) if peer else None
        if peer and estimate and estimate.at_least(1.0) == "not met":
            found.append((row, peer, estimate))
    return found

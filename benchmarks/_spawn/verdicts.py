"""The figures against the bounds that were set for them."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from typing import TYPE_CHECKING

from _shared.statistics import Estimate, bootstrap, difference, median, quantile, ratio, slope
from _shared.tables import number, with_interval

from _spawn.sides import LIMIT, NATIVE, OURS, SIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _spawn.measure import Row

PEERS = tuple(side.name for side in SIDES if side.kind == "peer")
#: (row, at most so many times the limit, at most so many times the best peer with a loop)
SPEED = (
    ("nothing-1", 1.7, 0.6),
    ("communicate-1", 1.9, 0.6),
    ("nothing-64", 1.3, 0.4),
    ("communicate-64", 1.3, 0.4),
)
GROWTH = ("children", "descriptors", "memory")
MILLISECOND = 1_000.0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A bound, what was found, and whether that is within."""

    what: str
    bound: str
    found: str
    verdict: str
    remark: str = ""


def best_peer(row: Row) -> str | None:
    """Of those with a loop, the one with the lowest median; None if none did this row."""
    there = [name for name in PEERS if name in row.wall]
    return min(there, key=lambda name: statistics.median(row.wall[name]), default=None)


def growth(row: Row, name: str) -> tuple[tuple[int, ...], Estimate] | None:
    """The sizes that a side did, and the slope over them, in microseconds for each one more."""
    sizes = tuple(sorted(int(key.rpartition(" ")[2]) for key in row.wall if key.rpartition(" ")[0] == name))
    if len(sizes) < 2:
        return None
    rounds = list(zip(*(row.wall[f"{name} {size}"] for size in sizes), strict=True))
    return sizes, slope(sizes, rounds)


def excess(rounds: Sequence[tuple[list[float], list[float]]], share: float = 0.99) -> float:
    """By how much the ticks under load, of all rounds together, are later than the idle ones; seconds."""
    idle, late = (list(itertools.chain.from_iterable(part)) for part in zip(*rounds, strict=True))
    return quantile(late, share) - quantile(idle, share)


def lateness(seen: dict[str, list[list[float]]]) -> Estimate:
    """`excess()` in microseconds. Few resamples, for each sorts all ticks."""
    rounds = list(zip(seen["idle"], seen["late"], strict=True))
    return bootstrap(rounds, excess, resamples=300).scaled(1e6)


def all_verdicts(rows: dict[str, Row], late: dict[str, dict[str, list[list[float]]]]) -> list[Verdict]:
    """For whatever was measured."""
    found = []
    bounds = {key: (times, of_peer) for key, times, of_peer in SPEED}
    for key, row in rows.items():
        what = key.partition("@")[0]
        for side in (OURS.name, NATIVE.name):
            if what in bounds:
                found += _speed(row, side, *bounds[what])
            elif what == "kill":
                found += _against_peer(row, side, 1.0)
    for key in GROWTH:
        if key in rows:
            found += _flat(rows[key])
    for key in ("footprint-resident", "footprint-traced"):
        if key in rows:
            found += _footprint(rows[key])
    return found + [_late(late, side) for side in (OURS.name, NATIVE.name) if side in late]


def _titled(title: str, side: str) -> str:
    return title if side == OURS.name else f"{title}, {side.partition('/')[2]}"


def _speed(row: Row, side: str, times: float, of_peer: float) -> list[Verdict]:
    if side not in row.wall or LIMIT.name not in row.wall:
        return []
    against = ratio(row.wall[side], row.wall[LIMIT.name])
    return [
        Verdict(_titled(row.title, side), f"{times} x C", with_interval(against), against.at_most(times)),
        *_against_peer(row, side, of_peer),
    ]


def _against_peer(row: Row, side: str, times: float) -> list[Verdict]:
    peer = best_peer(row)
    if side not in row.wall or peer is None:
        return []
    ours, theirs = row.wall[side], row.wall[peer]
    against = ratio(ours, theirs)
    remark = ""
    if LIMIT.name in row.wall:
        limit = row.wall[LIMIT.name]
        remark = (
            f"C itself is {with_interval(ratio(limit, theirs))} x {peer}; above C: "
            f"ours {number(difference(ours, limit).value)} us, {peer} {number(difference(theirs, limit).value)} us"
        )
    found = with_interval(against)
    return [Verdict(_titled(row.title, side), f"{times} x {peer}", found, against.at_most(times), remark)]


def _flat(row: Row) -> list[Verdict]:
    seen = growth(row, OURS.name)
    if seen is None:
        return []
    sizes, estimate = seen
    least = statistics.median(row.wall[f"{OURS.name} {sizes[0]}"])
    across = estimate.scaled(sizes[-1] - sizes[0])
    verdict = "met" if estimate.low <= 0 else "not met"
    return [
        Verdict(
            f"slope, {row.title}",
            "0, or not to be told from it",
            f"{with_interval(estimate.scaled(1_000))} us a thousand",
            verdict,
            f"from {sizes[0]:,} to {sizes[-1]:,}: {with_interval(across)} us on top of {number(least)} us",
        )
    ]


def _footprint(row: Row) -> list[Verdict]:
    found = []
    for name in (OURS.name, "PidfdChildWatcher"):
        if name in row.wall:
            each = median(row.wall[name])
            found.append(Verdict(f"{row.title}, {name}", "1,024 B", f"{with_interval(each)} B", each.at_most(1_024)))
    return found


def _late(late: dict[str, dict[str, list[list[float]]]], side: str) -> Verdict:
    ours = lateness(late[side])
    others = "; ".join(
        f"{name} {number(lateness(late[name]).value / MILLISECOND)} ms" for name in PEERS[:2] if name in late
    )
    return Verdict(
        _titled("a 1 ms timer's lateness above idle, 99th percentile", side),
        "2 ms",
        f"{with_interval(ours.scaled(1 / MILLISECOND))} ms",
        ours.at_most(2 * MILLISECOND),
        others,
    )

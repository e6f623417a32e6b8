"""Tables, verdicts and pictures of what was measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from _shared.pictures import LIMIT, OURS, bars, figure, save
from _shared.statistics import bootstrap, median, quantile, ratio
from _shared.tables import number, table, with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: At least so many times less late than first in, first out.
LATENESS_BOUND = 50.0
#: The share of the tenant of weight 2 is wrong by less than this.
SHARES_BOUND = 0.05
OUR_NAMES = ("fifo", "priority", "deadline", "fair", "select()")


@dataclass
class Figures:
    """Every round of every side. Seconds."""

    steps: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    callbacks: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    late: dict[str, list[list[float]]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def p99(self, side: str) -> list[float]:
        """Of each round, the lateness that 99 of 100 ticks stay below.

        An idle loop's is not taken off, but shown beside: it sleeps, and may be woken later than one that is busy.
        """
        return [quantile(ticks, 0.99) for ticks in self.late[side]]

    def errors(self) -> list[float]:
        return [abs(share - 2 / 3) / (2 / 3) for share in self.shares]


def as_text(figures: Figures) -> str:
    parts = []
    for title, rows in (("a step of a task", figures.steps), ("any other callback", figures.callbacks)):
        if rows:
            parts.append(f"Cost of {title}, with 100 ready\n" + _costs(rows))
    if figures.late:
        lines = [
            [side, with_interval(median([1e3 * value for value in figures.p99(side)])), number(_ticks(figures, side))]
            for side in figures.late
        ]
        head = ("loop", "p99, ms", "ticks")
        parts.append("Lateness of an urgent task beside bulk ones that stay ready\n" + table(head, lines))
    if figures.shares:
        parts.append(
            f"Share of the tenant of weight 2 beside one of weight 1: {with_interval(median(figures.shares))}"
            f" of {len(figures.shares)} windows; 0.667 is right"
        )
    parts += [f"{verdict}: {told}" for verdict, told in verdicts(figures).items()]
    parts += [f"{side}: {why}" for side, why in figures.failures.items()]
    return "\n\n".join(parts)


def verdicts(figures: Figures) -> dict[str, str]:
    told = {}
    if {"fifo", "priority"} <= set(figures.late):
        better = ratio(figures.p99("fifo"), figures.p99("priority"))
        told[f"at least {LATENESS_BOUND:g} times less late than first in, first out"] = (
            f"{better.at_least(LATENESS_BOUND)} ({with_interval(better)} times)"
        )
    if figures.shares:
        error = bootstrap(figures.errors(), statistics.median)
        told[f"shares wrong by less than {SHARES_BOUND:.0%}"] = (
            f"{error.at_most(SHARES_BOUND)} ({with_interval(error.scaled(100))} %)"
        )
    return told


def _costs(rows: dict[str, list[dict[str, float]]]) -> str:
    plain = rows["asyncio"]
    lines = [
        [
            side,
            with_interval(median([1e9 * each["cpu"] for each in rounds])),
            with_interval(median([1e9 * each["wall"] for each in rounds])),
            with_interval(ratio([each["cpu"] for each in rounds], [each["cpu"] for each in plain])),
        ]
        for side, rounds in rows.items()
    ]
    return table(("loop", "CPU, ns", "wall, ns", "CPU, of asyncio's"), lines)


def _ticks(figures: Figures, side: str) -> int:
    return sum(map(len, figures.late[side]))


def _spread(ticks: list[float]) -> dict[str, float]:
    """What is kept of a round's ticks, of which there are thousands."""
    return {"ticks": len(ticks), "p50": quantile(ticks, 0.5), "p99": quantile(ticks, 0.99), "most": max(ticks)}


def as_data(figures: Figures, facts: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "facts": facts,
        "plan": plan,
        "steps": figures.steps,
        "callbacks": figures.callbacks,
        "late": {side: [_spread(ticks) for ticks in rounds] for side, rounds in figures.late.items()},
        "shares": figures.shares,
        "failures": figures.failures,
        "verdicts": verdicts(figures),
    }


def draw(figures: Figures, folder: Path, caption: str) -> Sequence[Path]:
    colours = {**dict.fromkeys(OUR_NAMES, OURS), "asyncio": LIMIT}
    written = []
    costs = [(title, rows) for title, rows in (("step", figures.steps), ("callback", figures.callbacks)) if rows]
    if costs:
        pyplot, made, axes = figure(len(costs), 5, 3)
        for panel, (title, rows) in zip(axes, costs, strict=True):
            estimates = {side: median([1e9 * each["cpu"] for each in rounds]) for side, rounds in rows.items()}
            bars(panel, estimates, f"cost of a {title}", "ns of CPU time", colours)
        written.append(folder / "scheduling-cost.png")
        save(pyplot, made, written[-1], caption)
    panels = bool(figures.late) + bool(figures.shares)
    if panels:
        pyplot, made, axes = figure(panels, 5, 3)
        free = list(axes)
        if figures.late:
            late = {
                side: median([1e3 * value for value in figures.p99(side)]) for side in figures.late if side != "idle"
            }
            bars(free.pop(0), late, "p99 lateness of an urgent task", "ms", colours)
        if figures.shares:
            panel = free.pop(0)
            panel.plot(range(1, len(figures.shares) + 1), figures.shares, marker="o", color=OURS)
            panel.axhline(2 / 3, color=LIMIT, linewidth=1)
            panel.set_ylim(0, 1)
            panel.set_xlim(left=0)
            panel.set_title("share of the tenant of weight 2 beside weight 1", fontsize=9)
            panel.set_xlabel("window", fontsize=8)
        written.append(folder / "scheduling-order.png")
        save(pyplot, made, written[-1], caption)
    return written

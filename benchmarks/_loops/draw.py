"""Pictures of what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _shared.pictures import OURS as BLUE
from _shared.pictures import bars, figure, save
from _shared.statistics import median

from _loops.report import MESSAGES
from _loops.sides import CEILINGS, NAMES, OURS
from _loops.verdicts import SCHEDULING, UVLOOP, times

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _loops.measure import Row

#: One a side, always the same; ours stands out, the ceilings are dark.
COLOURS = {
    OURS: BLUE,
    "asyncio": "#bdbdbd",
    "uvloop": "#ff7f0e",
    "rloop": "#2ca02c",
    "blazio": "#9467bd",
    "zuvloop": "#8c564b",
    "aiofastnet": "#e377c2",
    "aiofastnet+uvloop": "#f7b6d2",
    CEILINGS[0]: "#222222",
    CEILINGS[1]: "#666666",
}


def draw(rows: Sequence[Row], folder: Path, caption: str) -> Sequence[Path]:
    """One of callbacks, timers and tasks, one of messages, one of latencies, one of memory, where there are rows."""
    written = []
    for name, parts, title in (
        ("loops-scheduling", SCHEDULING, "callbacks, timers and tasks: times as fast as uvloop"),
        ("loops-echo", MESSAGES, "echo: times as fast as uvloop, by processor time a message"),
    ):
        of_parts = [row for row in rows if row.part in parts and row.of(UVLOOP)]
        if of_parts:
            written.append(folder / f"{name}.png")
            _relative(of_parts, title, written[-1], caption)
    for name, figures, what, unit in (
        ("loops-latency", ("latency", "storm"), "p99", "us, 99th percentile"),
        ("loops-memory", ("memory",), "bytes", "resident bytes"),
    ):
        of_parts = [row for row in rows if row.part in figures and row.figures.get(what)]
        if of_parts:
            pyplot, made, axes = figure(len(of_parts), 4, 3)
            for panel, row in zip(axes, of_parts, strict=True):
                estimates = {side: median(rounds) for side, rounds in row.figures[what].items()}
                bars(panel, estimates, row.title.removeprefix("latency of a byte under a "), unit, COLOURS)
            written.append(folder / f"{name}.png")
            save(pyplot, made, written[-1], caption)
    return written


def _relative(rows: Sequence[Row], title: str, path: Path, caption: str) -> None:
    """A group of bars a row, a bar a side, with intervals, the first row on top."""
    sides = [side for side in NAMES if any(row.of(side) for row in rows)]
    height = 0.8 / len(sides)
    pyplot, made, axes = figure(1, 9, 1 + len(rows) * max(0.3, 0.11 * len(sides)))
    panel: Any = axes[0]
    for place, side in enumerate(sides):
        found = {at: times(row, side, UVLOOP) for at, row in enumerate(rows)}
        there = {at: estimate for at, estimate in found.items() if estimate is not None}
        panel.barh(
            [at + height * (place - (len(sides) - 1) / 2) for at in there],
            [estimate.value for estimate in there.values()],
            height,
            xerr=(
                [max(0.0, estimate.value - estimate.low) for estimate in there.values()],
                [max(0.0, estimate.high - estimate.value) for estimate in there.values()],
            ),
            color=COLOURS[side],
            error_kw={"linewidth": 0.5},
            label=side,
        )
    panel.axvline(1.0, color="black", linewidth=0.6)
    panel.set_yticks(range(len(rows)), [row.title for row in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlim(left=0.0)
    panel.set_title(title, fontsize=9)
    panel.tick_params(labelsize=8)
    panel.legend(fontsize=7, loc="lower right")
    save(pyplot, made, path, caption)

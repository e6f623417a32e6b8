"""The pictures of benchmarks/spawn.py."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from _shared import pictures
from _shared.statistics import median

from _spawn.sides import SIDES
from _spawn.verdicts import lateness

if TYPE_CHECKING:
    from pathlib import Path

    from _spawn.measure import Bench, Row

COLOURS = {side.name: {"ours": pictures.OURS, "limit": pictures.LIMIT}.get(side.kind, pictures.OTHER) for side in SIDES}
COLOURS["PidfdChildWatcher"] = pictures.OURS
OVER = {
    "children": "children alive",
    "descriptors": "descriptors open",
    "memory": "MiB touched",
    "watchers": "children alive",
}


def draw(bench: Bench, folder: Path, caption: str) -> list[Path]:
    """Write a picture for each kind of row that was measured; their paths."""
    rows, made = bench.rows, []
    for where in dict.fromkeys(key.partition("@")[2] for key in rows if "@" in key):
        speed = [key for key in rows if key.endswith(f"@{where}")]
        pyplot, figure, axes = pictures.figure(len(speed), 3.6, 3.4)
        for each, key in zip(axes, speed, strict=True):
            estimates = {name: median(figures) for name, figures in rows[key].wall.items()}
            pictures.bars(each, estimates, rows[key].title, "us", COLOURS)
        made.append(folder / f"spawn-speed-{where.replace(' ', '-').lower()}.png")
        pictures.save(pyplot, figure, made[-1], caption)
    grown = [key for key in OVER if key in rows]
    if grown:
        pyplot, figure, axes = pictures.figure(len(grown), 4.2, 4)
        for each, key in zip(axes, grown, strict=True):
            pictures.lines(each, _curves(rows[key]), rows[key].title, OVER[key])
        made.append(folder / "spawn-growth.png")
        pictures.save(pyplot, figure, made[-1], caption)
    others = [key for key in rows if key.startswith("footprint")]
    late = bench.late
    if others or late:
        pyplot, figure, axes = pictures.figure(len(others) + bool(late), 4.2, 3.4)
        for each, key in zip(axes, others, strict=False):
            estimates = {name: median(figures) for name, figures in rows[key].wall.items()}
            pictures.bars(each, estimates, rows[key].title, "bytes", COLOURS)
        if late:
            estimates = {name: lateness(seen).scaled(1e-3) for name, seen in late.items()}
            title = "lateness of a 1 ms timer above idle, 99th percentile"
            pictures.bars(axes[-1], estimates, title, "ms", COLOURS)
        made.append(folder / "spawn-memory-and-lateness.png")
        pictures.save(pyplot, figure, made[-1], caption)
    return made


def _curves(row: Row) -> dict[str, tuple[list[int], list[float]]]:
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for key, figures in sorted(row.wall.items(), key=lambda item: int(item[0].rpartition(" ")[2])):
        name, _, size = key.rpartition(" ")
        sizes, values = curves.setdefault(name, ([], []))
        sizes.append(int(size))
        values.append(statistics.median(figures))
    return curves

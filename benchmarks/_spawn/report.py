"""What is printed, and what is written down."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from typing import TYPE_CHECKING, Any

from _shared.statistics import difference, median, quantile, ratio
from _shared.tables import number, table, with_interval

from _spawn.sides import LIMIT, OURS
from _spawn.verdicts import best_peer, growth, lateness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _spawn.measure import Bench, Row
    from _spawn.verdicts import Verdict

GROWTH = ("children", "descriptors", "memory", "watchers")
FOOTPRINT = ("footprint-resident", "footprint-traced")


def as_text(bench: Bench, verdicts: list[Verdict]) -> str:
    """All tables."""
    parts: list[str] = []
    for key, row in bench.rows.items():
        if key in GROWTH:
            body = _growth(row)
        elif key in FOOTPRINT:
            body = _footprint(row)
        elif key == "lateness":
            body = _lateness(bench.late)
        else:
            body = _speed(row)
        parts += [f"{row.title[0].upper()}{row.title[1:]}:", body, *_out(row)]
    if verdicts:
        lines = [[each.what, each.bound, each.found, each.verdict, each.remark] for each in verdicts]
        parts += ["Wanted:", table(("what", "at most", "found [95 %]", "verdict", "beside it"), lines)]
    return "\n\n".join(parts)


def _out(row: Row) -> list[str]:
    return ["\n".join(f"{name}: {why}" for name, why in row.out.items())] if row.out else []


def _speed(row: Row) -> str:
    limit, peer = row.wall.get(LIMIT.name), best_peer(row)
    lines = []
    for name, wall in row.wall.items():
        lines.append(
            [
                name,
                with_interval(median(wall)),
                with_interval(ratio(wall, limit)) if limit else "",
                with_interval(difference(wall, limit)) if limit and name != LIMIT.name else "",
                with_interval(ratio(wall, row.wall[peer])) if peer else "",
                number(statistics.median(row.cpu[name])),
            ]
        )
    return table(
        (f"median of {_rounds(row)} rounds", "us [95 %]", "x C", "above C, us", f"x {peer}", "own CPU, us"),
        sorted(lines, key=lambda line: statistics.median(row.wall[line[0]])),
    )


def _rounds(row: Row) -> int:
    return min(map(len, row.wall.values()), default=0)


def _sides(row: Row) -> Iterator[str]:
    yield from dict.fromkeys(key.rpartition(" ")[0] for key in (*row.wall, *row.out) if " " in key)


def _growth(row: Row) -> str:
    sizes = sorted({int(key.rpartition(" ")[2]) for key in row.wall})
    lines = []
    for name in _sides(row):
        cells = []
        for kind in (row.wall, row.cpu):
            for size in sizes:
                figures = kind.get(f"{name} {size}")
                cells.append("" if figures is None else number(statistics.median(figures)))
        seen = growth(row, name)
        slope = "" if seen is None else with_interval(seen[1].scaled(1_000))
        lines.append([name, *cells[: len(sizes)], slope, *cells[len(sizes) :]])
    return table(
        (
            f"median of {_rounds(row)} rounds, us",
            *(f"{size:,}" for size in sizes),
            "slope, us a thousand [95 %]",
            *(f"own CPU, {size:,}" for size in sizes),
        ),
        lines,
    )


def _footprint(row: Row) -> str:
    lines = [[name, with_interval(median(each))] for name, each in row.wall.items()]
    return table((f"median of {_rounds(row)} processes", "B a child [95 %]"), lines)


def _lateness(late: dict[str, dict[str, list[list[float]]]]) -> str:
    lines = []
    for name, seen in late.items():
        idle, busy = (list(itertools.chain.from_iterable(seen[kind])) for kind in ("idle", "late"))
        lines.append(
            [
                name,
                f"{len(busy):,}",
                number(quantile(idle, 0.99) * 1e3),
                number(quantile(busy, 0.99) * 1e3),
                with_interval(lateness(seen).scaled(1e-3)),
                number(max(idle) * 1e3),
                number(max(busy) * 1e3),
            ]
        )
    return table(("ms", "ticks", "idle, 99 %", "99 %", "above idle [95 %]", "idle, worst", "worst"), lines)


def as_data(bench: Bench, verdicts: list[Verdict], facts: dict[str, Any], plan: Any) -> dict[str, Any]:
    """For JSON: what it was taken with, every round's figures, and the verdicts."""
    rows = {
        key: {
            "title": row.title,
            "unit": row.unit,
            "wall": {name: _short(figures) for name, figures in row.wall.items()},
            "cpu": {name: _short(figures) for name, figures in row.cpu.items()},
            "out": row.out,
        }
        for key, row in bench.rows.items()
    }
    if "lateness" in rows:
        rows["lateness"]["ticks"] = {
            name: {kind: [{"count": len(ticks), **_ticks(ticks)} for ticks in rounds] for kind, rounds in seen.items()}
            | {"above idle at 99 %, us": dataclasses.asdict(lateness(seen))}
            for name, seen in bench.late.items()
        }
    return {
        "taken": facts,
        "plan": {**dataclasses.asdict(plan), "sides": [side.name for side in plan.sides]},
        "ours": OURS.name,
        "rows": rows,
        "verdicts": [dataclasses.asdict(each) for each in verdicts],
    }


def _short(figures: list[float]) -> list[float]:
    return [round(figure, 2) for figure in figures]


def _ticks(ticks: list[float]) -> dict[str, float]:
    return {
        "median, us": round(quantile(ticks, 0.5) * 1e6),
        "99 %, us": round(quantile(ticks, 0.99) * 1e6),
        "worst, us": round(max(ticks) * 1e6),
    }

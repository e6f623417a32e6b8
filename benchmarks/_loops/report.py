"""What is printed, and what is written down."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any

from _shared.tables import number, table, with_interval

from _loops.sides import NAMES, OURS
from _loops.verdicts import SCHEDULING, UVLOOP, all_verdicts, behind_the_best, best_peer, geometric_mean, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _loops.measure import Row
    from _loops.plan import Plan

MESSAGES = ("echo", "udp", "unix", "tls")


def as_text(rows: Sequence[Row], absent: dict[str, str], rounds: int) -> str:
    """All tables."""
    parts = []
    scheduling = [row for row in rows if row.part in SCHEDULING]
    if scheduling:
        parts += [
            f"Callbacks, timers and tasks: ns an operation (processor time; w: wall time), median of {rounds} rounds",
            _costs(scheduling),
            "The same, times as fast as uvloop",
            _relative(scheduling),
        ]
    messages = [row for row in rows if row.part in MESSAGES]
    if messages:
        parts += [
            f"Echo: us of the server's processor time a message, median of {rounds} rounds",
            _costs(messages),
            "Echo: thousands of messages a second",
            _throughput(messages),
            "Echo: times as fast as uvloop by processor time",
            _relative(messages),
        ]
    for row in rows:
        if row.part in {"latency", "storm"}:
            parts += [f"{row.title[0].upper()}{row.title[1:]}: us", _latencies(row)]
    memory = [row for row in rows if row.part == "memory"]
    if memory:
        parts += ["Memory: resident bytes a connection", _costs(memory)]
    missing = [f"{side}: {why}" for side, why in absent.items()]
    missing += [f"{row.key}, {side}: {why}" for row in rows for side, why in row.out.items()]
    if missing:
        parts.append("Not there:\n" + "\n".join(missing))
    verdicts = all_verdicts(rows)
    if verdicts:
        lines = [list(dataclasses.astuple(verdict)) for verdict in verdicts]
        parts += ["Wanted", table(("what", "at least", "found [95 %]", "verdict"), lines)]
    behind = [[row.title, peer, with_interval(estimate)] for row, peer, estimate in behind_the_best(rows)]
    if behind:
        parts += ["Behind the best peer", table(("row", "peer", "times as fast as it [95 %]"), behind)]
    return "\n\n".join(parts)


def _sides(rows: Sequence[Row], what: str | None = None) -> list[str]:
    """Who has figures in any of them, in the order of the sides."""
    return [side for side in NAMES if any(row.of(side, what) for row in rows)]


def _cell(row: Row, side: str, what: str | None = None) -> str:
    figures = row.of(side, what)
    return number(statistics.median(figures)) if figures else row.out.get(side, "-").partition(":")[0]


def _costs(rows: Sequence[Row]) -> str:
    """What each side needs, and how many times as fast as uvloop and the best peer ours is."""
    sides = _sides(rows)
    ours = OURS in sides
    lines = []
    for row in rows:
        line = [f"{row.title}{' (w)' if row.judged == 'wall' else ''}", *(_cell(row, side) for side in sides)]
        if ours:
            peer = best_peer(row)
            for other, name in ((UVLOOP, ""), (peer, f"{peer} ")):
                estimate = times(row, OURS, other) if other else None
                line.append(name + with_interval(estimate) if estimate else "-")
        lines.append(line)
    return table(("row", *sides, *(("x uvloop [95 %]", "x best peer [95 %]") if ours else ())), lines)


def _relative(rows: Sequence[Row]) -> str:
    """Every side beside uvloop, and the geometric mean over the rows that both have."""
    sides = [side for side in _sides(rows) if side != UVLOOP]
    lines = []
    for row in rows:
        compared = [times(row, side, UVLOOP) for side in sides]
        lines.append([row.title, *(number(each.value) if each else "-" for each in compared)])
    means = [geometric_mean(rows, side, UVLOOP) for side in sides]
    lines.append(["geometric mean [95 %]", *(with_interval(each) if each else "-" for each in means)])
    return table(("row", *sides), lines)


def _throughput(rows: Sequence[Row]) -> str:
    sides = _sides(rows)
    ours = OURS in sides
    lines = []
    for row in rows:
        walls = [row.of(side, "wall") for side in sides]
        line = [row.title, *(number(1e3 / statistics.median(wall)) if wall else "-" for wall in walls)]
        if ours:
            peer = best_peer(row, "wall")
            for other, name in ((UVLOOP, ""), (peer, f"{peer} ")):
                estimate = times(row, OURS, other, "wall") if other else None
                line.append(name + with_interval(estimate) if estimate else "-")
        lines.append(line)
    return table(("row", *sides, *(("x uvloop [95 %]", "x best peer [95 %]") if ours else ())), lines)


def _latencies(row: Row) -> str:
    lines = []
    for side in _sides([row]):
        against = times(row, side, "asyncio", "p99")
        cells = [_cell(row, side, what) for what in ("p50", "p99", "p999", "most", "cpu")]
        lines.append([side, *cells, with_interval(against) if against else "-"])
    head = ("median of rounds", "p50", "p99", "p99.9", "most", "CPU a message", "p99, times asyncio's [95 %]")
    return table(head, lines)


def as_data(rows: Sequence[Row], absent: dict[str, str], facts: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """All rounds' figures: of workloads in ns, of messages in us, of memory in bytes."""
    amounts = {
        field.name: getattr(plan, field.name)
        for field in dataclasses.fields(plan)
        if isinstance(getattr(plan, field.name), int | float) and field.name != "latency"
    }
    return {
        "facts": facts,
        "plan": amounts,
        "absent": absent,
        "rows": [dataclasses.asdict(row) for row in rows],
        "verdicts": [dataclasses.asdict(verdict) for verdict in all_verdicts(rows)],
        "behind": [[row.key, peer, dataclasses.asdict(found)] for row, peer, found in behind_the_best(rows)],
    }

"""Tables that are read as they are and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _shared.statistics import Estimate


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right, all as wide as they must be."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join(
        ("-" * (width + 1) + ":") if place else ("-" * (width + 2)) for place, width in enumerate(widths)
    )
    return "\n".join([row(head), rule + "|", *map(row, lines)])


def number(value: float) -> str:
    """Three figures that mean something, without an exponent, thousands set apart."""
    size = abs(value)
    for least, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if size >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.4f}" if value else "0"


def with_interval(estimate: Estimate) -> str:
    """A figure and its interval."""
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"

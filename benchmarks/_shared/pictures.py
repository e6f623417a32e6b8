"""Pictures, whose axes start at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from _shared.statistics import Estimate

OURS, LIMIT, OTHER = "#1f77b4", "#555555", "#c9c9c9"


def figure(panels: int, width: float, height: float) -> tuple[Any, Any, Any]:
    """pyplot, a figure, and its axes in a row."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    made, axes = pyplot.subplots(1, panels, figsize=(width * panels, height), squeeze=False, layout="constrained")
    return pyplot, made, axes[0]


def bars(axes: Any, figures: Mapping[str, Estimate], title: str, unit: str, colours: Mapping[str, str]) -> None:
    """A bar a side, with its interval, the lowest on top."""
    names = sorted(figures, key=lambda name: -figures[name].value)
    values = [figures[name].value for name in names]
    below = [max(0.0, figures[name].value - figures[name].low) for name in names]
    above = [max(0.0, figures[name].high - figures[name].value) for name in names]
    axes.barh(names, values, xerr=(below, above), color=[colours.get(name, OTHER) for name in names], capsize=2)
    axes.set_xlim(left=min(0.0, *values))
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)


def lines(axes: Any, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, over: str) -> None:
    """A curve a side, over sizes."""
    for name, (sizes, values) in curves.items():
        axes.plot(sizes, values, marker="o", markersize=3, label=name, linewidth=2.5 if name == "loopwright" else 1)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(over, fontsize=8)
    axes.set_ylabel("us", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=7)


def save(pyplot: Any, made: Any, path: Path, caption: str) -> None:
    """With where and when, in small print."""
    made.supxlabel(caption, fontsize=6)
    made.savefig(path, dpi=110)
    pyplot.close(made)

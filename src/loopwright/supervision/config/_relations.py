"""What only shows when keys are seen together: delays that contradict each other, and who depends on whom."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING, Any

from loopwright._core import Pacing
from loopwright.supervision.config._keys import nearest
from loopwright.supervision.config._mistakes import found, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loopwright.supervision.config._mistakes import Findings

__all__ = ["check_delays", "check_dependencies"]


def check_delays(services: Mapping[str, Any], raw: Mapping[str, Any], findings: Findings) -> None:
    """Notes where the longest delay is below the first one, given or not. `raw` is as the file has it."""
    usual = Pacing()
    for name, values in services.items():
        restart, written = values.get("restart", {}), raw[name].get("restart")
        if not isinstance(written, dict):
            continue
        first, longest = restart.get("initial_delay"), restart.get("max_delay")
        if ("initial_delay" in written and first is None) or ("max_delay" in written and longest is None):
            continue  # already noted as wrong in itself
        where = ("services", name, "restart")
        if first is None and longest is not None and longest < usual.initial_delay:
            least = f"{usual.initial_delay:g}s"
            right = f"{least} or more, or an initial_delay (else {least}) no longer than it"
            findings.add((*where, "max_delay"), found(written["max_delay"]), right)
        elif first is not None and longest is None and first > usual.max_delay:
            right = f"{usual.max_delay:g}s or less, or a max_delay (else {usual.max_delay:g}s) no shorter than it"
            findings.add((*where, "initial_delay"), found(written["initial_delay"]), right)
        elif first is not None and longest is not None and longest < first:
            right = f"as long as initial_delay, {show(written['initial_delay'])}, or longer"
            findings.add((*where, "max_delay"), found(written["max_delay"]), right)


def check_dependencies(services: Mapping[str, Any], raw: Mapping[str, Any], findings: Findings) -> None:
    """Notes dependencies on what does not exist, on oneself, twice over, and in circles.

    A service that exists but is wrong in itself (so that `services` may lack it) still counts as one.
    """
    graph: dict[str, list[str]] = {}
    for name, values in services.items():
        where = ("services", name, "depends_on")
        wanted = values.get("depends_on", ())
        graph[name] = []
        for other in dict.fromkeys(wanted):
            if wanted.count(other) > 1:
                findings.add(where, f"{show(other)} {wanted.count(other)} times", "each service once")
            if other == name:
                findings.add(where, f"{show(other)}, the service itself", "another service, or no such key")
            elif other in raw:
                graph[name].append(other)
            else:
                near = nearest(other, (each for each in raw if each != name))
                others = ", ".join(show(each) for each in [each for each in raw if each != name][:10])
                right = show(near) if near else f"one of {others}" if others else "no such key: it is the only service"
                findings.add(where, f"{show(other)}, which is no service", right)
    _check_circles(graph, findings)


def _check_circles(graph: dict[str, list[str]], findings: Findings) -> None:
    position = {name: number for number, name in enumerate(graph)}
    while circle := _circle(graph):
        start = circle.index(min(circle, key=position.__getitem__))
        circle = [*circle[start:], *circle[:start]]
        for name in circle:  # one mistake a circle, and every circle that shares no service with an earlier one
            del graph[name]
        path = " -> ".join([*circle, circle[0]])
        findings.add(
            ("services", circle[0], "depends_on"),
            f"a circle: {path}",
            "the same without one of these dependencies",
        )


def _circle(graph: Mapping[str, list[str]]) -> list[str]:
    """Services of which each depends on the next one and the last on the first; empty if there are none."""
    try:
        graphlib.TopologicalSorter(
            {name: [other for other in others if other in graph] for name, others in graph.items()}
        ).prepare()
    except graphlib.CycleError as error:
        # It names each service before those that depend on it, and the first one again at the end.
        circle: list[str] = error.args[1]
        return circle[:0:-1]
    return []

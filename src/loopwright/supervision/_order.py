"""Who is started after whom, and who is ended before whom: pure functions over names and states."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING

from loopwright.errors import CallerError
from loopwright.supervision._table import ENDED, Life, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loopwright.supervision._spec import ServiceSpec

__all__ = ["DependencyError", "blocked_by", "is_free_to_start", "is_free_to_stop", "start_order"]


class DependencyError(CallerError, ValueError):
    """Services depend on one that does not exist, on themselves, or on each other in a circle."""


def start_order(services: Sequence[ServiceSpec]) -> tuple[ServiceSpec, ...]:
    """The services with each after all that it depends on, otherwise in the order given.

    DependencyError for two services of one name, an unknown dependency, or a circle, which it names.
    """
    by_name: dict[str, ServiceSpec] = {}
    for service in services:
        if service.name in by_name:
            raise DependencyError(f"two services are named {service.name!r}")
        by_name[service.name] = service
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for service in services:
        for name in service.depends_on:
            if name not in by_name:
                known = ", ".join(by_name)
                raise DependencyError(f"service {service.name!r} depends on {name!r}; there is only: {known}")
        sorter.add(service.name, *service.depends_on)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        # CycleError names each service before those that depend on it; people say it the other way round.
        circle = " -> ".join(reversed(error.args[1]))
        raise DependencyError(f"services depend on each other in a circle: {circle}") from None
    position = {name: number for number, name in enumerate(by_name)}
    order: list[ServiceSpec] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=position.__getitem__)
        order.append(by_name[ready[0]])
        sorter.done(ready.pop(0))
    return tuple(order)


def is_free_to_start(service: ServiceSpec, lives: Mapping[str, Sequence[Life]]) -> bool:
    """Whether every instance of every service that it depends on was started. `lives` are by service name."""
    return all(life.started for name in service.depends_on for life in lives[name])


def blocked_by(service: ServiceSpec, lives: Mapping[str, Sequence[Life]]) -> str | None:
    """The service that it depends on and that failed before it was ever started, if there is one."""
    for name in service.depends_on:
        if any(life.state is State.FAILED and not life.started for life in lives[name]):
            return name
    return None


def is_free_to_stop(service: ServiceSpec, others: Sequence[ServiceSpec], lives: Mapping[str, Sequence[Life]]) -> bool:
    """Whether all those of `others` that depend on it have ended, so that nothing misses it when it ends."""
    return all(
        life.state in ENDED for other in others if service.name in other.depends_on for life in lives[other.name]
    )

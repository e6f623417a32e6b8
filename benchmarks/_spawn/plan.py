"""How much is measured: the whole, or a smoke run."""

from __future__ import annotations

import dataclasses

from _spawn.sides import Side


@dataclasses.dataclass(frozen=True)
class Plan:
    """Counts; the defaults are those of figures that are committed."""

    sides: tuple[Side, ...]
    #: Sides whose package is not installed, and why.
    absent: dict[str, str]
    rounds: int = 25
    #: (how, in flight, children a round)
    spawns: tuple[tuple[str, int, int], ...] = (
        ("nothing", 1, 120),
        ("communicate", 1, 120),
        ("nothing", 8, 96),
        ("communicate", 8, 96),
        ("nothing", 64, 192),
        ("communicate", 64, 192),
    )
    kills: int = 15
    #: Children a round where growth is looked for.
    grown: int = 30
    children: tuple[int, ...] = (100, 1_000, 10_000)
    descriptors: tuple[int, ...] = (100, 4_000, 16_000)
    mebibytes: tuple[int, ...] = (0, 512, 2_048)
    exits: int = 20
    ticks: int = 10_000
    late_rounds: int = 150
    late_rounds_of_peers: int = 25
    late_children: int = 500
    #: Fresh processes for memory, and the children of each.
    fresh: int = 15
    footprint_children: int = 500

    @property
    def growing(self) -> tuple[Side, ...]:
        """Sides whose growth is looked at; the others of ours share all that could grow with the first."""
        return tuple(side for side in self.sides if not side.name.startswith("loopwright/"))


def quick(sides: tuple[Side, ...], absent: dict[str, str]) -> Plan:
    """Whether it runs at all: about a minute."""
    return Plan(
        sides,
        absent,
        rounds=3,
        spawns=tuple((how, flight, max(8, flight)) for how, flight, _ in Plan.spawns),
        kills=3,
        grown=5,
        children=(10, 50, 100),
        descriptors=(10, 500, 1_000),
        mebibytes=(0, 32, 64),
        exits=3,
        ticks=200,
        late_rounds=2,
        late_rounds_of_peers=2,
        late_children=50,
        fresh=2,
        footprint_children=50,
    )

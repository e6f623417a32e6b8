"""Which rows there are, and how much of everything."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace

import _loops.callbacks
import _loops.tasks
import _loops.timers  # noqa: F401
from _loops.workloads import WORKLOADS, Workload

KIB = 1024
KINDS = {
    "protocol": "Protocol",
    "buffered": "BufferedProtocol",
    "streams": "streams",
    "sock": "sock_*",
    "udp": "UDP",
    "unix": "Unix sockets",
    "tls": "TLS",
}
#: What clients reach a server by, where it is not called as the kind is.
TRANSPORTS = {"protocol": "tcp", "buffered": "tcp", "streams": "tcp", "sock": "tcp"}
SIZES, COUNTS = (1, 10, 100), (1, 10, 100, 1000)
#: KiB and connections of the rows of an everyday run; `--whole` has them all.
EVERYDAY = {
    "protocol": ((1, 1), (1, 10), (1, 100), (1, 1000), (10, 100), (100, 10)),
    "buffered": ((1, 100), (100, 10)),
    "streams": ((1, 1), (1, 100), (100, 10)),
    "sock": ((1, 1), (1, 100), (100, 10)),
    "udp": ((1, 1), (1, 100), (10, 10)),
    "unix": ((1, 1), (1, 100), (100, 10)),
    "tls": ((1, 1), (1, 10), (1, 100), (10, 10), (100, 10)),
}
#: A datagram holds less than 64 KiB.
IMPOSSIBLE = {("udp", 100)}


@dataclass(frozen=True)
class Echo:
    """A row of messages to and fro."""

    kind: str
    kib: int
    count: int
    """Connections."""

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.kib}k-{self.count}"

    @property
    def title(self) -> str:
        return f"{KINDS[self.kind]}, {self.kib} KiB, {self.count:,} connection{'s' if self.count > 1 else ''}"

    @property
    def part(self) -> str:
        return self.kind if self.kind in PARTS else "echo"

    @property
    def everyday(self) -> bool:
        return (self.kib, self.count) in EVERYDAY[self.kind]


@dataclass(frozen=True)
class Storm:
    """A row of how long a byte waits while callbacks never stop."""

    key: str
    title: str
    chains: int
    seconds: float
    """Of each callback; 0 for one that does nothing but call the next."""


@dataclass(frozen=True)
class Memory:
    """A row of memory a connection."""

    kind: str
    everyday: bool = True

    @property
    def key(self) -> str:
        return f"memory-{self.kind}"

    @property
    def title(self) -> str:
        return f"idle connection, {KINDS[self.kind]}"


PARTS = ("scheduling", "timers", "echo", "udp", "unix", "tls", "memory", "latency", "storm")
ECHOES = tuple(
    Echo(kind, kib, count) for kind in KINDS for kib in SIZES for count in COUNTS if (kind, kib) not in IMPOSSIBLE
)
STORMS = (
    Storm("storm-chain", "call_soon chain", 1, 0.0),
    Storm("storm-work-1", "callbacks of 10 us, 1 ready", 1, 10e-6),
    Storm("storm-work-100", "callbacks of 10 us, 100 ready", 100, 10e-6),
)
MEMORIES = (Memory("protocol"), Memory("streams"), Memory("unix", everyday=False), Memory("tls", everyday=False))
LATENCY = "latency"
KEYS = (
    *WORKLOADS,
    *(row.key for row in ECHOES),
    *(row.key for row in MEMORIES),
    LATENCY,
    *(row.key for row in STORMS),
)


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    workloads: tuple[Workload, ...]
    echoes: tuple[Echo, ...]
    memories: tuple[Memory, ...]
    storms: tuple[Storm, ...]
    latency: bool
    rounds: int = 15
    shorter: int = 1
    """By what the count of a workload is divided."""
    window: float = 0.1
    """Seconds in which messages are counted."""
    memory_rounds: int = 5
    memory_connections: int = 2_000
    rate: int = 10_000
    """Messages a second that are due, of 1 KiB, over `rate_connections`."""
    rate_connections: int = 50
    rate_seconds: float = 0.5
    storm_rate: int = 500
    storm_seconds: float = 0.25

    def window_of(self, echo: Echo) -> float:
        """Longer where a window would be over before each connection has had a few messages."""
        return self.window * (3 if echo.kib * echo.count >= 10_000 else 1)


def plan(*, only: tuple[str, ...], rows: tuple[str, ...] | None, whole: bool, quick: bool) -> Plan:
    """Of the parts in `only`; or the rows (patterns of keys are allowed) and nothing else."""

    def wanted(key: str, part: str, *, everyday: bool = True) -> bool:
        if rows is not None:
            return any(fnmatch.fnmatchcase(key, pattern) for pattern in rows)
        return part in only and (everyday or whole)

    made = Plan(
        tuple(row for row in WORKLOADS.values() if wanted(row.key, "timers" if row.timers else "scheduling")),
        tuple(row for row in ECHOES if wanted(row.key, row.part, everyday=row.everyday)),
        tuple(row for row in MEMORIES if wanted(row.key, "memory", everyday=row.everyday)),
        tuple(row for row in STORMS if wanted(row.key, "storm")),
        wanted(LATENCY, "latency"),
    )
    if not quick:
        return made
    return replace(
        made,
        rounds=1,
        shorter=50,
        window=0.01,
        memory_rounds=1,
        memory_connections=100,
        rate=2_000,
        rate_seconds=0.05,
        storm_seconds=0.05,
    )

"""Who is measured."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Side:
    """One way to start a program and hear of its end."""

    name: str
    #: ours, limit, peer (has a loop), blocking (has none)
    kind: str
    #: What must be installed.
    package: str | None = None


LIMIT = Side("C", "limit")
OURS = Side("loopwright", "ours")
#: The same on a loop that is ours, too.
NATIVE = Side("loopwright/native", "ours")
SIDES = (
    LIMIT,
    OURS,
    NATIVE,
    Side("loopwright/uvloop", "ours", "uvloop"),
    Side("asyncio/pidfd", "peer"),
    Side("asyncio/thread", "peer"),
    Side("uvloop", "peer", "uvloop"),
    Side("rloop", "peer", "rloop"),
    Side("trio", "peer", "trio"),
    Side("anyio", "peer", "anyio"),
    Side("Popen", "blocking"),
)
#: Those that begin with the one that programs get unless they ask for another.
WATCHERS = ("Pidfd", "Threaded", "MultiLoop", "Safe", "Fast", "Polling")
PACKAGES = ("loopwright", "uvloop", "rloop", "trio", "anyio", "psutil")

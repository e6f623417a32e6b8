"""The loops that are compared, and the C programs that are the ceiling of serving."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass

PACKAGES = ("loopwright", "uvloop", "rloop", "blazio", "aiofastnet", "zuvloop")


@dataclass(frozen=True)
class Side:
    """One of them."""

    name: str
    package: str | None = None
    """What it needs besides Python; its `new_event_loop()` makes the loop."""
    transports: bool = False
    """Whether aiofastnet's transports are put in place of the loop's own. Its handles and timers stay what they were,
    so such a side has no rows but those of serving."""
    program: str | None = None
    """The source in benchmarks/c, of one that is not a loop."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Whatever the package raises if it cannot make one here."""
        if self.name == OURS:
            from loopwright.loops._native_loop import NativeEventLoop

            return NativeEventLoop()
        made = asyncio.SelectorEventLoop()
        if self.package not in {None, "aiofastnet"}:
            made.close()
            made = importlib.import_module(str(self.package)).new_event_loop()
        if self.transports:
            importlib.import_module("aiofastnet").patch_loop(made)
        return made


OURS = "loopwright"
EPOLL, URING = "C-epoll", "C-io_uring"
CEILINGS = (EPOLL, URING)
LOOPS = (
    Side(OURS, "loopwright"),
    Side("asyncio"),
    Side("uvloop", "uvloop"),
    Side("rloop", "rloop"),
    Side("blazio", "blazio"),
    Side("zuvloop", "zuvloop"),
    Side("aiofastnet", "aiofastnet", transports=True),
    Side("aiofastnet+uvloop", "uvloop", transports=True),
)
SIDES = (*LOOPS, Side(EPOLL, program="echo_epoll.c"), Side(URING, program="echo_uring.c"))
NAMES = tuple(side.name for side in SIDES)


def named(name: str) -> Side:
    return next(side for side in SIDES if side.name == name)

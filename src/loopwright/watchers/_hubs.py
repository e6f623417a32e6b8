"""The hubs that there are: one for each loop that has asked for one.

Theory of operation.

- **The program's end.** What was being started then is nobody's: it is given up, and waited for a moment, or a child
  might be left that nobody knows of.
- **A fork.** In the child none of this is wanted: its copies are closed without taking anything out of the set, which
  would take it out of the parent's.
"""

from __future__ import annotations

import atexit
import os
import time
from typing import TYPE_CHECKING

from loopwright import _native
from loopwright.watchers import _reaper
from loopwright.watchers._hub import Hub, held, hubs

if TYPE_CHECKING:
    import asyncio

__all__ = ["all_hubs", "hub_of"]

#: How long the end of the program waits for what was being started, in seconds: not for an exec that hangs.
LAST_MOMENT = 1.0


def hub_of(loop: asyncio.AbstractEventLoop) -> Hub:
    """The hub of the loop that is running in this thread. OSError if there is no descriptor left for one."""
    reference = hubs.get(id(loop))
    hub = None if reference is None else reference()
    if hub is None:
        _look_after_closed_loops()
        hub = Hub(loop)
    return hub


def all_hubs() -> list[Hub]:
    """In no particular order."""
    return [hub for reference in list(hubs.values()) if (hub := reference()) is not None]


def _look_after_closed_loops() -> None:
    for hub in all_hubs():
        if hub.loop.is_closed():
            hub.sweep()


# Of the hubs that stay with their loops. Those that the table held would hold their loops.
_reaper.sources.append(lambda: [(hub, hub.loop) for hub in all_hubs() if hub._stays and hub._children])


@atexit.register
def _give_up_starts() -> None:
    for hub in all_hubs():
        hub.give_up_starts()
    deadline = time.monotonic() + LAST_MOMENT
    while _native.busy() and time.monotonic() < deadline:
        time.sleep(0.001)


def _forget_in_forked_child() -> None:
    left = all_hubs()
    hubs.clear()
    held.clear()
    for hub in left:
        hub.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_in_forked_child)

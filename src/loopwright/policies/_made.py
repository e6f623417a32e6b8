"""Which loops a policy has made, without keeping them alive."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

from loopwright.errors import LoopRunningError
from loopwright.policies._inherited import leave_to_parent

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["MadeLoops"]


class MadeLoops:
    """The loops a policy has made and not closed by `close_all()`. Safe to use from any thread.

    Not a WeakSet: that one compares its members, which a loop of somebody's may define, and it is not safe to
    iterate while another thread adds. Single operations of a dict are atomic, so weak references that die in
    the middle of anything need no lock.
    """

    def __init__(self) -> None:
        self._refs: dict[int, weakref.ref[AbstractEventLoop]] = {}
        # Re-entrant: a signal handler may call close() while its thread is in the middle of one.
        self._closing = threading.RLock()

    def add(self, loop: AbstractEventLoop) -> None:
        """Remember this loop for as long as it lives."""
        refs, key = self._refs, id(loop)
        refs[key] = weakref.ref(loop, lambda _: refs.pop(key, None))

    def __contains__(self, loop: AbstractEventLoop) -> bool:
        ref = self._refs.get(id(loop))
        return ref is not None and ref() is loop

    def alive(self) -> list[AbstractEventLoop]:
        """Those that still exist, in the order in which they were made."""
        return [loop for ref in self._refs.copy().values() if (loop := ref()) is not None]

    def close_all(self) -> None:
        """Close those that are open, and forget all.

        LoopRunningError if one is running, before any is closed. If closing one raises, the others are closed
        first.
        """
        with self._closing:
            loops = self.alive()
            running = [loop for loop in loops if loop.is_running()]
            if running:
                raise LoopRunningError(
                    f"the policy was asked to close while {_count(len(running))} it made still run:"
                    f" {', '.join(map(repr, running))}; stop them first (loop.stop(), or let run() return)"
                )
            with contextlib.ExitStack() as closing:
                for loop in reversed(loops):
                    if not loop.is_closed():
                        closing.callback(loop.close)
                    closing.callback(self._refs.pop, id(loop), None)

    def leave_to_parent(self) -> None:
        """In a forked child: forget all, so that nothing done here reaches the parent's loops."""
        for loop in self.alive():
            leave_to_parent(loop)
        # New ones: another thread may have held the lock when the process was copied, and is not there to
        # release it.
        self._refs = {}
        self._closing = threading.RLock()


def _count(number: int) -> str:
    return "a loop" if number == 1 else f"{number} loops"

"""Loops that a forked child has of its parent, of whose policies it knows: the threads that run them are not there."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from loopwright.loops._asyncio_private import detach_inherited

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["leave_to_parent", "was_left"]

#: Those that ran at the fork, by id(): a WeakSet compares its members, which a loop of somebody's may define.
_left: dict[int, weakref.ref[AbstractEventLoop]] = {}


def leave_to_parent(loop: AbstractEventLoop) -> None:
    """In a forked child: let nothing that is done to the loop here reach the parent, and know it again."""
    detach_inherited(loop)
    if loop.is_running():
        key = id(loop)
        _left[key] = weakref.ref(loop, lambda _: _left.pop(key, None))


def was_left(loop: AbstractEventLoop) -> bool:
    """Whether it ran in the parent when this process was forked, so that nobody here does what is given to it."""
    ref = _left.get(id(loop))
    return ref is not None and ref() is loop

"""What a `LoopPool` is made with, and how what it gives is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from loopwright.errors import NotALoopError, PoolSizeError
from loopwright.loops import loop_factory
from loopwright.policies._thread_loop import ThreadLoop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterator

    from loopwright.loops import LoopFactory
    from loopwright.loops._asyncio_private import PolicyBase
    from loopwright.policies._work import WorkFuture

__all__ = ["checked_number", "policy_factory", "results"]

T = TypeVar("T")


def policy_factory(policy: PolicyBase) -> LoopFactory:
    make = loop_factory(policy.new_event_loop)

    def new_loop() -> AbstractEventLoop:
        made = make()
        if isinstance(made, ThreadLoop):
            made.close()
            raise NotALoopError(
                f"{policy!r} makes loops that have threads of their own, as the pool's have; give the pool loop=..."
            )
        return made

    return new_loop


def checked_number(n: Any) -> int:
    if n is not None:
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"n is how many loops the pool has, a whole number, or None, not {n!r}")
        if n < 1:
            raise PoolSizeError(f"a pool needs 1 loop or more, not {n}")
        return n
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def results(futures: list[WorkFuture[T]]) -> Iterator[T]:
    futures.reverse()
    try:
        while futures:
            yield futures.pop().result()
    finally:
        for future in futures:
            future.cancel()

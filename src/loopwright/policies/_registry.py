"""The policy of this process, and the functions that ask it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from loopwright.errors import NotAPolicyError
from loopwright.loops import loop_names
from loopwright.loops._asyncio_private import PolicyBase, install_policy, installed_policy_or, running_loop
from loopwright.policies._foreign import new_loop_of
from loopwright.policies._named import DefaultEventLoopPolicy

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = [
    "checked_policy",
    "get_event_loop",
    "get_event_loop_policy",
    "new_event_loop",
    "set_event_loop",
    "set_event_loop_policy",
]


def get_event_loop_policy() -> PolicyBase:
    """The policy of this process.

    It is the one that asyncio obeys, whether it was set here or through asyncio, up to Python 3.15; later
    versions of asyncio know of no policies, and then it is Loopwright's alone.

    If none was set, a `DefaultEventLoopPolicy` is made and set, just as `asyncio.get_event_loop_policy()`
    sets one of its own at its first call. Both make the same loops by the same rules, so code that only knows
    asyncio sees no difference but the child watcher. A policy that is set already, asyncio's
    default included, is never replaced by asking.
    """
    return installed_policy_or(DefaultEventLoopPolicy)


def set_event_loop_policy(policy: PolicyBase | None) -> None:
    """Make `policy` the one of this process; None restores the default, as if none had ever been set.

    Accepted is every policy that asyncio accepts, such as uvloop's or a subclass of
    `asyncio.DefaultEventLoopPolicy`; it stays as it is. Loops that are running go on. NotAPolicyError (a
    TypeError) for anything else.
    """
    install_policy(None if policy is None else checked_policy(policy))


def get_event_loop() -> AbstractEventLoop:
    """The loop that is running in this thread; if none is, what the policy's `get_event_loop()` gives.

    RuntimeError (from Loopwright's policies, NoLoopError) if there is none; see
    `EventLoopPolicy.get_event_loop()`.
    """
    running = running_loop()
    return get_event_loop_policy().get_event_loop() if running is None else running


def set_event_loop(loop: AbstractEventLoop | None) -> None:
    """Make `loop` the one of the policy's current context (mostly: this thread); None for none."""
    get_event_loop_policy().set_event_loop(loop)


def new_event_loop() -> AbstractEventLoop:
    """A new loop of the kind the policy makes, not set as the current one. Who asked for it closes it."""
    return new_loop_of(get_event_loop_policy())


def checked_policy(policy: Any) -> PolicyBase:
    """The policy itself, if it is one; else NotAPolicyError (a TypeError), with the likely mend."""
    if isinstance(policy, PolicyBase):
        return policy
    told = f"policy must be an event loop policy (an AbstractEventLoopPolicy) or None, not {policy!r}"
    if isinstance(policy, str) and policy in loop_names():
        told += f"; for that loop, give EventLoopPolicy(loop={policy!r})"
    elif isinstance(policy, type) and issubclass(policy, PolicyBase):
        told += f"; that is the class, call it first: {policy.__qualname__}()"
    elif isinstance(policy, asyncio.AbstractEventLoop) or (
        isinstance(policy, type) and issubclass(policy, asyncio.AbstractEventLoop)
    ):
        told += "; for loops of that kind, give EventLoopPolicy(loop=...) their class or a factory"
    raise NotAPolicyError(told)

"""The policy of this process, and the functions that ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loopwright.loops._asyncio_private import install_policy, installed_policy_or, running_loop
from loopwright.policies._abstract import checked_policy
from loopwright.policies._config import default_policy
from loopwright.policies._foreign import new_loop_of, set_loop_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loopwright.loops._asyncio_private import PolicyBase

__all__ = [
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

    If none was set, a `DefaultEventLoopPolicy`, or what the environment variable LOOPWRIGHT_POLICY asks for
    (`default_policy()`, with its exceptions), is made and set, just as `asyncio.get_event_loop_policy()`
    sets one of its own at its first call. Both make the same loops by the same rules, so code that only knows
    asyncio sees no difference but the child watcher. A policy that is set already, asyncio's
    default included, is never replaced by asking.
    """
    return installed_policy_or(default_policy)


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
    set_loop_of(get_event_loop_policy(), loop)


def new_event_loop() -> AbstractEventLoop:
    """A new loop of the kind the policy makes, not set as the current one. Who asked for it closes it."""
    return new_loop_of(get_event_loop_policy())

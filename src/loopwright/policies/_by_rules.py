"""`get_event_loop()` by rules that are not the running Python's, for policies of whatever make.

Loopwright's own obey the rules in force, and asyncio's base class is made to (`_asyncio_names.rules_changed`). Others
decide for themselves: since 0.22 uvloop's refuses on every Python where no loop is set, while `uvloop.install()` and
then `asyncio.get_event_loop()` is how a great many programs begin. What such a policy refuses is made here, if the
rules say so; whether `set_event_loop()` was called, which they ask, is remembered for it.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final

from loopwright.loops._asyncio_private import running_loop
from loopwright.policies._foreign import new_loop_of, set_loop_of
from loopwright.policies._policy import EventLoopPolicy
from loopwright.policies._process_rules import process_rules
from loopwright.policies._registry import get_event_loop_policy
from loopwright.policies._rules import WithoutLoop, stacklevel_outside, without_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping

__all__ = ["BY_RULES", "makes_loop"]


class _Remembered(threading.local):
    """Of the calling thread: the policies whose `set_event_loop()` was called there."""

    def __init__(self) -> None:
        self.set_called: weakref.WeakSet[Any] = weakref.WeakSet()


_here = _Remembered()


def makes_loop(*, set_called: bool) -> bool:
    """Whether the rules in force have a loop made for this thread, which has none; warns if they say so."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    todo = without_loop(process_rules(), main_thread=in_main_thread, set_called=set_called)
    if todo is WithoutLoop.MAKE_AND_WARN:
        warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=stacklevel_outside())
    return todo is not WithoutLoop.REFUSE


def get_event_loop() -> AbstractEventLoop:
    """The loop that is running in this thread; if none is, what the policy gives, or is to give by the rules in force.

    RuntimeError if there is none.
    """
    running = running_loop()
    if running is not None:
        return running
    policy = get_event_loop_policy()
    try:
        return policy.get_event_loop()
    except RuntimeError:
        if isinstance(policy, EventLoopPolicy) or not makes_loop(set_called=policy in _here.set_called):
            raise
    loop = new_loop_of(policy)
    set_loop_of(policy, loop)
    return loop


def set_event_loop(loop: AbstractEventLoop | None) -> None:
    """Make `loop` the one of the policy's current context (mostly: this thread); None for none."""
    policy = get_event_loop_policy()
    set_loop_of(policy, loop)
    _here.set_called.add(policy)


BY_RULES: Final[Mapping[str, Callable[..., Any]]] = {"get_event_loop": get_event_loop, "set_event_loop": set_event_loop}
"""What stands in asyncio for these functions while rules are in force that are not the running Python's."""

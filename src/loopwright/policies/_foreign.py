"""What policies that others wrote lack: asyncio's own since Python 3.14, uvloop's, those of users.

They are used as they are; where a function of ours needs of one what it has not, it is supplied here. Their `close()`
is not: only who made a loop knows which those are.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.loops import watches_by_itself
from loopwright.loops._asyncio_private import PolicyBase
from loopwright.loops._asyncio_watchers import as_asyncio_watcher, is_asyncio_policy, lacks_watcher, ours_of
from loopwright.policies._abstract import AbstractEventLoopPolicy
from loopwright.policies._loop_watcher import give_watcher, ignored
from loopwright.policies._policy import EventLoopPolicy
from loopwright.watchers import process_watcher

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loopwright.policies._abstract import ChildWatcher

__all__ = ["new_loop_of", "set_loop_of", "set_watcher_of", "watcher_of"]

#: The watchers of policies that have no place for one, such as asyncio's own since 3.14.
_kept: weakref.WeakKeyDictionary[Any, ChildWatcher] = weakref.WeakKeyDictionary()


def new_loop_of(policy: PolicyBase) -> AbstractEventLoop:
    """A new loop of this policy; if the policy knows of no watchers, one that asks for the watcher kept for it here."""
    loop: Any = policy.new_event_loop()
    # Of what is no loop nothing is said here: a policy is believed, as asyncio believes it.
    if isinstance(loop, asyncio.AbstractEventLoop) and not _knows_watchers(policy):
        give_watcher(loop, functools.partial(watcher_of, policy), given=None)
    made: AbstractEventLoop = loop
    return made


def _knows_watchers(policy: Any) -> bool:
    """Whether it has more to say of child watchers than the base classes of policies."""
    method = getattr(policy, "get_child_watcher", None)
    bases = [getattr(base, "get_child_watcher", None) for base in (PolicyBase, AbstractEventLoopPolicy)]
    return callable(method) and getattr(method, "__func__", method) not in bases


def set_loop_of(policy: PolicyBase, loop: AbstractEventLoop | None) -> None:
    """Make `loop` the policy's current one, and attach to it the watcher kept here: asyncio's policies did both."""
    policy.set_event_loop(loop)
    kept = _kept.get(policy)
    if kept is not None and threading.current_thread() is threading.main_thread():
        kept.attach_loop(loop)


def watcher_of(policy: Any) -> Any:
    """The child watcher of a policy, whoever wrote it."""
    if lacks_watcher(policy):
        # asyncio's own policy would make one of asyncio's now, which has half of what is promised of ours.
        policy._watcher = as_asyncio_watcher(process_watcher(), closes=False)
    try:
        return ours_of(_ask(policy, "get_child_watcher"))
    except NotImplementedError:
        return _kept.get(policy) or process_watcher()


def set_watcher_of(policy: Any, new: ChildWatcher | None) -> None:
    """Give this watcher to a policy, whoever wrote it; None for its default."""
    try:
        _ask(policy, "set_child_watcher", as_asyncio_watcher(new) if is_asyncio_policy(policy) else new)
    except NotImplementedError:
        if new is not None and (package := watches_by_itself(type(policy))):
            raise ignored(new, package) from None
        old = _kept.pop(policy, None)
        if new is not None:
            _kept[policy] = new
        if old is not None and old is not new:
            old.close()


def _ask(policy: Any, method: str, *args: Any) -> Any:
    """What a policy's method gives; NotImplementedError if it has none, or says so itself.

    On 3.12 and 3.13 those of asyncio's policy warn that they are deprecated: that is why ours is called instead.
    """
    function = getattr(policy, method, None)
    if function is None:
        raise NotImplementedError(f"{policy!r} has no {method}()")
    if isinstance(policy, EventLoopPolicy):
        return function(*args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return function(*args)

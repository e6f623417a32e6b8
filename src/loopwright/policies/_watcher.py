"""The child watcher of the current policy, whoever wrote that policy."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any

from loopwright.loops import watches_by_itself
from loopwright.loops._asyncio_watchers import as_asyncio_watcher, is_asyncio_policy, lacks_watcher, ours_of
from loopwright.policies._abstract import checked_watcher
from loopwright.policies._loop_watcher import ignored
from loopwright.policies._policy import EventLoopPolicy
from loopwright.policies._registry import get_event_loop_policy
from loopwright.watchers import get_child_watcher, process_watcher, set_child_watcher
from loopwright.watchers._current import use_policies

if TYPE_CHECKING:
    from loopwright.policies._abstract import ChildWatcher

__all__ = ["get_child_watcher", "set_child_watcher"]

#: The watchers of policies that have no place for one, such as asyncio's own since 3.14.
_kept: weakref.WeakKeyDictionary[Any, ChildWatcher] = weakref.WeakKeyDictionary()


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


def _get() -> Any:
    policy = get_event_loop_policy()
    if lacks_watcher(policy):
        # asyncio's own policy would make one of asyncio's now, which has half of what is promised of ours.
        policy._watcher = as_asyncio_watcher(process_watcher(), closes=False)  # type: ignore[attr-defined]
    try:
        return ours_of(_ask(policy, "get_child_watcher"))
    except NotImplementedError:
        return _kept.get(policy) or process_watcher()


def _set(watcher: Any) -> None:
    new = None if watcher is None else checked_watcher(watcher)
    policy = get_event_loop_policy()
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


use_policies(_get, _set)

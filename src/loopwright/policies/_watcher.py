"""The child watcher of the current policy, whoever wrote that policy."""

from __future__ import annotations

from typing import Any

from loopwright.policies._abstract import checked_watcher
from loopwright.policies._foreign import set_watcher_of, watcher_of
from loopwright.policies._registry import get_event_loop_policy
from loopwright.watchers import get_child_watcher, set_child_watcher
from loopwright.watchers._current import use_policies

__all__ = ["get_child_watcher", "set_child_watcher"]


def _get() -> Any:
    return watcher_of(get_event_loop_policy())


def _set(watcher: Any) -> None:
    new = None if watcher is None else checked_watcher(watcher)
    set_watcher_of(get_event_loop_policy(), new)


use_policies(_get, _set)

"""What stands for each low-level name of asyncio's: one table for `loopwright.aio` and for `install()`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from loopwright import watchers
from loopwright.policies import _named, _registry, _watcher
from loopwright.policies._abstract import AbstractEventLoopPolicy
from loopwright.policies._old_watcher import AbstractChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ASKS", "OURS"]

#: On Windows alone, as in asyncio: programs ask by `hasattr()` whether they are there.
_ON_WINDOWS: Final[Mapping[str, Any]] = {
    "WindowsProactorEventLoopPolicy": _named.WindowsProactorEventLoopPolicy,
    "WindowsSelectorEventLoopPolicy": _named.WindowsSelectorEventLoopPolicy,
}

OURS: Final[Mapping[str, Any]] = {
    "AbstractChildWatcher": AbstractChildWatcher,
    "AbstractEventLoopPolicy": AbstractEventLoopPolicy,
    "DefaultEventLoopPolicy": _named.DefaultEventLoopPolicy,
    "FastChildWatcher": watchers.FastChildWatcher,
    "MultiLoopChildWatcher": watchers.MultiLoopChildWatcher,
    "PidfdChildWatcher": watchers.PidfdChildWatcher,
    "SafeChildWatcher": watchers.SafeChildWatcher,
    "ThreadedChildWatcher": watchers.ThreadedChildWatcher,
    "get_child_watcher": _watcher.get_child_watcher,
    "get_event_loop_policy": _registry.get_event_loop_policy,
    "set_child_watcher": _watcher.set_child_watcher,
    "set_event_loop_policy": _registry.set_event_loop_policy,
    **(_ON_WINDOWS if sys.platform == "win32" else {}),
}
"""Names that later versions of asyncio lack, or that warn in some of those with which Loopwright works."""

ASKS: Final[Mapping[str, Callable[..., Any]]] = {
    "get_event_loop": _registry.get_event_loop,
    "new_event_loop": _registry.new_event_loop,
    "set_event_loop": _registry.set_event_loop,
}
"""Functions that ask the current policy; asyncio's own do so, too, as long as it has policies."""

"""Child watchers: how a program learns that a process it started has ended."""

import functools

from loopwright.watchers._base import AbstractChildWatcher
from loopwright.watchers._pidfd import PidfdChildWatcher
from loopwright.watchers._probe import Mechanism, probe

__all__ = ["AbstractChildWatcher", "Mechanism", "PidfdChildWatcher", "get_child_watcher", "probe"]


@functools.cache
def get_child_watcher() -> AbstractChildWatcher:
    """The watcher of this process, made at the first call: what a policy without one of its own hands to asyncio."""
    return PidfdChildWatcher()

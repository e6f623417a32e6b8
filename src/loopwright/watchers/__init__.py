"""Child watchers: how a program learns that a process it started has ended."""

from loopwright.watchers._base import AbstractChildWatcher
from loopwright.watchers._current import (
    add_child_handler,
    choose,
    default_watcher,
    get_child_watcher,
    process_watcher,
    remove_child_handler,
    set_child_watcher,
)
from loopwright.watchers._kqueue import KqueueChildWatcher
from loopwright.watchers._pidfd import PidfdChildWatcher
from loopwright.watchers._polling import PollingChildWatcher
from loopwright.watchers._probe import Mechanism, probe
from loopwright.watchers._sigchld import MultiLoopChildWatcher, SafeChildWatcher
from loopwright.watchers._thread import ThreadedChildWatcher
from loopwright.watchers._waitany import FastChildWatcher

__all__ = [
    "AbstractChildWatcher",
    "FastChildWatcher",
    "KqueueChildWatcher",
    "Mechanism",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "PollingChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "add_child_handler",
    "choose",
    "default_watcher",
    "get_child_watcher",
    "probe",
    "process_watcher",
    "remove_child_handler",
    "set_child_watcher",
]

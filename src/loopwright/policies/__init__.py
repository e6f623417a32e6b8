"""Policies: which event loop a program gets, on every Python; and `run()`, which obeys them."""

from loopwright.policies._abstract import AbstractEventLoopPolicy, ChildWatcher
from loopwright.policies._install import install, installed, uninstall
from loopwright.policies._policy import DefaultEventLoopPolicy, EventLoopPolicy
from loopwright.policies._registry import (
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    set_event_loop,
    set_event_loop_policy,
)
from loopwright.policies._runner import Runner, run
from loopwright.policies._watcher import get_child_watcher, set_child_watcher

__all__ = [
    "AbstractEventLoopPolicy",
    "ChildWatcher",
    "DefaultEventLoopPolicy",
    "EventLoopPolicy",
    "Runner",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "install",
    "installed",
    "new_event_loop",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "uninstall",
]

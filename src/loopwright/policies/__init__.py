"""Policies: which event loop a program gets, on every Python; and `run()`, which obeys them."""

from loopwright.policies._abstract import AbstractEventLoopPolicy, ChildWatcher
from loopwright.policies._policy import DefaultEventLoopPolicy, EventLoopPolicy
from loopwright.policies._registry import (
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    set_event_loop,
    set_event_loop_policy,
)
from loopwright.policies._runner import Runner, run

__all__ = [
    "AbstractEventLoopPolicy",
    "ChildWatcher",
    "DefaultEventLoopPolicy",
    "EventLoopPolicy",
    "Runner",
    "get_event_loop",
    "get_event_loop_policy",
    "new_event_loop",
    "run",
    "set_event_loop",
    "set_event_loop_policy",
]

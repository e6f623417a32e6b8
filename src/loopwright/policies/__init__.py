"""Policies: which event loop a program gets, on every Python; and `run()`, which obeys them."""

from loopwright.policies._abstract import AbstractEventLoopPolicy, ChildWatcher
from loopwright.policies._block import policy
from loopwright.policies._config import PolicyLike, default_policy, policy_from
from loopwright.policies._install import install, installed, uninstall
from loopwright.policies._named import (
    ContextEventLoopPolicy,
    DeadlineEventLoopPolicy,
    DefaultEventLoopPolicy,
    DefaultPolicy,
    FairEventLoopPolicy,
    LimitedEventLoopPolicy,
    PriorityEventLoopPolicy,
    ProactorEventLoopPolicy,
    RloopEventLoopPolicy,
    SharedEventLoopPolicy,
    ThreadedEventLoopPolicy,
    UvloopEventLoopPolicy,
    WindowsProactorEventLoopPolicy,
    WindowsProactorPolicy,
    WindowsSelectorEventLoopPolicy,
    WindowsSelectorPolicy,
    macOSPolicy,
)
from loopwright.policies._policy import EventLoopPolicy
from loopwright.policies._registry import (
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    set_event_loop,
    set_event_loop_policy,
)
from loopwright.policies._runner import Runner, run
from loopwright.policies._settings import PolicyMistake
from loopwright.policies._watcher import get_child_watcher, set_child_watcher

__all__ = [
    "AbstractEventLoopPolicy",
    "ChildWatcher",
    "ContextEventLoopPolicy",
    "DeadlineEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "DefaultPolicy",
    "EventLoopPolicy",
    "FairEventLoopPolicy",
    "LimitedEventLoopPolicy",
    "PolicyLike",
    "PolicyMistake",
    "PriorityEventLoopPolicy",
    "ProactorEventLoopPolicy",
    "RloopEventLoopPolicy",
    "Runner",
    "SharedEventLoopPolicy",
    "ThreadedEventLoopPolicy",
    "UvloopEventLoopPolicy",
    "WindowsProactorEventLoopPolicy",
    "WindowsProactorPolicy",
    "WindowsSelectorEventLoopPolicy",
    "WindowsSelectorPolicy",
    "default_policy",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "install",
    "installed",
    "macOSPolicy",
    "new_event_loop",
    "policy",
    "policy_from",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "uninstall",
]

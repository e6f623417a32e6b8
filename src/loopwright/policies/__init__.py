"""Policies: which event loop a program gets, on every Python; and `run()`, which obeys them."""

from loopwright.policies._abstract import AbstractEventLoopPolicy, ChildWatcher
from loopwright.policies._balance import Balance, LoopLoad
from loopwright.policies._block import policy
from loopwright.policies._bridge import on, submit
from loopwright.policies._config import PolicyLike, default_policy, policy_from
from loopwright.policies._handle import LoopHandle
from loopwright.policies._install import install, installed, uninstall
from loopwright.policies._loop_pool import LoopPool
from loopwright.policies._named import (
    ContextEventLoopPolicy,
    DeadlineEventLoopPolicy,
    DefaultEventLoopPolicy,
    DefaultPolicy,
    FairEventLoopPolicy,
    LimitedEventLoopPolicy,
    NativeEventLoopPolicy,
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
from loopwright.policies._thread_loop import ThreadLoop
from loopwright.policies._watcher import get_child_watcher, set_child_watcher
from loopwright.policies._work import WorkFuture

__all__ = [
    "AbstractEventLoopPolicy",
    "Balance",
    "ChildWatcher",
    "ContextEventLoopPolicy",
    "DeadlineEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "DefaultPolicy",
    "EventLoopPolicy",
    "FairEventLoopPolicy",
    "LimitedEventLoopPolicy",
    "LoopHandle",
    "LoopLoad",
    "LoopPool",
    "NativeEventLoopPolicy",
    "PolicyLike",
    "PolicyMistake",
    "PriorityEventLoopPolicy",
    "ProactorEventLoopPolicy",
    "RloopEventLoopPolicy",
    "Runner",
    "SharedEventLoopPolicy",
    "ThreadLoop",
    "ThreadedEventLoopPolicy",
    "UvloopEventLoopPolicy",
    "WindowsProactorEventLoopPolicy",
    "WindowsProactorPolicy",
    "WindowsSelectorEventLoopPolicy",
    "WindowsSelectorPolicy",
    "WorkFuture",
    "default_policy",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "install",
    "installed",
    "macOSPolicy",
    "new_event_loop",
    "on",
    "policy",
    "policy_from",
    "run",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "submit",
    "uninstall",
]

"""asyncio's low-level layer as a library: which event loop runs where, how a program learns that a process it started
has ended, and the supervisor that people build from the two.

The names that most programs need are here. Each layer is a package of its own with the rest: `loopwright.policies`,
`loopwright.loops`, `loopwright.watchers`, `loopwright.process`, `loopwright.supervision`, `loopwright.testing`.
"""

from loopwright.errors import LoopwrightError
from loopwright.policies import (
    AbstractEventLoopPolicy,
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    Runner,
    get_event_loop,
    get_event_loop_policy,
    new_event_loop,
    run,
    set_event_loop,
    set_event_loop_policy,
)
from loopwright.process import DEVNULL, PIPE, STDOUT, ExitStatus, Process, ResourceUsage, StatusLost, spawn
from loopwright.supervision import Outcome, RestartPolicy, RestartRule, ServiceSpec, Supervisor
from loopwright.watchers import AbstractChildWatcher, PidfdChildWatcher

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "EventLoopPolicy",
    "ExitStatus",
    "LoopwrightError",
    "Outcome",
    "PidfdChildWatcher",
    "Process",
    "ResourceUsage",
    "RestartPolicy",
    "RestartRule",
    "Runner",
    "ServiceSpec",
    "StatusLost",
    "Supervisor",
    "get_event_loop",
    "get_event_loop_policy",
    "new_event_loop",
    "run",
    "set_event_loop",
    "set_event_loop_policy",
    "spawn",
]

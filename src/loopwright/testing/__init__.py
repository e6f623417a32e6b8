"""Tools for testing what is built on Loopwright, and Loopwright itself; none of them needs pytest."""

from loopwright.testing._clock import FakeClockEventLoop, run_with_fake_clock
from loopwright.testing._leaks import Leak, LeakCheck
from loopwright.testing._loop_contract import EventLoopContract
from loopwright.testing._placement import Act, Refusal, Run, ScriptedPlacement
from loopwright.testing._scheduler_contract import TaskSchedulerContract
from loopwright.testing._watcher_contract import ChildWatcherContract
from loopwright.testing._watcher_extras import ChildWatcherExtrasContract

__all__ = [
    "Act",
    "ChildWatcherContract",
    "ChildWatcherExtrasContract",
    "EventLoopContract",
    "FakeClockEventLoop",
    "Leak",
    "LeakCheck",
    "Refusal",
    "Run",
    "ScriptedPlacement",
    "TaskSchedulerContract",
    "run_with_fake_clock",
]

"""Tools for testing what is built on Loopwright, and Loopwright itself; none of them needs pytest."""

from loopwright.testing._clock import FakeClockEventLoop, run_with_fake_clock
from loopwright.testing._leaks import Leak, LeakCheck
from loopwright.testing._placement import Act, Refusal, Run, ScriptedPlacement

__all__ = [
    "Act",
    "FakeClockEventLoop",
    "Leak",
    "LeakCheck",
    "Refusal",
    "Run",
    "ScriptedPlacement",
    "run_with_fake_clock",
]

"""The contract of event loops, as tests for anybody's."""

from __future__ import annotations

from loopwright.testing._loop_calls import LoopCalls
from loopwright.testing._loop_running import LoopRunning

__all__ = ["EventLoopContract"]


class EventLoopContract(LoopCalls, LoopRunning):
    """X."""

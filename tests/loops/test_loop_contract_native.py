"""The public contract suite on the native loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loopwright.loops import NativeEventLoop, available_loops
from loopwright.testing import EventLoopContract
from tests.loops.contracts import known

if TYPE_CHECKING:
    import asyncio

HERE = {report.name: report.available for report in available_loops()}
pytestmark = pytest.mark.skipif(not HERE["native"], reason="the native loop cannot run here")


@known(
    {
        "test_a_jump_of_the_loops_own_clock_brings_what_is_due": (
            "its timers go by CLOCK_MONOTONIC, whoever replaces time(): docs/reference/loops.md says so"
        )
    }
)
class TestNativeEventLoop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        return NativeEventLoop()

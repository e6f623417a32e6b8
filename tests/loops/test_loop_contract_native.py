"""The public contract suite on the native loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loopwright.loops._native_loop import NativeEventLoop
from loopwright.testing import EventLoopContract

if TYPE_CHECKING:
    import asyncio


class TestNativeEventLoop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        return NativeEventLoop()

"""The public contract suite on uvloop, with what it does not keep."""

from __future__ import annotations

import asyncio

import uvloop

from loopwright.testing import EventLoopContract


class TestUvloop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()

"""The public contract suite, over every loop and every set of pidfds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherContract
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class TestPidfdChildWatcher(ChildWatcherContract):
    @pytest.fixture(autouse=True)
    def every_loop_and_set(self, watched_loop_factory: Callable[[], asyncio.AbstractEventLoop], pidfd_set: str) -> None:
        self.loop_factory = watched_loop_factory

    def make_watcher(self) -> PidfdChildWatcher:
        return PidfdChildWatcher()

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop_factory()

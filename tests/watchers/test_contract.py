"""The public contract suite, over every watcher that needs no signal, and every loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherContract
from loopwright.watchers import (
    PidfdChildWatcher,
    PollingChildWatcher,
    ThreadedChildWatcher,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.watchers import AbstractChildWatcher


class OnEveryLoop(ChildWatcherContract):
    kind: type[AbstractChildWatcher]

    @pytest.fixture(autouse=True)
    def every_loop(self, watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop_factory = watched_loop_factory

    def make_watcher(self) -> AbstractChildWatcher:
        return self.kind()

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop_factory()

    def may_refuse(self, fault: str) -> bool:
        """None of ours may, but for the exceptions below."""
        return False


class TestPidfdChildWatcher(OnEveryLoop):
    kind = PidfdChildWatcher

    @pytest.fixture(autouse=True)
    def every_set(self, pidfd_set: str) -> None:
        """Of pidfds: the compiled one, and the plain one."""


class TestThreadedChildWatcher(OnEveryLoop):
    kind = ThreadedChildWatcher

    def may_refuse(self, fault: str) -> bool:
        return fault == "no thread can be started"


class TestPollingChildWatcher(OnEveryLoop):
    kind = PollingChildWatcher

"""The contract of what our watchers do beyond asyncio's interface, over every watcher and every loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherExtrasContract
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loopwright.watchers import AbstractChildWatcher


class OnEveryLoop(ChildWatcherExtrasContract):
    kind: type[AbstractChildWatcher]

    @pytest.fixture(autouse=True)
    def every_loop(self, watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop_factory = watched_loop_factory

    def make_watcher(self) -> AbstractChildWatcher:
        return self.kind()

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop_factory()


class WithLoopAttached(OnEveryLoop):
    def prepare(self, watcher: AbstractChildWatcher, loop: asyncio.AbstractEventLoop) -> None:
        watcher.attach_loop(loop)


class TestPidfdChildWatcher(OnEveryLoop):
    kind = PidfdChildWatcher

    @pytest.fixture(autouse=True)
    def every_set(self, pidfd_set: str) -> None:
        """Of pidfds: the compiled one, and the plain one."""


class TestThreadedChildWatcher(OnEveryLoop):
    kind = ThreadedChildWatcher


class TestPollingChildWatcher(OnEveryLoop):
    kind = PollingChildWatcher


class TestMultiLoopChildWatcher(OnEveryLoop):
    kind = MultiLoopChildWatcher


class TestSafeChildWatcher(WithLoopAttached):
    kind = SafeChildWatcher


class TestFastChildWatcher(WithLoopAttached):
    kind = FastChildWatcher
    reaps_everybody = True

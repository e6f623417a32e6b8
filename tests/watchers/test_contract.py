"""The public contract suite, over every watcher and every loop; and what holds instead, where one cannot keep it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherContract
from loopwright.testing._watcher_stage import Hearing, refused
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
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


class TestMultiLoopChildWatcher(OnEveryLoop):
    kind = MultiLoopChildWatcher


class WithLoopAttached(OnEveryLoop):
    """As asyncio documents them, these two need a loop attached, and are active while it runs."""

    def prepare(self, watcher: AbstractChildWatcher, loop: asyncio.AbstractEventLoop) -> None:
        watcher.attach_loop(loop)

    def test_refused_where_there_is_no_loop(self) -> None:
        with self.stage() as stage:
            hearing, pid = Hearing(), stage.start("exit 0", held=True)
            stage.watcher.attach_loop(None)
            refused(stage.watcher.add_child_handler, pid, hearing)

            async def register() -> None:
                refused(stage.watcher.add_child_handler, pid, hearing)

            stage.run(register())
            assert stage.watcher.remove_child_handler(pid) is False
            stage.end(pid)

    def test_attaching_another_loop_moves_nobody(self) -> None:
        with pytest.warns(RuntimeWarning, match="detached from a child watcher with pending handlers"):
            super().test_attaching_another_loop_moves_nobody()

    def test_closing(self) -> None:
        with self.stage() as stage:
            assert stage.watcher.is_active() is False, "the attached loop does not run"
            pid = stage.start("exit 0")

            async def play() -> None:
                assert stage.watcher.is_active() is True
                stage.watcher.close()
                assert stage.watcher.is_active() is False
                stage.watcher.close()
                refused(stage.watcher.add_child_handler, pid, Hearing())

            stage.run(play())
            stage.end(pid)


class TestSafeChildWatcher(WithLoopAttached):
    kind = SafeChildWatcher


class TestFastChildWatcher(WithLoopAttached):
    kind = FastChildWatcher
    reaps_everybody = True

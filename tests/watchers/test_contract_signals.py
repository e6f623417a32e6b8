"""The public contract suite over the watchers by SIGCHLD, on every loop; and what holds where one cannot keep it."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import ChildWatcherContract
from loopwright.testing._watcher_stage import Hearing, refused
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    SafeChildWatcher,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.testing._watcher_stage import Stage
    from loopwright.watchers import AbstractChildWatcher


async def reaped(stage: Stage, pid: int) -> None:
    while not stage.is_reaped(pid):  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(0.001)


class OnEveryLoop(ChildWatcherContract):
    kind: type[AbstractChildWatcher]

    @pytest.fixture(autouse=True)
    def every_loop(self, signalled_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop_factory = signalled_loop_factory

    def make_watcher(self) -> AbstractChildWatcher:
        return self.kind()

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop_factory()

    def may_refuse(self, fault: str) -> bool:
        """None of ours may, but for the exceptions below."""
        return False


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
            pid = stage.start("exit 0", held=True)

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
    """It reaps whoever has ended, so what is removed, or somebody else's, is gone as well; and it reaps first."""

    kind = FastChildWatcher
    reaps_everybody = True

    def prepare(self, watcher: AbstractChildWatcher, loop: asyncio.AbstractEventLoop) -> None:
        super().prepare(watcher, loop)
        watcher.__enter__()  # as asyncio does around the start of a child; here, all are started within

    def test_children_of_others_are_left_to_them(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                raw, other = stage.start("exit 6", held=True), subprocess.Popen(["/bin/sh", "-c", "exit 5"])  # noqa: ASYNC220 - a victim
                stage.go()
                await reaped(stage, raw)
                await reaped(stage, other.pid)
                assert other.wait() == 0, "not 5: this is what it is documented to break"
                stage.watcher.__exit__(None, None, None)
                assert any(f"reaped process {raw}" in text and "status 6" in text for text in warned)
                assert any(f"reaped process {other.pid}" in text and "status 5" in text for text in warned)

            stage.run(play())

    def test_pid_is_kept_until_the_callback_has_returned(self) -> None:
        with self.stage() as stage:
            reaped: list[bool] = []
            hearing = Hearing(lambda pid, _code: reaped.append(stage.is_reaped(pid)))

            async def play() -> None:
                stage.watcher.add_child_handler(stage.start("exit 0"), hearing)
                await hearing.heard()
                assert reaped == [True]

            stage.run(play())

    def test_removed_is_neither_called_nor_reaped(self) -> None:
        self.check_removed(lambda stage, pid: stage.watcher.remove_child_handler(pid))

    def test_removed_in_another_thread(self) -> None:
        self.check_removed(lambda stage, pid: stage.elsewhere(stage.watcher.remove_child_handler, pid))

    def test_removed_after_the_exit(self) -> None:
        def remove(stage: Stage, pid: int) -> bool:
            stage.go()
            stage.await_exit(pid)
            return stage.watcher.remove_child_handler(pid)

        self.check_removed(remove)

    def check_removed(self, remove: Callable[[Stage, int], bool]) -> None:
        """Not called, and known to the end of the block: the status goes to who registers it again."""
        with self.stage() as stage:

            async def play() -> None:
                first, second, pid = Hearing(), Hearing(), stage.start("exit 3", held=True)
                stage.watcher.add_child_handler(pid, first)
                await asyncio.sleep(0)
                assert remove(stage, pid) is True
                stage.go()
                await reaped(stage, pid)
                assert first.calls == []
                stage.watcher.add_child_handler(pid, second)
                assert await second.only() == (pid, 3)

            stage.run(play())

    def test_removed_between_exit_and_delivery(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:
            hearing = Hearing(lambda pid, _: stage.watcher.remove_child_handler(pids[1 - pids.index(pid)]))
            pids = [stage.start("exit 0", held=True) for _ in range(2)]

            async def play() -> None:
                for pid in pids:
                    stage.watcher.add_child_handler(pid, hearing)
                await asyncio.sleep(0)
                stage.go()
                for pid in pids:
                    stage.await_exit(pid)
                called, _ = await hearing.only()
                stage.watcher.__exit__(None, None, None)
                removed = pids[1 - pids.index(called)]
                assert [text.split(",")[0] for text in warned] == [f"reaped process {removed}"]

            stage.run(play())

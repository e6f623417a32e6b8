"""The contract of child watchers with several loops, threads and processes: those that go away, are stuck, or fork."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING

from loopwright.testing._watcher_apart import apart, fork_alive
from loopwright.testing._watcher_stage import LIMIT, ORPHANED, QUIET, Hearing, WatcherTests, refused, same

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WatcherLoops"]


class WatcherLoops(WatcherTests):
    """Each loop hears of its own children, in its own thread; what becomes of one is no matter for another."""

    # Several loops

    def test_two_loops_in_two_threads(self) -> None:
        with self.stage() as stage:
            barrier = threading.Barrier(2)

            def act() -> None:
                loop = loops.pop()

                async def play() -> None:
                    for _ in range(3):
                        hearing = Hearing()
                        try:
                            barrier.wait(LIMIT)
                        except threading.BrokenBarrierError:
                            raise AssertionError("the other loop waits in vain for its exits") from None
                        pids = [stage.start("exit 0") for _ in range(8)]
                        await stage.register(hearing, *pids)
                        await hearing.heard(8)
                        same(sorted(pid for pid, _ in hearing.calls), sorted(pids))
                        assert set(hearing.threads) == {threading.get_ident()}
                        assert set(hearing.loops) == {loop}

                stage.run(play(), loop)

            loops = [stage.new_loop() for _ in range(2)]
            with stage.thread(act), stage.thread(act):
                pass

    def test_loop_stuck_for_a_second(self) -> None:
        """Its exits wait for it, and nobody else does."""
        with self.stage() as stage:
            stuck, others_were_told, other = threading.Event(), threading.Event(), stage.new_loop()

            async def be_stuck() -> None:
                hearing, pid = await stage.watched("exit 3")
                stage.ended(pid)
                begin = time.monotonic()
                stuck.set()
                assert others_were_told.wait(LIMIT), "nobody is told anything while one loop is stuck"
                time.sleep(max(0.0, begin + 1.0 - time.monotonic()))  # noqa: ASYNC251 - that is the fault
                assert await hearing.only() == (pid, 3)
                assert hearing.threads == [threading.get_ident()]

            async def go_on() -> None:
                for _ in range(3):
                    hearing, pid = await stage.watched("exit 4")
                    stage.go()
                    assert await hearing.heard() == [(pid, 4)]

            with stage.thread(lambda: stage.run(be_stuck(), other)):
                assert stuck.wait(LIMIT)
                try:
                    stage.run(go_on())
                finally:
                    others_were_told.set()

    def test_loop_of_the_main_thread_stuck(self) -> None:
        """Python runs signal handlers in the main thread only; exits must be heard of elsewhere all the same."""
        with self.stage() as stage:
            told, other, (hearing, pid) = threading.Event(), stage.new_loop(), stage.run(stage.watched("exit 3"))

            async def go_on() -> None:
                hearing, pid = await stage.watched("exit 4")
                stage.go()
                assert await hearing.heard() == [(pid, 4)]
                told.set()

            async def be_stuck() -> None:
                assert told.wait(LIMIT), "nobody is told anything while the loop of the main thread is stuck"
                assert await hearing.only() == (pid, 3)

            with stage.thread(lambda: stage.run(go_on(), other)):
                stage.run(be_stuck())

    def test_loop_closed_with_a_child_alive(self) -> None:
        with self.stage() as stage:
            lost, hearing = Hearing(), Hearing()
            alive, other = stage.start("exit 1", held=True), stage.new_loop()
            stage.run(stage.register(lost, alive), other)
            other.close()
            pid = stage.start("exit 2")
            stage.run(stage.register(hearing, pid))
            assert stage.run(hearing.only()) == (pid, 2)
            assert lost.calls == []
            assert stage.watcher.remove_child_handler(alive) is False, "its loop is closed, so nothing can be called"
            stage.end(alive)

    def test_loop_closed_before_it_could_see_leaves_no_zombie(self) -> None:
        self.check_loop_closed(lambda loop: loop.stop())

    def test_loop_closed_between_seeing_and_calling_leaves_no_zombie(self) -> None:
        self.check_loop_closed(lambda loop: loop.call_soon(loop.stop))

    def check_loop_closed(self, stop: Callable[[asyncio.AbstractEventLoop], object]) -> None:
        with self.stage() as stage:
            lost, hearing = Hearing(), Hearing()
            ended, other = stage.start("exit 1", held=True), stage.new_loop()

            def play() -> None:
                stage.go()
                stage.await_exit(ended)
                stop(other)

            stage.run(stage.register(lost, ended), other)
            other.call_soon(play)
            other.run_forever()
            other.close()
            pid = stage.start("exit 2")
            stage.run(stage.register(hearing, pid))
            stage.run(hearing.only())
            stage.check_all_reaped(ORPHANED)
            assert lost.calls in ([], [(ended, 1)])  # a loop may look once more before it stops, as uvloop's does

    def test_loop_closed_that_never_ran(self) -> None:
        with self.stage() as stage:
            hearing, removed, pid, other = Hearing(), stage.start("exit 0"), stage.start("exit 0"), stage.new_loop()
            stage.watcher.attach_loop(other)
            stage.watcher.add_child_handler(pid, hearing)
            stage.watcher.add_child_handler(removed, hearing)
            assert stage.watcher.remove_child_handler(removed) is True
            stage.await_exit(pid)
            other.close()
            stage.watcher.attach_loop(stage.loop)
            next_pid = stage.start("exit 3")
            stage.watcher.add_child_handler(next_pid, hearing)
            assert stage.run(hearing.only()) == (next_pid, 3)
            stage.check_left(removed, 0)
            stage.check_all_reaped(ORPHANED)

    def test_attached_loop_that_was_closed_is_refused(self) -> None:
        with self.stage() as stage:
            other, pid = stage.new_loop(), stage.start("exit 0")
            stage.watcher.attach_loop(other)
            other.close()
            refused(stage.watcher.add_child_handler, pid, Hearing())
            stage.end(pid)

    # Forks

    def test_forked_child_takes_nothing_from_its_parent(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                pids = [stage.start(f"exit {index}", held=True) for index in range(3)]
                await stage.register(hearing, *pids)

                def touch() -> None:
                    assert stage.watcher.remove_child_handler(pids[0]) is False, "it is the parent's, not the child's"
                    stage.watcher.close()

                apart(touch)
                apart(lambda: None)
                stage.go()
                await hearing.heard(3)
                await asyncio.sleep(QUIET)
                same(sorted(hearing.calls), sorted((pid, index) for index, pid in enumerate(pids)))

            stage.run(play())

    def test_forked_child_that_lives_on_with_copies_of_all_descriptors(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                ends = {stage.start(f"exit {code}", held=True): code for code in range(5)}
                await stage.register(hearing, *ends)
                with fork_alive():
                    stage.go()
                    for code in range(5, 10):  # these may get the numbers of descriptors that were just closed
                        pid = stage.start(f"exit {code}")
                        ends[pid] = code
                        await stage.register(hearing, pid)
                    await hearing.heard(10)
                    await asyncio.sleep(QUIET)
                    same(sorted(hearing.calls), sorted(ends.items()))

            stage.run(play())

    def test_forked_child_watches_children_of_its_own(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 1", held=True)
                await stage.register(hearing, pid)

                def watch() -> None:
                    own, loop, own_pid = Hearing(), stage.new_loop(), os.posix_spawn("/bin/true", ["true"], os.environ)
                    stage.run(stage.register(own, own_pid), loop)
                    assert stage.run(own.only(), loop) == (own_pid, 0)

                apart(watch)
                stage.go()
                assert await hearing.only() == (pid, 1)

            stage.run(play())

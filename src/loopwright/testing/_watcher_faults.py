"""The contract of child watchers when others interfere: thieves, crowds, threads, forks, and loops that go away."""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.testing._watcher_stage import QUIET, Hearing, Stage, WatcherTests, refused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WatcherFaults"]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def register(stage: Stage, hearing: Hearing, *pids: int) -> None:
    for pid in pids:
        stage.watcher.add_child_handler(pid, hearing)
    await asyncio.sleep(0)


class WatcherFaults(WatcherTests):
    """Nothing is lost, left over, or taken from others, whatever else goes on in the program."""

    # Other people's children, and people who take ours

    def test_children_of_others_are_left_to_them(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                raw = stage.start("exit 6")
                with subprocess.Popen(["/bin/sh", "-c", "exit 5"]) as other:  # noqa: ASYNC220 - that is the fault
                    stage.await_exit(raw)
                    stage.await_exit(other.pid)
                    for _ in range(3):
                        await register(stage, hearing, stage.start("exit 0"))
                    await hearing.heard(3)
                    await asyncio.sleep(QUIET)
                    assert other.wait() == 5, "the status of a Popen that was none of the watcher's business was taken"
                assert stage.steal(raw) == 6

            stage.run(play())

    def test_status_taken_after_registration_is_255_and_a_warning(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 3", held=True)
                await register(stage, hearing, pid)
                stage.go()
                assert stage.steal(pid) == 3
                assert await hearing.only() == (pid, 255)
                assert any(str(pid) in text for text in warned), f"no warning names process {pid}: {warned}"

            stage.run(play())

    def test_status_taken_before_registration_is_255_and_a_warning(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 3")
                stage.steal(pid)
                await register(stage, hearing, pid)
                assert await hearing.only() == (pid, 255)
                assert any(str(pid) in text for text in warned), f"no warning names process {pid}: {warned}"

            stage.run(play())

    def test_nothing_is_warned_of_without_a_cause(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:
            hearing = Hearing()
            stage.run(register(stage, hearing, stage.start("exit 255")))
            stage.run(hearing.only())
            assert warned == []

    def test_callback_that_raises_meets_the_exception_handler_and_holds_up_nobody(self) -> None:
        with self.stage() as stage:
            met: list[dict[str, Any]] = []
            error = ValueError("on purpose")

            def fail(*_: object) -> None:
                raise error

            async def play() -> None:
                stage.loop.set_exception_handler(lambda _loop, details: met.append(details))
                failing, sound = Hearing(fail), Hearing()
                for index in range(10):
                    await register(stage, failing if index % 2 else sound, stage.start("exit 0", held=True))
                stage.go()
                await failing.heard(5)
                await sound.heard(5)
                await asyncio.sleep(QUIET)
                assert [details["exception"] for details in met] == [error] * 5

            stage.run(play())

    # Crowds

    def test_two_hundred_at_once(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                expected = {(stage.start(f"exit {index}", held=True), index) for index in range(200)}
                await register(stage, hearing, *(pid for pid, _ in expected))
                stage.go()
                await hearing.heard(200)
                await asyncio.sleep(QUIET)
                assert len(hearing.calls) == 200
                assert set(hearing.calls) == expected

            stage.run(play())

    def test_added_and_removed_while_exits_pour_in(self) -> None:
        """Another thread removes every second one while children end: each was either removed, truly, or called."""
        with self.stage() as stage:
            hearing, replaced, removed = Hearing(), Hearing(), set[int]()
            to_remove: queue.SimpleQueue[int] = queue.SimpleQueue()

            def remove() -> None:
                while pid := to_remove.get():
                    if stage.watcher.remove_child_handler(pid):
                        removed.add(pid)

            async def play() -> None:
                pids: list[int] = []
                for _ in range(15):
                    batch = [stage.start("exit 0") for _ in range(10)]
                    for index, pid in enumerate(batch):
                        stage.watcher.add_child_handler(pid, replaced)
                        stage.watcher.add_child_handler(pid, hearing)
                        if index % 2:
                            to_remove.put(pid)
                    await asyncio.sleep(0)
                    pids += batch
                to_remove.put(0)
                await asyncio.get_running_loop().run_in_executor(None, thread.join)
                await hearing.heard(len(pids) - len(removed))
                await asyncio.sleep(QUIET)
                assert sorted(pid for pid, _ in hearing.calls) == sorted(set(pids) - removed)
                assert replaced.calls == []
                for pid in removed:
                    assert stage.steal(pid) == 0

            thread = threading.Thread(target=remove)
            thread.start()
            try:
                stage.run(play())
            finally:
                to_remove.put(0)
                thread.join()
                stage.run(stage.loop.shutdown_default_executor())

    def test_descriptors_do_not_grow(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                before = 0
                for _ in range(10):
                    hearing = Hearing()
                    pids = [stage.start("exit 0", held=True) for _ in range(5)]
                    await register(stage, hearing, *pids, *pids)
                    stage.watcher.remove_child_handler(pids[0])
                    stage.go()
                    await hearing.heard(4)
                    stage.steal(pids[0])
                    await asyncio.sleep(0)
                    before = before or descriptors()
                assert descriptors() <= before

            stage.run(play())

    # Several loops

    def test_two_loops_in_two_threads(self) -> None:
        with self.stage() as stage:
            barrier = threading.Barrier(2)
            failures: list[BaseException] = []

            def act(loop: asyncio.AbstractEventLoop) -> None:
                async def play() -> None:
                    for _ in range(5):
                        hearing = Hearing()
                        barrier.wait(10)
                        pids = [stage.start("exit 0") for _ in range(8)]
                        await register(stage, hearing, *pids)
                        await hearing.heard(8)
                        assert sorted(pid for pid, _ in hearing.calls) == sorted(pids)
                        assert set(hearing.threads) == {threading.get_ident()}
                        assert set(hearing.loops) == {loop}

                try:
                    stage.run(play(), loop)
                except BaseException as error:  # noqa: BLE001 - raised below, in the thread of the test
                    failures.append(error)

            threads = [threading.Thread(target=act, args=(stage.new_loop(),)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]

    def test_loop_closed_with_a_child_alive(self) -> None:
        with self.stage() as stage:
            lost, hearing = Hearing(), Hearing()
            alive, other = stage.start("exit 1", held=True), stage.new_loop()
            stage.run(register(stage, lost, alive), other)
            other.close()
            pid = stage.start("exit 2")
            stage.run(register(stage, hearing, pid))
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

            stage.run(register(stage, lost, ended), other)
            other.call_soon(play)
            other.run_forever()
            other.close()
            pid = stage.start("exit 2")
            stage.run(register(stage, hearing, pid))
            stage.run(hearing.only())
            stage.check_all_reaped()
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
            stage.steal(removed)

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
                await register(stage, hearing, *pids)

                def touch() -> None:
                    assert stage.watcher.remove_child_handler(pids[0]) is False, "it is the parent's, not the child's"
                    stage.watcher.close()

                stage.in_fork(touch)
                stage.in_fork(lambda: None)
                stage.go()
                await hearing.heard(3)
                await asyncio.sleep(QUIET)
                assert sorted(hearing.calls) == sorted((pid, index) for index, pid in enumerate(pids))

            stage.run(play())

    def test_forked_child_watches_children_of_its_own(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 1", held=True)
                await register(stage, hearing, pid)

                def watch() -> None:
                    own, loop, own_pid = Hearing(), stage.new_loop(), os.posix_spawn("/bin/true", ["true"], os.environ)
                    stage.run(register(stage, own, own_pid), loop)
                    assert stage.run(own.only(), loop) == (own_pid, 0)

                stage.in_fork(watch)
                stage.go()
                assert await hearing.only() == (pid, 1)

            stage.run(play())

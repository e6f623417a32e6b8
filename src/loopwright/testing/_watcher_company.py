"""The contract of child watchers in company: children of others, people who take ours, and crowds."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import signal
import subprocess
import threading
import time
import warnings
from typing import Any

from loopwright.testing import _watcher_stage
from loopwright.testing._leaks import LeakCheck
from loopwright.testing._watcher_apart import apart, open_descriptors
from loopwright.testing._watcher_stage import QUIET, Hearing, Stage, WatcherTests, same

__all__ = ["WatcherCompany"]

#: A number that no process can have: Linux gives 2**22 of them (proc(5), pid_max).
NOBODY = 2**30


class WatcherCompany(WatcherTests):
    """Nothing is lost, invented, or taken from others, whatever else goes on in the program."""

    # Other people's children

    def test_children_of_others_are_left_to_them(self) -> None:
        self.skip_if_it_reaps_everybody()
        with self.stage() as stage:

            async def play() -> None:
                raw = stage.start("exit 6")
                with subprocess.Popen(["/bin/sh", "-c", "exit 5"]) as other:  # noqa: ASYNC220 - that is the fault
                    stage.await_exit(raw)
                    stage.await_exit(other.pid)
                    await self.watch_some(stage)
                    assert other.wait() == 5, "the status of a Popen that was none of the watcher's business was taken"
                stage.check_left(raw, 6)

            stage.run(play())

    def test_processes_of_multiprocessing_are_left_to_it(self) -> None:
        self.skip_if_it_reaps_everybody()
        with self.stage() as stage:
            context = multiprocessing.get_context("fork")

            async def play() -> None:
                process = context.Process(target=os._exit, args=(4,))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a runner's own thread is enough for it
                    process.start()
                assert process.pid is not None
                stage.await_exit(process.pid)
                await self.watch_some(stage)
                process.join()
                assert process.exitcode == 4, "the status of a process that was none of the watcher's business is gone"
                process.close()

            stage.run(play())

    async def watch_some(self, stage: Stage) -> None:
        """Have the watcher do its work, one child after the other."""
        hearing = Hearing()
        for count in range(3):
            await stage.register(hearing, stage.start("exit 0"))
            await hearing.heard(count + 1)
        await asyncio.sleep(QUIET)

    # Those who take ours, and processes that are nobody's here

    def test_status_taken_after_registration_is_255_and_a_warning(self) -> None:
        """Unless the watcher has seen the exit before the thief took it, as one with a thread may: then it is true."""
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing, pid = await stage.watched("exit 3")
                stage.go()
                assert stage.steal(pid) == 3
                same(await hearing.only(), (pid, 255 if any(str(pid) in text for text in warned) else 3))

            stage.run(play())

    def test_status_taken_before_registration_is_255_and_a_warning(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 3")
                stage.steal(pid)
                await stage.register(hearing, pid)
                assert await hearing.only() == (pid, 255)
                assert any(str(pid) in text for text in warned), f"no warning names process {pid}: {warned}"

            stage.run(play())

    def test_status_taken_by_a_thread_that_waits_for_everybody(self) -> None:
        """It or the watcher gets a status; whoever does, the callback hears the truth or 255, once."""

        def play() -> None:
            with self.stage() as stage, stage.warnings() as warned:
                hearing, pids = Hearing(), [stage.start("exit 7", held=True) for _ in range(30)]
                stage.run(stage.register(hearing, *pids))
                stopped = threading.Event()

                def steal() -> None:
                    while not stopped.is_set():
                        with contextlib.suppress(ChildProcessError):
                            os.waitpid(-1, os.WNOHANG)

                thief = threading.Thread(target=steal)
                thief.start()
                stage.go()
                stage.run(hearing.heard(30))
                stage.run(asyncio.sleep(QUIET))
                stopped.set()
                thief.join()
                same(sorted(pid for pid, _ in hearing.calls), sorted(pids))
                lost = [pid for pid, code in hearing.calls if code != 7]
                assert set(hearing.calls) == {(pid, 255 if pid in lost else 7) for pid in pids}
                for pid in lost:
                    assert any(str(pid) in text for text in warned), f"no warning names process {pid}: {warned}"

        with LeakCheck():
            apart(play)

    def test_process_that_is_no_child_is_255_and_a_warning(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing, shell = Hearing(), "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"
                started = subprocess.run(["/bin/sh", "-c", shell], stdout=-1, check=True)  # noqa: ASYNC221
                pid = int(started.stdout)
                stage.watcher.add_child_handler(pid, hearing)
                os.kill(pid, signal.SIGKILL)
                assert await hearing.only() == (pid, 255)
                assert any(str(pid) in text for text in warned), f"no warning names process {pid}: {warned}"

            stage.run(play())

    def test_process_that_never_was_is_255_and_a_warning(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:

            async def play() -> None:
                hearing = Hearing()
                await stage.register(hearing, NOBODY)
                assert await hearing.only() == (NOBODY, 255)
                assert any(str(NOBODY) in text for text in warned), f"no warning names process {NOBODY}: {warned}"

            stage.run(play())

    def test_numbers_that_stand_for_several_processes_are_refused(self) -> None:
        """Those below 1 mean a group of processes, or all, to waitpid(2)."""
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched()
                for number in (0, -1, -pid):
                    try:
                        stage.watcher.add_child_handler(number, Hearing())
                    except ValueError:
                        continue
                    raise AssertionError(f"{number} was taken for a process")
                stage.go()
                assert await hearing.only() == (pid, 0)

            stage.run(play())

    def test_nothing_is_warned_of_without_a_cause(self) -> None:
        with self.stage() as stage, stage.warnings() as warned:
            hearing, _ = stage.run(stage.watched("exit 255"))
            stage.go()
            stage.run(hearing.only())
            assert warned == []

    def test_callback_that_raises_meets_the_exception_handler_and_holds_up_nobody(self) -> None:
        with self.stage() as stage:
            met: list[dict[str, Any]] = []
            error = ValueError("on purpose")

            def fail(*_: object) -> None:
                raise error

            async def play() -> None:
                # The last argument: rloop 0.5 leaves out the loop, which is the first.
                stage.loop.set_exception_handler(lambda *given: met.append(given[-1]))
                failing, sound = Hearing(fail), Hearing()
                pids = [stage.start("exit 0", held=True) for _ in range(10)]
                for index, pid in enumerate(pids):
                    await stage.register(failing if index % 2 else sound, pid)
                stage.ended(*pids)  # so that all are seen at once
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
                await stage.register(hearing, *(pid for pid, _ in expected))
                stage.go()
                await hearing.heard(200)
                await asyncio.sleep(QUIET)
                assert len(hearing.calls) == 200
                same(set(hearing.calls), expected)

            stage.run(play())

    def test_many_exits_before_the_loop_comes_round(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                ends = {stage.start(f"exit {code}", held=True): code for code in range(30)}
                await stage.register(hearing, *ends)
                stage.ended(*ends)
                await hearing.heard(30)
                await asyncio.sleep(QUIET)
                same(sorted(hearing.calls), sorted(ends.items()))

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
                same(sorted(pid for pid, _ in hearing.calls), sorted(set(pids) - removed))
                assert replaced.calls == []
                for pid in removed:
                    stage.check_left(pid, 0)

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
                    await stage.register(hearing, *pids, *pids)
                    stage.watcher.remove_child_handler(pids[0])
                    stage.go()
                    await hearing.heard(4)
                    stage.check_left(pids[0], 0)
                    await asyncio.sleep(0)
                    before = before or open_descriptors()
                # What has just ended may be closed in a moment, and nobody tells of it.
                deadline = time.monotonic() + _watcher_stage.GRACE
                while (now := open_descriptors()) > before and time.monotonic() < deadline:  # noqa: ASYNC110 - as said
                    await asyncio.sleep(0.005)
                assert now <= before, f"{now} descriptors, and {before} after the first round"

            stage.run(play())

"""What the watchers of Loopwright do beyond asyncio's interface, as tests for anybody's watcher that does the same."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import threading
import warnings
from typing import TYPE_CHECKING, Any

from loopwright._core import ExitStatus, StatusLost
from loopwright.process import spawn
from loopwright.testing._watcher_stage import QUIET, Hearing, Stage, WatcherTests, refused, same

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from loopwright.watchers import PidfdChildWatcher

__all__ = ["ChildWatcherExtrasContract"]

CODE = 7
SCRIPT = ["/bin/sh", "-c", f"read _; exit {CODE}"]


class ChildWatcherExtrasContract(WatcherTests):
    """The conveniences of `loopwright.watchers`' own watchers, as a class of tests; used as `ChildWatcherContract` is.

    `add_child()`, `attach_process()`, `children`, `watch()`, `wait()` and `await watcher`, `add_done_callback()`, and
    coroutine functions as handlers; each process given as a pid, a Popen, a multiprocessing process, an asyncio process
    or one of `loopwright.process`.
    """

    def watcher_of(self, stage: Stage) -> PidfdChildWatcher:
        """The watcher under test, for the type checker: one of those that have all this."""
        watcher: Any = stage.watcher
        return watcher  # type: ignore[no-any-return]

    # Who is handed over: each keeps its own truth

    def test_popen_handed_over_keeps_its_returncode(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                with subprocess.Popen(SCRIPT, stdin=-1) as popen:  # noqa: ASYNC220 - it is what is handed over
                    self.watcher_of(stage).add_child(popen, hearing, "more")
                    same(await self.told(hearing, popen), (popen.pid, CODE, "more"))
                    same(await self.settled(popen.poll), CODE)
                    same(popen.wait(), CODE)

            stage.run(play())

    def test_popen_handed_over_that_somebody_waits_for(self) -> None:
        """Whoever of the two is first: both know the code."""
        self.skip_if_it_reaps_everybody()  # then Popen.wait(), which has already asked the kernel, is told of no child
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                with subprocess.Popen(SCRIPT, stdin=-1) as popen:  # noqa: ASYNC220 - as above
                    self.watcher_of(stage).add_child(popen, hearing)
                    with stage.thread(popen.wait) as result:
                        same(await self.told(hearing, popen), (popen.pid, CODE))
                    same(result, [CODE])

            stage.run(play())

    def test_popen_that_was_waited_for(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                with subprocess.Popen(["/bin/sh", "-c", f"exit {CODE}"]) as popen:  # noqa: ASYNC220 - as above
                    popen.wait()
                    self.watcher_of(stage).add_child(popen, hearing)
                    same(await hearing.only(), (popen.pid, CODE))

            stage.run(play())

    def test_process_of_multiprocessing_keeps_its_exitcode(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, process = Hearing(), multiprocessing.get_context("fork").Process(target=os._exit, args=(CODE,))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a runner's own thread is enough for it
                    process.start()
                with stage.watcher:
                    self.watcher_of(stage).add_child(process, hearing)
                same(await hearing.only(), (process.pid, CODE))
                same(await self.settled(lambda: process.exitcode), CODE)
                process.join()
                process.close()

            stage.run(play())

    def test_process_of_asyncio_stays_its_own(self) -> None:
        self.skip_if_it_reaps_everybody()
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                process = await asyncio.create_subprocess_exec(*SCRIPT, stdin=subprocess.PIPE)
                self.watcher_of(stage).add_child(process, hearing)
                await process.communicate(b"\n")
                same(await hearing.only(), (process.pid, CODE))
                same(await process.wait(), CODE)

            stage.run(play())

    def test_process_of_loopwright(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                async with await spawn(SCRIPT, stdin=subprocess.PIPE) as process:
                    self.watcher_of(stage).add_child(process, hearing)
                    assert process.pid in self.watcher_of(stage).children
                    await process.communicate(b"\n")
                    same((await process.wait()).returncode, CODE)
                    same(await hearing.only(), (process.pid, CODE))

            stage.run(play())

    def test_what_is_no_process_is_refused(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                watcher: Any = stage.watcher
                for wrong, error in ((None, TypeError), ("1", TypeError), (True, TypeError), (0, ValueError)):
                    try:
                        watcher.add_child(wrong, Hearing())
                    except error:
                        continue
                    raise AssertionError(f"{wrong!r} was taken for a process")
                hearing, pid = await stage.watched()
                try:
                    watcher.add_child(pid, "no callback")
                except TypeError:
                    pass
                else:
                    raise AssertionError("a string was taken for a callback")
                stage.go()
                same(await hearing.only(), (pid, 0))

            stage.run(play())

    async def told(self, hearing: Hearing, popen: subprocess.Popen[bytes]) -> tuple[Any, ...]:
        """Let the child go on and end, and give what was told of it."""
        assert popen.stdin is not None
        popen.stdin.write(b"\n")
        popen.stdin.flush()
        return await hearing.only()

    async def settled(self, ask: Any) -> Any:
        """What a process object says once it says something: it may be told a moment after the callback."""
        for _ in range(3000):
            if (answer := ask()) is not None:
                return answer
            await asyncio.sleep(QUIET / 3)
        return None

    # Handlers

    def test_coroutine_function_as_a_handler(self) -> None:
        with self.stage() as stage:
            met: list[dict[str, Any]] = []
            hearing, error = Hearing(), ValueError("on purpose")

            async def handle(pid: int, code: int) -> None:
                await asyncio.sleep(0)
                hearing(pid, code)
                if code:
                    raise error

            async def play() -> None:
                stage.loop.set_exception_handler(lambda *given: met.append(given[-1]))
                pids = [stage.start(f"exit {code}", held=True) for code in (0, CODE)]
                for pid in pids:
                    stage.watcher.add_child_handler(pid, handle)
                stage.go()
                await hearing.heard(2)
                await asyncio.sleep(QUIET)
                same(sorted(hearing.calls), sorted(zip(pids, (0, CODE), strict=True)))
                same(set(hearing.threads), {threading.get_ident()})
                same([details["exception"] for details in met], [error])

            stage.run(play())

    # Waiting

    def test_children_are_those_that_are_watched(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                watcher = self.watcher_of(stage)
                same(watcher.children, ())
                hearing, first = await stage.watched()
                second = stage.start("exit 0", held=True)
                watcher.attach_process(second)
                same(sorted(watcher.children), sorted((first, second)))
                assert watcher.remove_child_handler(first) is True
                same(watcher.children, (second,))
                stage.ended(first, second)
                await watcher.wait()
                same(watcher.children, ())
                await hearing.nothing()
                stage.check_left(first, 0)

            stage.run(play())

    def test_attaching_a_process_keeps_the_callback_that_is_there(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched(f"exit {CODE}")
                self.watcher_of(stage).attach_process(pid)
                stage.go()
                same(await hearing.only(), (pid, CODE))

            stage.run(play())

    def test_watching_gives_the_status(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                watcher = self.watcher_of(stage)
                for script, code, number in ((f"exit {CODE}", CODE, None), ("kill -KILL $$", None, signal.SIGKILL)):
                    status = await watcher.watch(stage.start(script))
                    assert isinstance(status, ExitStatus)
                    same((status.code, status.signal), (code, number))

            stage.run(play())

    def test_watched_by_many_and_by_a_handler(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched(f"exit {CODE}")
                watches = [asyncio.ensure_future(self.watcher_of(stage).watch(pid)) for _ in range(4)]
                await asyncio.sleep(0)
                watches.pop().cancel()
                await asyncio.sleep(0)
                stage.go()
                statuses = await asyncio.gather(*watches)
                same([status.returncode for status in statuses], [CODE] * 3)
                same(await hearing.only(), (pid, CODE))

            stage.run(play())

    def test_watching_a_status_that_is_lost_says_so_and_invents_nothing(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                pid = stage.start(f"exit {CODE}")
                stage.steal(pid)
                status = await self.watcher_of(stage).watch(pid)
                assert isinstance(status, StatusLost), f"nobody can know how it ended, and yet: {status!r}"
                assert status.reason

            stage.run(play())

    def test_watch_that_is_cancelled_leaves_the_child_alone(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                pid = stage.start(f"exit {CODE}", held=True)
                watch = asyncio.ensure_future(self.watcher_of(stage).watch(pid))
                await asyncio.sleep(0)
                watch.cancel()
                await asyncio.wait([watch])
                assert watch.cancelled()
                same(self.watcher_of(stage).children, ())
                stage.ended(pid)
                await asyncio.sleep(QUIET)
                stage.check_left(pid, CODE)

            stage.run(play())

    def test_closing_ends_a_watch_with_an_error(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                pid = stage.start("exit 0", held=True)
                watch = asyncio.ensure_future(self.watcher_of(stage).watch(pid))
                await asyncio.sleep(0)
                stage.watcher.close()
                await asyncio.wait([watch])
                assert isinstance(watch.exception(), RuntimeError), f"it said {watch!r}"
                stage.end(pid)

            stage.run(play())

    def test_waiting_for_all(self) -> None:
        with self.stage() as stage:

            async def wait(awaitable: Awaitable[object], order: list[str]) -> None:
                await awaitable
                order.append("all")

            async def play() -> None:
                order: list[str] = []
                watcher = self.watcher_of(stage)
                await watcher.wait()  # for nobody: at once
                await watcher
                late = Hearing(lambda *_: order.append("late"))

                def start_another(*_: object) -> None:
                    order.append("first")
                    stage.watcher.add_child_handler(stage.start("exit 0"), late)

                with stage.watcher:
                    await stage.watched(then=start_another)
                    waits = [asyncio.ensure_future(wait(each, order)) for each in (watcher.wait(), watcher.wait())]
                    called: asyncio.Future[object] = asyncio.get_running_loop().create_future()
                    watcher.add_done_callback(called.set_result)
                    watcher.add_done_callback(print)
                    same(watcher.remove_done_callback(print), 1)
                    stage.go()
                    await asyncio.gather(*waits)
                same(order, ["first", "late", "all", "all"])
                assert await called is watcher

            stage.run(play())

    def test_waiting_goes_on_when_the_only_callback_is_replaced(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                (first, pid), second = await stage.watched(f"exit {CODE}"), Hearing()
                waiting = asyncio.ensure_future(self.watcher_of(stage).wait())
                await asyncio.sleep(0)
                stage.watcher.add_child_handler(pid, second)
                await first.nothing()
                assert not waiting.done(), "it ended while the child was alive and watched"
                stage.go()
                await waiting
                same((first.calls, second.calls), ([], [(pid, CODE)]))

            stage.run(play())

    def test_done_callback_is_refused_where_there_is_no_loop(self) -> None:
        with self.stage() as stage:
            stage.watcher.attach_loop(None)
            refused(self.watcher_of(stage).add_done_callback, print)

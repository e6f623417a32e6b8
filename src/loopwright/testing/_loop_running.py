# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: running, stopping, closing, and what a process may do to a loop as a whole."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import QUIET, LoopTests, Recorder, eventually, raises, slow

if TYPE_CHECKING:
    pass

__all__ = ["LoopRunning"]


#: Not written where it is compared: type checkers take what follows for dead on the Python they check for.
PYTHON_3_12: tuple[int, ...] = (3, 12)


class LoopRunning(LoopTests):
    """What is stopped can be run again, with nothing lost; what is closed stays closed, with nothing left."""

    # Running and stopping

    def test_running_is_known(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                assert asyncio.get_running_loop() is stage.loop
                assert asyncio.get_event_loop() is stage.loop
                assert stage.loop.is_running()
                raises(RuntimeError, stage.loop.close)
                assert stage.loop.is_running()

            assert not stage.loop.is_running()
            stage.run(main())
            assert not stage.loop.is_running()
            raises(RuntimeError, asyncio.get_running_loop)

    def test_running_a_loop_within_itself_is_refused_and_changes_nothing(self) -> None:
        """More than asyncio of 3.13, which then takes itself for stopped."""
        with self.stage() as stage:

            async def main() -> None:
                raises(RuntimeError, stage.loop.run_forever)
                assert stage.loop.is_running()
                assert asyncio.get_running_loop() is stage.loop
                raises(RuntimeError, stage.loop.run_until_complete, stage.loop.create_future())
                assert stage.loop.is_running()

            stage.run(main())

    def test_another_loop_cannot_be_run_within(self) -> None:
        with self.stage() as stage:
            other = stage.new_loop()

            async def main() -> None:
                raises(RuntimeError, other.run_forever)

            stage.run(main())

    def test_run_until_complete_gives_and_raises_what_the_future_does(self) -> None:
        with self.stage() as stage:

            async def failing() -> None:
                raise LookupError("on purpose")

            async def cancelled() -> None:
                raise asyncio.CancelledError

            assert stage.loop.run_until_complete(asyncio.sleep(0, "result")) == "result"
            raises(LookupError, stage.loop.run_until_complete, failing())
            raises(asyncio.CancelledError, stage.loop.run_until_complete, cancelled())
            stage.loop.call_soon(stage.loop.stop)
            error = raises(RuntimeError, stage.loop.run_until_complete, stage.loop.create_future())
            assert "Event loop stopped before Future completed" in str(error)

    def test_stop_before_running_makes_one_pass(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            stage.loop.call_soon(lambda: (seen.append("first"), stage.loop.call_soon(seen.append, "second")))
            stage.loop.stop()
            stage.loop.run_forever()
            assert seen == ["first"]
            stage.run(asyncio.sleep(0))
            assert seen == ["first", "second"]

    def test_stop_from_another_thread(self) -> None:
        with self.stage() as stage:
            timer = threading.Timer(0.01, stage.loop.call_soon_threadsafe, (stage.loop.stop,))
            timer.start()
            stage.loop.run_forever()
            timer.join()

    def test_running_again_loses_nothing_that_was_ready(self) -> None:
        with self.stage() as stage:
            pairs = [stage.pair("unix") for _ in range(50)]
            seen: list[int] = []

            def ready(number: int) -> None:
                seen.append(pairs[number][0].recv(1)[0])
                if len(seen) % 7 == 1:
                    stage.loop.stop()

            for number, (mine, peer) in enumerate(pairs):
                stage.loop.add_reader(mine, ready, number)
                peer.sock.send(bytes([number]))
            timers: list[int] = []
            for number in range(5):
                stage.loop.call_later(0, timers.append, number)
            late = stage.loop.call_later(5, stage.loop.stop)
            for _ in range(100):
                stage.loop.run_forever()
                if len(seen) == 50:
                    break
            late.cancel()
            assert sorted(seen) == list(range(50))
            assert timers == list(range(5))
            for mine, _ in pairs:
                stage.loop.remove_reader(mine)

    def test_transports_live_on_between_two_runs(self) -> None:
        with self.stage() as stage:
            recorder = Recorder()
            transport, peer = stage.run(stage.connected(recorder))
            for number in range(3):
                peer.sock.send(b"between %d" % number)
                stage.loop.call_soon(stage.loop.stop)
                stage.loop.run_forever()
            stage.run(recorder.until_data(27))
            transport.write(b"not running")
            assert stage.run(peer.read(11)) == b"not running"

    # Generators, executors, factories

    def test_asynchronous_generators_are_shut_down(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            async def generator(name: str) -> Any:
                try:
                    yield 1
                    yield 2
                finally:
                    await asyncio.sleep(0)
                    seen.append(name)

            async def main() -> None:
                kept = [generator("a"), generator("b")]
                for each in kept:
                    await anext(each)
                dropped = generator("dropped")
                await anext(dropped)
                del dropped
                gc.collect()
                await eventually(lambda: seen == ["dropped"])
                await stage.loop.shutdown_asyncgens()
                assert sorted(seen) == ["a", "b", "dropped"]
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    late = generator("late")
                    await anext(late)
                    await late.aclose()
                assert any(issubclass(each.category, ResourceWarning) for each in warned)

            stage.run(main())

    def test_the_default_executor_is_shut_down(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                assert await stage.loop.run_in_executor(None, lambda: threading.current_thread().name) != "MainThread"
                await stage.loop.shutdown_default_executor()
                raises(RuntimeError, stage.loop.run_in_executor, None, print)

            stage.run(main())

    @slow
    def test_shutting_down_the_default_executor_has_a_timeout(self) -> None:
        if sys.version_info < PYTHON_3_12:
            return
        with self.stage() as stage:

            async def main() -> None:
                go = threading.Event()
                waiting = stage.loop.run_in_executor(None, go.wait)
                threading.Timer(1, go.set).start()
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    shutdown: Any = stage.loop.shutdown_default_executor
                    await shutdown(timeout=0.05)
                assert any(issubclass(each.category, RuntimeWarning) for each in warned), warned
                await waiting

            stage.run(main())

    def test_a_task_factory_makes_the_tasks(self) -> None:
        with self.stage() as stage:
            made: list[Any] = []

            def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
                made.append((loop, coroutine))
                return asyncio.Task(coroutine, loop=loop, **options)

            async def main() -> None:
                assert stage.loop.get_task_factory() is None
                stage.loop.set_task_factory(factory)
                assert stage.loop.get_task_factory() is factory
                coroutine = asyncio.sleep(0, "done")
                task = asyncio.create_task(coroutine, name="named")
                assert made == [(stage.loop, coroutine)]
                assert task.get_name() == "named"
                assert await task == "done"
                stage.loop.set_task_factory(None)
                raises(TypeError, stage.loop.set_task_factory, 1)

            stage.run(main())

    def test_eager_tasks(self) -> None:
        if sys.version_info < PYTHON_3_12:
            return
        with self.stage() as stage:
            seen: list[str] = []

            async def step(name: str) -> str:
                seen.append(f"{name} began")
                assert asyncio.current_task() is not None
                await asyncio.sleep(0)
                return name

            async def at_once() -> str:
                return "at once"

            async def main() -> None:
                stage.loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - 3.12+
                task = stage.loop.create_task(step("one"), name="T")
                assert seen == ["one began"]
                assert task.get_name() == "T"
                assert not task.done()
                assert await task == "one"
                done = asyncio.create_task(at_once())
                assert done.done()
                assert done.result() == "at once"
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(step(str(number))) for number in range(10)]
                assert [task.result() for task in tasks] == [str(number) for number in range(10)]

            stage.run(main())

    # Clocks

    def test_time_is_monotonic(self) -> None:
        with self.stage() as stage:
            for _ in range(3):
                mine, now = stage.loop.time(), time.monotonic()
                assert abs(now - mine) < 1, "other clock than time.monotonic()"

    def test_a_jump_of_the_loops_own_clock_brings_what_is_due(self) -> None:
        """A machine that slept, or a test's fake clock: `time()` may be overridden, and is what counts."""
        with self.stage() as stage:
            ahead = 0.0
            original = stage.loop.time
            try:
                stage.loop.time = lambda: original() + ahead  # as fake clocks do
            except (AttributeError, TypeError):
                return  # a class that cannot be changed makes no such promise
            seen: list[str] = []
            stage.loop.call_later(3600, seen.append, "an hour")
            stage.loop.call_later(7200, seen.append, "two hours")
            stage.run(asyncio.sleep(0))
            assert seen == []
            ahead = 3601.0
            stage.run(asyncio.sleep(0.001))
            assert seen == ["an hour"]
            ahead = -10.0  # backwards: later, and no harm
            stage.run(asyncio.sleep(0))
            assert seen == ["an hour"]
            del stage.loop.time
            time.sleep(QUIET)

# mypy: disable-error-code="func-returns-value,no-untyped-call"
"""The contract of event loops: callbacks, timers, their handles, and calls from other threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
import time
import weakref
from typing import Any

from loopwright.testing._loop_stage import LIMIT, WOKEN, LoopTests, slow

__all__ = ["LoopCalls"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def _in_context(value: str) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(variable.set, value)
    return context


class LoopCalls(LoopTests):
    """Callbacks come in order, once, in their context; timers are never early; what is cancelled does not come."""

    # call_soon

    def test_callbacks_come_in_order_with_their_arguments(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []
            for number in range(100):
                stage.loop.call_soon(lambda *args: seen.append(args), number, "a", None)
            stage.run(asyncio.sleep(0))
            assert seen == [(number, "a", None) for number in range(100)]

    def test_a_callback_added_by_a_callback_waits_for_the_next_pass(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            stage.loop.call_soon(lambda: (seen.append("first"), stage.loop.call_soon(seen.append, "third")))
            stage.loop.call_soon(seen.append, "second")
            stage.loop.call_soon(stage.loop.stop)
            stage.loop.run_forever()
            assert seen == ["first", "second"]
            stage.run(asyncio.sleep(0))
            assert seen == ["first", "second", "third"]

    def test_a_handle_is_what_asyncio_says(self) -> None:
        with self.stage() as stage:
            handle = stage.loop.call_soon(print)
            assert isinstance(handle, asyncio.Handle)
            assert not handle.cancelled()
            assert "print" in repr(handle)
            handle.cancel()
            handle.cancel()
            assert handle.cancelled()
            assert "cancelled" in repr(handle)
            timer = stage.loop.call_later(1000, print)
            assert isinstance(timer, asyncio.TimerHandle)
            assert 999 < timer.when() - stage.loop.time() <= 1000
            timer.cancel()
            assert "cancelled" in repr(timer)

    def test_timers_compare_by_their_time(self) -> None:
        with self.stage() as stage:
            now = stage.loop.time()
            early, late = stage.loop.call_at(now + 100, print), stage.loop.call_at(now + 200, print)
            same: Any = stage.loop.call_at(now + 100, print)
            assert early < late
            assert late > early
            assert early <= same
            assert early >= same
            assert early != late
            assert early == same
            assert hash(early) == hash(same)
            for timer in (early, late, same):
                timer.cancel()

    def test_a_callback_cancelled_by_the_one_before_it_does_not_come(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            handles: list[asyncio.Handle] = []
            stage.loop.call_soon(lambda: handles[0].cancel())
            handles.append(stage.loop.call_soon(seen.append, "cancelled"))
            stage.loop.call_soon(seen.append, "kept")
            stage.run(asyncio.sleep(0))
            assert seen == ["kept"]

    def test_cancelling_a_handle_in_every_other_state_changes_nothing(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            handles: list[asyncio.Handle] = []

            def running() -> None:
                seen.append("ran")
                handles[0].cancel()  # while it runs

            handles.append(stage.loop.call_soon(running))
            timer = stage.loop.call_later(0, seen.append, "timer")
            stage.run(asyncio.sleep(0.005))
            timer.cancel()  # after it ran
            handles[0].cancel()
            stage.run(asyncio.sleep(0))
            assert seen == ["ran", "timer"]

    def test_a_cancelled_handle_lets_go_of_what_it_held(self) -> None:
        class Thing:
            pass

        with self.stage() as stage:
            for schedule in (
                stage.loop.call_soon,
                lambda callback, arg: stage.loop.call_later(1000, callback, arg),
                stage.loop.call_soon_threadsafe,
            ):
                thing = Thing()
                gone = weakref.ref(thing)
                handle = schedule(id, thing)
                del thing
                handle.cancel()
                gc.collect()
                assert gone() is None, f"{handle!r} keeps the argument of a call that will never be"

    def test_what_is_not_callable_is_refused_in_debug_mode(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)

            async def coroutine() -> None:
                """Nothing."""

            thing: Any
            for thing in ("text", coroutine):
                for schedule in (
                    stage.loop.call_soon,
                    stage.loop.call_soon_threadsafe,
                    lambda callback: stage.loop.call_later(1, callback),
                    lambda callback: stage.loop.call_at(1, callback),
                    lambda callback: stage.loop.run_in_executor(None, callback),
                ):
                    try:
                        schedule(thing)
                    except TypeError:
                        continue
                    raise AssertionError(f"{schedule!r} took {thing!r}")

    # Contexts

    def test_callbacks_run_in_a_copy_of_the_context_they_were_made_in(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            def look() -> None:
                seen.append(variable.get())
                variable.set("changed by a callback")

            def schedule() -> None:
                stage.loop.call_soon(look)
                stage.loop.call_later(0, look)
                stage.loop.call_soon_threadsafe(look)

            _in_context("a").run(schedule)
            variable_before = variable.get()
            stage.run(asyncio.sleep(0.005))
            assert seen == ["a", "a", "a"]
            assert variable.get() == variable_before

    def test_a_context_that_is_given_is_used_itself(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            context = _in_context("given")

            def look() -> None:
                seen.append(variable.get())
                variable.set("seen by the next")

            stage.loop.call_soon(look, context=context)
            stage.loop.call_soon_threadsafe(look, context=context)
            stage.loop.call_later(0.001, look, context=context)
            stage.loop.call_at(stage.loop.time() + 0.002, look, context=context)
            stage.run(asyncio.sleep(0.02))
            assert seen == ["given", *["seen by the next"] * 3]
            assert variable.get() == "unset"

    def test_a_task_keeps_its_context(self) -> None:
        with self.stage() as stage:

            async def step() -> str:
                before = variable.get()
                variable.set("by the task")
                await asyncio.sleep(0)
                await asyncio.sleep(0.001)
                return before + ", " + variable.get()

            async def main() -> None:
                context = _in_context("given")
                assert await stage.loop.create_task(step(), context=context) == "given, by the task"
                assert context[variable] == "by the task"
                assert await stage.loop.create_task(step()) == "unset, by the task"
                assert variable.get() == "unset"

            stage.run(main())

    # Other threads

    def test_a_call_from_another_thread_wakes_a_sleeping_loop(self) -> None:
        with self.stage() as stage:

            async def main() -> float:
                called = stage.loop.create_future()

                def call() -> None:
                    time.sleep(0.01)
                    stage.loop.call_soon_threadsafe(called.set_result, time.monotonic())

                thread = threading.Thread(target=call)
                thread.start()
                sent: float = await called
                took = time.monotonic() - sent
                thread.join()
                return took

            assert stage.run(main()) < WOKEN

    def test_calls_from_many_threads_all_come_in_the_order_of_each(self) -> None:
        with self.stage() as stage:
            self._from_many_threads(stage, threads=4, calls=500)

    @slow
    def test_a_million_calls_from_many_threads(self) -> None:
        with self.stage() as stage:
            self._from_many_threads(stage, threads=10, calls=100_000)

    def _from_many_threads(self, stage: Any, threads: int, calls: int) -> None:
        seen: dict[int, list[int]] = {thread: [] for thread in range(threads)}
        wrong: list[int] = []
        mine = threading.get_ident()

        def came(thread: int, number: int) -> None:
            seen[thread].append(number)
            if threading.get_ident() != mine:
                wrong.append(number)

        def call(thread: int) -> None:
            for number in range(calls):
                stage.loop.call_soon_threadsafe(came, thread, number)

        async def main() -> None:
            others = [asyncio.to_thread(call, thread) for thread in range(threads)]
            await asyncio.gather(*others)
            await asyncio.sleep(0.001)
            await stage.loop.shutdown_default_executor()

        stage.run(main(), within=60)
        assert not wrong
        assert all(numbers == list(range(calls)) for numbers in seen.values())

    def test_other_threads_get_their_turn_while_callbacks_never_stop(self) -> None:
        with self.stage() as stage:
            stopped: list[bool] = []

            def again() -> None:
                if not stopped:
                    stage.loop.call_soon(again)

            def call() -> None:
                stage.loop.call_soon_threadsafe(stopped.append, True)

            stage.loop.call_soon(again)
            late = stage.loop.call_later(LIMIT, stopped.append, False)
            thread = threading.Thread(target=call)
            thread.start()

            async def main() -> None:
                while not stopped:
                    await asyncio.sleep(0)

            stage.run(main())
            late.cancel()
            thread.join()
            assert stopped == [True]

    def test_a_call_from_a_signal_handler_wakes_a_sleeping_loop(self) -> None:
        """Python runs its handlers between two instructions of its own: a signal must bring the loop back to them."""
        with self.stage() as stage:

            async def main() -> None:
                called = asyncio.Event()
                before = signal.signal(signal.SIGUSR1, lambda *_: stage.loop.call_soon_threadsafe(called.set))
                sender = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
                sender.start()
                try:
                    await called.wait()
                finally:
                    sender.join()
                    signal.signal(signal.SIGUSR1, before)

            stage.loop.add_signal_handler(signal.SIGUSR2, print)  # asyncio arranges for it then
            stage.run(main())
            stage.loop.remove_signal_handler(signal.SIGUSR2)

    # What is left

    def test_a_loop_that_ran_keeps_nothing_of_what_it_called(self) -> None:
        class Thing:
            def method(self) -> None:
                """Nothing."""

        with self.stage() as stage:
            thing = Thing()
            gone = weakref.ref(thing)
            stage.loop.call_soon(thing.method)
            stage.loop.call_later(0.001, thing.method)
            stage.loop.call_soon_threadsafe(thing.method)
            before = sys.getrefcount(thing)
            stage.run(asyncio.sleep(0.005))
            assert before > sys.getrefcount(thing)
            del thing
            assert gone() is None, "kept alive after its calls"

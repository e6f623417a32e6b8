# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: signals."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import time
from typing import Any

from loopwright.testing._loop_stage import WOKEN, LoopTests, eventually, slow

__all__ = ["LoopSignals"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class LoopSignals(LoopTests):
    """A signal calls its handler on the loop, and is not lost."""

    # Signals

    def test_a_signal_calls_its_handler_on_the_loop(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []

            async def main() -> None:
                stage.loop.add_signal_handler(signal.SIGUSR1, lambda *args: seen.append(args), 1, "a")
                os.kill(os.getpid(), signal.SIGUSR1)
                await eventually(lambda: seen)
                assert seen == [(1, "a")]
                assert stage.loop.remove_signal_handler(signal.SIGUSR1) is True
                assert stage.loop.remove_signal_handler(signal.SIGUSR1) is False
                assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

            stage.run(main())

    def test_a_signal_wakes_a_sleeping_loop(self) -> None:
        with self.stage() as stage:

            async def main() -> float:
                called = stage.loop.create_future()
                stage.loop.add_signal_handler(signal.SIGUSR1, lambda: called.set_result(time.monotonic()))
                sender = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
                start = time.monotonic()
                sender.start()
                came: float = await called
                sender.join()
                stage.loop.remove_signal_handler(signal.SIGUSR1)
                return came - start

            assert stage.run(main()) < WOKEN

    def test_a_second_handler_replaces_the_first(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            async def main() -> None:
                stage.loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")
                stage.loop.add_signal_handler(signal.SIGUSR1, seen.append, "second")
                os.kill(os.getpid(), signal.SIGUSR1)
                await eventually(lambda: seen)
                assert seen == ["second"]

            stage.run(main())

    def test_a_signal_handler_keeps_its_context(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            async def main() -> None:
                context = contextvars.copy_context()
                context.run(variable.set, "the handler's")
                context.run(stage.loop.add_signal_handler, signal.SIGUSR1, lambda: seen.append(variable.get()))
                for count in (1, 2):
                    os.kill(os.getpid(), signal.SIGUSR1)
                    await eventually(lambda count=count: len(seen) == count)  # type: ignore[misc]
                assert seen == ["the handler's"] * 2

            stage.run(main())

    def test_signals_in_bursts(self) -> None:
        with self.stage() as stage:
            self._bursts(stage, 2000)

    @slow
    def test_a_hundred_thousand_signals(self) -> None:
        with self.stage() as stage:
            self._bursts(stage, 100_000)

    def _bursts(self, stage: Any, count: int) -> None:
        """Each kind is told of at least once after its last; nothing else is lost, and the loop goes on."""
        seen = {signal.SIGUSR1: 0, signal.SIGUSR2: 0, signal.SIGWINCH: 0}
        ticks: list[int] = []

        def came(number: signal.Signals) -> None:
            seen[number] += 1

        async def main() -> None:
            for number in seen:
                stage.loop.add_signal_handler(number, came, number)
            mine, peer = stage.pair("unix")
            stage.loop.add_reader(mine, lambda: ticks.append(len(mine.recv(100))))
            kinds = list(seen)
            for index in range(count):
                os.kill(os.getpid(), kinds[index % 3])
                if index % 100 == 0:
                    peer.sock.send(b"x")
                    await asyncio.sleep(0)
            await eventually(lambda: all(seen.values()) and sum(ticks) == -(-count // 100))
            before = dict(seen)
            for number in kinds:
                os.kill(os.getpid(), number)
            await eventually(lambda: all(seen[number] > before[number] for number in kinds))
            stage.loop.remove_reader(mine)

        stage.run(main(), within=60)

    def test_signals_that_cannot_be_handled_are_refused(self) -> None:
        async def coroutine() -> None:
            """Nothing."""

        with self.stage() as stage:
            wrong: Any
            for wrong, kinds in (
                ("text", TypeError),
                (0, ValueError),
                (1000, ValueError),
                (signal.SIGKILL, (RuntimeError, ValueError)),
            ):
                try:
                    stage.loop.add_signal_handler(wrong, print)
                except kinds:
                    continue
                raise AssertionError(f"took the signal {wrong!r}")
            wrong = coroutine
            try:
                stage.loop.add_signal_handler(signal.SIGUSR1, wrong)
            except TypeError:
                return
            raise AssertionError("took a coroutine for a handler")

    def test_closing_gives_signals_back(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                stage.loop.add_signal_handler(signal.SIGUSR1, print)
                stage.loop.add_signal_handler(signal.SIGINT, print)

            stage.run(main())
            stage.loop.close()
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert signal.set_wakeup_fd(-1) == -1, "a wake-up descriptor was left"

    def test_a_signal_handler_that_fails_is_reported(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                stage.loop.add_signal_handler(signal.SIGUSR1, lambda: [][0])
                os.kill(os.getpid(), signal.SIGUSR1)
                await eventually(lambda: stage.contexts)

            stage.run(main())
            context = stage.the_report()
            assert isinstance(context["exception"], IndexError)

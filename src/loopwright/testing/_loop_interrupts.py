# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: Ctrl-C, and other exceptions that no loop keeps to itself."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

from loopwright.testing._leaks import LeakCheck
from loopwright.testing._loop_stage import LoopTests, Recorder, raises

__all__ = ["LoopInterrupts"]


class LoopInterrupts(LoopTests):
    """They come out of the loop at once, and it can be run again."""

    def test_an_interrupt_in_a_callback_leaves_a_loop_that_can_be_run_again(self) -> None:
        for kind in (KeyboardInterrupt, SystemExit):
            with self.stage() as stage:
                seen: list[str] = []

                def interrupt(kind: type[BaseException] = kind) -> None:
                    raise kind

                stage.loop.call_soon(seen.append, "before")
                stage.loop.call_soon(interrupt)
                stage.loop.call_soon(seen.append, "after")
                raises(kind, stage.loop.run_forever)
                assert not stage.loop.is_running()
                assert seen == ["before"]
                stage.run(asyncio.sleep(0))
                assert seen == ["before", "after"]

    def test_an_interrupt_in_a_task_comes_out_of_the_loop(self) -> None:
        with self.stage() as stage:

            async def interrupted() -> None:
                await asyncio.sleep(0)
                raise KeyboardInterrupt

            raises(KeyboardInterrupt, stage.loop.run_until_complete, interrupted())
            stage.run(asyncio.sleep(0))

    def test_an_interrupt_in_a_protocol_comes_out_of_the_loop(self) -> None:
        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        with self.stage() as stage:
            recorder = Recorder(data_received=interrupt)
            _, peer = stage.run(stage.connected(recorder))
            peer.sock.send(b"x")
            raises(KeyboardInterrupt, stage.run, recorder.until("connection_lost"))
            assert stage.run(asyncio.sleep(0, "runs again")) == "runs again"

    def test_ctrl_c_while_the_loop_sleeps(self) -> None:
        with self.stage() as stage:
            stage.loop.call_soon(_interrupt_soon)
            start = time.monotonic()
            raises(KeyboardInterrupt, stage.loop.run_until_complete, asyncio.sleep(10))
            assert time.monotonic() - start < 5
            stage.run(asyncio.sleep(0))

    def test_ctrl_c_while_callbacks_never_stop(self) -> None:
        with self.stage() as stage:

            def again() -> None:
                stage.loop.call_soon(again)

            stage.loop.call_soon(again)
            stage.loop.call_soon(_interrupt_soon)
            raises(KeyboardInterrupt, stage.run, asyncio.sleep(10))

    def test_a_runner_cancels_its_task_at_ctrl_c(self) -> None:
        seen: list[str] = []

        async def main() -> None:
            _interrupt_soon()
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                seen.append("cancelled")
                await asyncio.sleep(0.001)
                seen.append("tidied up")
                raise

        def run() -> None:
            with asyncio.Runner(loop_factory=self.make_loop) as runner:
                runner.run(main())

        self.make_loop().close()
        with LeakCheck():
            raises(KeyboardInterrupt, run)
            assert seen == ["cancelled", "tidied up"]
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupt_soon() -> None:
    """Ctrl-C, heard by the main thread: asyncio's loop sleeps on if the kernel gives the signal to another.

    To be called in the loop: called before it, on a busy machine, the signal may come before the loop runs.
    """
    threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()

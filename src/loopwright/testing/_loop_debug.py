# mypy: disable-error-code="no-untyped-call"
"""The contract of event loops: what they say of what went wrong, and what they watch for in debug mode."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from loopwright.testing._loop_stage import LoopTests, Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LoopDebug"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def _slow_callback() -> None:
    time.sleep(0.03)


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """The text of all that is logged by asyncio's logger from WARNING on while the block lasts."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]  # a sink
    logger = logging.getLogger("asyncio")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


class LoopDebug(LoopTests):
    """Nothing that goes wrong is kept quiet, and nothing of it ends the loop."""

    # The exception handler

    def test_what_a_callback_raises_goes_to_the_handler(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []

            def failing() -> None:
                raise LookupError("on purpose")

            for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe):
                handle = schedule(failing)
                schedule(seen.append, "the next")
                stage.run(asyncio.sleep(0))
                context = stage.the_report()
                assert isinstance(context["exception"], LookupError)
                assert "failing" in context["message"], context
                assert context["handle"] is handle
                assert seen.pop() == "the next"
            handle = stage.loop.call_later(0.001, failing)
            stage.run(asyncio.sleep(0.005))
            context = stage.the_report()
            assert context["handle"] is handle

    def test_the_exception_is_the_current_one_in_its_handler(self) -> None:
        """Which may log it by logging.exception(), or ask sys.exc_info()."""
        with self.stage() as stage:
            seen: list[tuple[Any, Any]] = []
            stage.loop.set_exception_handler(lambda _, report: seen.append((report["exception"], sys.exception())))

            def failing(*_: Any) -> None:
                raise LookupError

            def failing_reader(sock: Any) -> None:
                stage.loop.remove_reader(sock)
                raise LookupError

            async def main() -> None:
                for schedule in (stage.loop.call_soon, stage.loop.call_soon_threadsafe):
                    schedule(failing)
                stage.loop.call_later(0, failing)
                mine, peer = stage.pair("unix")
                await peer.write(b".")
                stage.loop.add_reader(mine, failing_reader, mine)
                recorder = Recorder(data_received=failing, connection_lost=failing)
                _, other = await stage.connected(recorder)
                await other.write(b".")
                await eventually(lambda: len(seen) == 6)
                assert sys.exception() is None

            stage.run(main())
            assert [exception for exception, _ in seen] == [current for _, current in seen]
            assert {type(exception) for exception, _ in seen} == {LookupError}

    def test_the_handler_can_be_had_replaced_and_removed(self) -> None:
        with self.stage() as stage:
            seen: list[Any] = []

            def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
                seen.append((loop, context))

            assert stage.loop.get_exception_handler() is not None
            stage.loop.set_exception_handler(handler)
            assert stage.loop.get_exception_handler() is handler
            context = {"message": "told by hand"}
            stage.loop.call_exception_handler(context)
            assert seen == [(stage.loop, context)]
            stage.loop.set_exception_handler(None)
            assert stage.loop.get_exception_handler() is None
            with _logged() as logged:
                stage.loop.call_exception_handler({"message": "to the log", "further": 1})
            (text,) = logged
            assert "to the log" in text
            assert "further: 1" in text
            wrong: Any = "text"
            try:
                stage.loop.set_exception_handler(wrong)
            except TypeError:
                return
            raise AssertionError("took a handler that cannot be called")

    def test_a_handler_that_fails_is_logged_and_ends_nothing(self) -> None:
        with self.stage() as stage:

            def handler(*_: Any) -> None:
                raise ZeroDivisionError("in the handler")

            stage.loop.set_exception_handler(handler)
            with _logged() as logged:
                stage.loop.call_soon(lambda: [][0])
                assert stage.run(asyncio.sleep(0.001, "goes on")) == "goes on"
            assert any("Unhandled error in exception handler" in text for text in logged), logged

    def test_the_handler_runs_in_the_context_of_the_callback(self) -> None:
        with self.stage() as stage:
            seen: list[str] = []
            context = contextvars.copy_context()
            context.run(variable.set, "the callback's")
            stage.loop.set_exception_handler(lambda *_: seen.append(variable.get()))
            stage.loop.call_soon(lambda: [][0], context=context)
            stage.run(asyncio.sleep(0))
            assert seen in (["the callback's"], ["unset"])  # the first from 3.12 on

    def test_an_exception_that_nobody_asked_for_is_reported(self) -> None:
        with self.stage() as stage:

            async def failing() -> None:
                raise LookupError("on purpose")

            async def main() -> None:
                task = asyncio.ensure_future(failing())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                del task
                gc.collect()

            stage.run(main())
            context = stage.the_report()
            assert "never retrieved" in context["message"]
            assert isinstance(context["exception"], LookupError)

    # Debug mode

    def test_debug_mode_can_be_asked_and_set(self) -> None:
        with self.stage() as stage:
            for value in (True, False):
                stage.loop.set_debug(value)
                assert stage.loop.get_debug() is value
                assert f"debug={value}" in repr(stage.loop)

    def test_slow_callbacks_are_named(self) -> None:
        with self.stage() as stage:
            loop: Any = stage.loop
            loop.set_debug(True)
            loop.slow_callback_duration = 0.02

            async def slow_step() -> None:
                _slow_callback()

            with _logged() as logged:
                loop.call_soon(_slow_callback)
                stage.run(slow_step())
            assert any("_slow_callback" in text and "took" in text for text in logged), logged
            assert any("slow_step" in text for text in logged), logged
            with _logged() as logged:
                loop.call_later(0, _slow_callback)
                stage.run(asyncio.sleep(0.005))
            assert any("_slow_callback" in text for text in logged), logged
            loop.set_debug(False)
            with _logged() as logged:
                loop.call_soon(_slow_callback)
                stage.run(asyncio.sleep(0))
            assert logged == []

    def test_calls_from_a_wrong_thread_are_refused(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)
            refused: list[str] = []

            def call() -> None:
                for name, schedule in (
                    ("call_soon", lambda: stage.loop.call_soon(print)),
                    ("call_later", lambda: stage.loop.call_later(1, print)),
                    ("call_at", lambda: stage.loop.call_at(1, print)),
                ):
                    try:
                        schedule()
                    except RuntimeError:
                        refused.append(name)

            async def main() -> None:
                thread = threading.Thread(target=call)
                thread.start()
                while thread.is_alive():
                    await asyncio.sleep(0.001)
                thread.join()

            stage.run(main())
            assert refused == ["call_soon", "call_later", "call_at"]

    def test_switched_on_while_it_runs(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                stage.loop.set_debug(True)
                await asyncio.sleep(0)
                assert sys.get_coroutine_origin_tracking_depth() > 0
                stage.loop.set_debug(False)
                await asyncio.sleep(0)
                assert sys.get_coroutine_origin_tracking_depth() == 0

            stage.run(main())

    def test_a_coroutine_never_awaited_is_told_where_it_was_made(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)

            async def forgotten() -> None:
                """Nothing."""

            async def main() -> None:
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    forgotten()  # type: ignore[unused-coroutine]  # that is the point
                    gc.collect()
                text = "\n".join(str(each.message) for each in warned)
                assert "never awaited" in text
                assert "Coroutine created at" in text

            stage.run(main())

    def test_handles_say_where_they_were_made(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)
            handle = stage.loop.call_soon(print)
            timer = stage.loop.call_later(100, print)
            assert "created at" in repr(handle), repr(handle)
            assert "created at" in repr(timer), repr(timer)
            handle.cancel()
            assert "print" in repr(handle), repr(handle)  # kept for that in debug mode
            timer.cancel()

    def test_the_handler_is_told_where_the_callback_was_made(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)
            stage.loop.call_soon(lambda: [][0])
            stage.run(asyncio.sleep(0))
            context = stage.the_report()
            assert context["source_traceback"]

    def test_sockets_that_block_are_refused(self) -> None:
        with self.stage() as stage:
            stage.loop.set_debug(True)
            mine, _ = stage.pair("tcp")
            mine.setblocking(True)

            async def main() -> None:
                for call in (
                    lambda: stage.loop.sock_recv(mine, 1),
                    lambda: stage.loop.sock_recv_into(mine, bytearray(1)),
                    lambda: stage.loop.sock_recvfrom(mine, 1),
                    lambda: stage.loop.sock_recvfrom_into(mine, bytearray(1)),
                    lambda: stage.loop.sock_sendall(mine, b"x"),
                    lambda: stage.loop.sock_sendto(mine, b"x", ("127.0.0.1", 9)),
                    lambda: stage.loop.sock_accept(mine),
                    lambda: stage.loop.sock_connect(mine, ("127.0.0.1", 9)),
                ):
                    try:
                        await call()
                    except ValueError as error:
                        assert "non-blocking" in str(error)
                    else:
                        raise AssertionError("used a socket that blocks")

            stage.run(main())

"""In which order the native loop runs things: asyncio's, which is asked for it here."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import factory_of, make_loop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    factory_of("native")  # skips where it cannot run
    loops = [make_loop("asyncio"), make_loop("native")]
    yield loops
    for loop in loops:
        loop.close()


def order(loop: Any, debug: bool) -> list[str]:
    """Of what is queued, of a descriptor that is ready, of a timer that is due, and of what each of them queues."""
    loop.set_debug(debug)
    seen: list[str] = []
    reading, writing = os.pipe()
    os.write(writing, b".")

    def note(name: str) -> None:
        seen.append(name)
        loop.call_soon(seen.append, f"queued by {name}")
        loop.call_later(0, seen.append, f"timed by {name}")

    def read() -> None:
        os.read(reading, 1)
        note("reader")

    def stop() -> None:
        note("stop")
        loop.stop()

    def stop_then() -> None:
        """When all that is to come has come, however long the machine takes for it."""
        loop.call_soon(stop) if len(seen) == 12 else loop.call_later(0.01, stop_then)

    loop.add_reader(reading, read)
    loop.call_later(0, note, "timer")
    loop.call_later(0.1, stop_then)
    loop.call_soon(note, "first")
    loop.call_soon(note, "second")
    time.sleep(0.001)  # the timer is due, whatever a loop's clock resolves
    loop.run_forever()
    seen.append("---")
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.remove_reader(reading)
    os.close(reading)
    os.close(writing)
    return seen


@pytest.mark.parametrize("debug", [False, True])
def test_what_is_queued_by_something_comes_after_all_that_was_ready_with_it(loops: Any, debug: bool) -> None:
    of_asyncio, native = (order(loop, debug) for loop in loops)
    assert native == of_asyncio
    assert native[:4] == ["first", "second", "reader", "timer"]


def test_a_reader_is_called_once_for_what_is_there_once(loops: Any) -> None:
    """Also while callbacks take so long that the loop looks at descriptors between any two of them."""

    def calls(loop: Any) -> int:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        count = 0

        def read() -> None:
            nonlocal count
            count += 1
            os.read(reading, 1)  # raises where nothing is, which the exception handler would tell of

        def busy(left: int) -> None:
            time.sleep(0.0002)
            if left % 5 == 0:
                os.write(writing, b".")
            loop.call_soon(*((busy, left - 1) if left else (loop.stop,)))

        failures: list[Any] = []
        loop.set_exception_handler(lambda _, context: failures.append(context))
        loop.add_reader(reading, read)
        loop.call_soon(busy, 50)
        loop.run_forever()
        loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)
        assert failures == []
        return count

    assert [calls(loop) for loop in loops] == [11, 11]


def test_what_a_readers_callback_sets_up_is_for_the_next_event(loops: Any) -> None:
    """The writer that was there is cancelled with its removal, though the same look found it ready."""

    def told(loop: Any) -> list[str]:
        import socket

        seen: list[str] = []
        ours, theirs = socket.socketpair()
        theirs.send(b".")

        def read() -> None:
            ours.recv(1)
            seen.append("reader")
            loop.add_writer(ours, write, "second writer")

        def write(name: str) -> None:
            seen.append(name)
            loop.remove_writer(ours)
            loop.stop()

        loop.add_reader(ours, read)
        loop.add_writer(ours, write, "first writer")
        loop.run_forever()
        loop.remove_reader(ours)
        ours.close()
        theirs.close()
        return seen

    of_asyncio, native = (told(loop) for loop in loops)
    assert native == of_asyncio

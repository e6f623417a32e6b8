"""The fake clock: exact where time is all there is, and honest where it is not."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import ClockStuckError
from loopwright.testing import FakeClockEventLoop, run_with_fake_clock


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_year_takes_no_time() -> None:
    async def main() -> float:
        for _ in range(365):
            await asyncio.sleep(86_400)
        return now()

    began = time.monotonic()
    assert run_with_fake_clock(main()) == pytest.approx(365 * 86_400.0, abs=1e-5)
    assert time.monotonic() - began < 5.0


def test_one_long_sleep_is_exact_though_asyncio_waits_a_day_at_most() -> None:
    async def main() -> float:
        await asyncio.sleep(10 * 86_400.0 + 0.5)
        return now()

    assert run_with_fake_clock(main(), start=1000.0) == 1000.0 + 10 * 86_400.0 + 0.5


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20), st.floats(0.0, 1e12))
def test_timers_fire_in_their_order_and_none_before_its_time(delays: list[float], start: float) -> None:
    fired: list[tuple[float, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in delays:
            when = start + delay
            loop.call_at(when, lambda when=when: fired.append((when, loop.time())))
        await asyncio.sleep(2e6)

    run_with_fake_clock(main(), start=start)
    assert [when for when, _ in fired] == sorted(start + delay for delay in delays)
    # asyncio lets a timer fire up to the resolution of the system's clock, a nanosecond, early; floats are coarser.
    assert all(abs(at - when) <= max(1e-9, 4 * math.ulp(when)) for when, at in fired)


def test_time_stands_still_while_anything_is_left_to_run() -> None:
    async def main() -> list[float]:
        timer = asyncio.create_task(asyncio.sleep(1.0))
        seen = []
        for _ in range(1000):
            await asyncio.sleep(0)
            seen.append(now())
        await timer
        return [*seen, now()]

    assert run_with_fake_clock(main()) == [0.0] * 1000 + [1.0]


def test_a_timeout_is_exact() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await asyncio.Event().wait()
        return now()

    assert run_with_fake_clock(main()) == 30.0


def test_what_is_ready_is_served_before_the_clock_moves() -> None:
    async def main() -> tuple[bytes, float]:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.send(b"hello")
        async with asyncio.timeout(0.001):
            data = await reader.read(5)
        theirs.close()
        writer.close()
        await writer.wait_closed()
        return data, now()

    assert run_with_fake_clock(main()) == (b"hello", 0.0)


def test_what_gets_ready_later_is_waited_for_in_real_time_if_there_is_no_timer() -> None:
    async def main() -> float:
        reader, writer = os.pipe()
        ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(reader, ready.set_result, None)
        thread = threading.Timer(0.02, os.write, (writer, b"x"))
        thread.start()
        await ready
        asyncio.get_running_loop().remove_reader(reader)
        thread.join()
        os.close(reader)
        os.close(writer)
        return now()

    assert run_with_fake_clock(main()) == 0.0


def test_a_call_from_another_thread_is_waited_for_if_there_is_no_timer() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        called = loop.create_future()
        thread = threading.Timer(0.02, loop.call_soon_threadsafe, (called.set_result, None))
        thread.start()
        await called
        thread.join()
        return now()

    assert run_with_fake_clock(main()) == 0.0


def test_the_clock_stands_while_a_thread_works() -> None:
    async def main() -> tuple[str, float]:
        async with asyncio.timeout(0.001):
            result = await asyncio.to_thread(lambda: time.sleep(0.02) or "done")
        before = now()
        await asyncio.sleep(5.0)
        return result, now() - before

    assert run_with_fake_clock(main()) == ("done", 5.0)


def test_the_clock_goes_on_after_a_threads_failure() -> None:
    async def main() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        loop = asyncio.get_running_loop()
        gone = ThreadPoolExecutor()
        gone.shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(gone, str)  # refused, so nothing is under way
        await asyncio.sleep(5.0)
        return now()

    assert run_with_fake_clock(main(), patience=0.0) == 5.0


def test_a_name_is_looked_up_in_real_time() -> None:
    async def main() -> float:
        async with asyncio.timeout(0.001):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        return now()

    assert run_with_fake_clock(main()) == 0.0


def test_a_deadlock_is_an_error_that_names_who_waits() -> None:
    async def waits_for_godot() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.sleep(3.0)
        await waits_for_godot()

    with pytest.raises(ClockStuckError) as caught:
        run_with_fake_clock(main(), patience=0.02)
    message = str(caught.value)
    assert "nothing has happened for 0.02 real seconds at fake time 3," in message
    assert "coro=<test_a_deadlock_is_an_error_that_names_who_waits.<locals>.main() running at" in message


def test_patience_is_a_number_of_seconds() -> None:
    with pytest.raises(ValueError, match=r"^patience must be a number of seconds, 0 or more, not nan$"):
        FakeClockEventLoop(patience=float("nan"))


def test_two_loops_have_two_clocks() -> None:
    first, second = FakeClockEventLoop(), FakeClockEventLoop(start=5.0)
    try:
        first.run_until_complete(asyncio.sleep(10.0))
        assert (first.time(), second.time()) == (10.0, 5.0)
    finally:
        first.close()
        second.close()


def test_main_may_raise() -> None:
    async def main() -> None:
        await asyncio.sleep(1.0)
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        run_with_fake_clock(main())

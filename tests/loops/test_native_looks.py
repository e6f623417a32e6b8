"""How soon the native loop sees to what has become ready while callbacks keep coming (docs/design/native.md)."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import factory_of, make_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds: a callback that takes long, as far as the loop goes.
LONG = 0.001


@pytest.fixture
def loop() -> Iterator[Any]:
    factory_of("native")  # skips where it cannot run
    loop = make_loop("native")
    yield loop
    loop.close()


def rounds_until(loop: Any, begin: Callable[[Callable[[], None]], None]) -> list[int]:
    """Within a chain of long callbacks, `begin` what will call back: in which round after that it did."""
    took: list[int] = []
    rounds = 0
    waits = False

    def came() -> None:
        nonlocal waits
        took.append(rounds)
        waits = False

    def link() -> None:
        nonlocal rounds, waits
        rounds += 1
        ends = time.perf_counter() + LONG
        while time.perf_counter() < ends:
            pass
        if not waits and len(took) < 20:
            waits = True
            rounds = 0
            begin(came)
        if len(took) < 20:
            loop.call_soon(link)
        else:
            loop.stop()

    loop.call_soon(link)
    loop.run_forever()
    return took[2:]  # that callbacks are long shows when some have been


def test_a_byte_waits_for_one_round_of_long_callbacks(loop: Any) -> None:
    one, other = socket.socketpair()
    with one, other:

        def begin(came: Callable[[], None]) -> None:
            def read() -> None:
                one.recv(1)
                came()

            loop.add_reader(one, read)
            other.send(b".")

        assert max(rounds_until(loop, begin)) == 1
        loop.remove_reader(one)


@pytest.mark.parametrize("among_others", [False, True])
def test_a_timer_waits_for_one_round_of_long_callbacks(loop: Any, among_others: bool) -> None:
    other = loop.call_later(1000, print) if among_others else None
    assert max(rounds_until(loop, lambda came: loop.call_later(LONG / 10, came))) <= 2
    if other is not None:
        other.cancel()

"""Making a native loop: what it takes of the machine, what it does not take of its caller."""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import threading
from typing import Any

import pytest

from loopwright.loops import NativeEventLoop
from tests.conftest import factory_of


@pytest.fixture(autouse=True)
def _where_it_runs() -> None:
    factory_of("native")  # skips where it cannot run


@pytest.mark.parametrize(
    ("given", "named", "shown"),
    [
        ((None,), {}, r"\(None was given\)"),
        ((), {"selector": 3}, r"\(selector=3 was given\)"),
        ((1,), {"debug": True}, r"\(1, debug=True was given\)"),
    ],
)
def test_arguments_are_refused_with_the_loop_that_takes_them(
    given: tuple[Any, ...], named: dict[str, Any], shown: str
) -> None:
    make: Any = NativeEventLoop
    with pytest.raises(TypeError, match=rf"takes no arguments, .*{shown}.* asyncio\.SelectorEventLoop\(selector\)"):
        make(*given, **named)


def test_a_subclass_takes_what_it_likes() -> None:
    class Mine(NativeEventLoop):
        def __init__(self, name: str, *, selector: Any = None) -> None:
            super().__init__()
            self.name, self.given = name, selector

    selector = selectors.DefaultSelector()
    loop = Mine("a", selector=selector)
    try:
        assert (loop.name, loop.given) == ("a", selector)
    finally:
        loop.close()
        selector.close()


def open_descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}  # and that of the list, each time


def test_how_many_descriptors_it_takes() -> None:
    """What docs/reference/loops.md and the class say."""
    before = len(open_descriptors())
    loop = NativeEventLoop()
    made = len(open_descriptors()) - before
    loop.run_until_complete(asyncio.sleep(0))
    run = len(open_descriptors()) - before

    async def child() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()

    loop.run_until_complete(child())
    with_child = len(open_descriptors()) - before
    loop.close()
    assert (made, run, with_child, len(open_descriptors()) - before) == (2, 4, 6, 0)


def test_elsewhere_than_in_the_main_thread_it_takes_two() -> None:
    counts = []

    def main() -> None:
        before = len(open_descriptors())
        loop = NativeEventLoop()
        loop.run_until_complete(asyncio.sleep(0))
        counts.append(len(open_descriptors()) - before)
        loop.close()
        counts.append(len(open_descriptors()) - before)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert counts == [2, 0]

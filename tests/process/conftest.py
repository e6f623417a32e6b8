"""What tests of child processes need: every loop to run them on, and looks at what the kernel knows."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests._native.ice import ice

__all__ = ["ice"]

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine on a new loop, of each kind, with a time limit that says where it hung."""

    def run_it(main: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            await use_a_pipe()
            async with asyncio.timeout(30):
                return await main

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(limited())

    return run_it


async def use_a_pipe() -> None:
    """libuv opens /dev/null with the first stream of a loop and keeps it until the loop is closed (uv__stream_init)."""
    reading, writing = os.pipe()
    os.close(writing)
    ended = asyncio.Event()

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            ended.set()

    await asyncio.get_running_loop().connect_read_pipe(Protocol, os.fdopen(reading, "rb", buffering=0))
    await ended.wait()


@pytest.fixture
def descriptors() -> Callable[[], set[tuple[int, str]]]:
    """Lists the descriptors that this process has open, with what they are.

    Without those that a loop and the library have for all children at once: the set that tells of them lives a moment
    longer than they do, and the numbers that are reserved stay. What is left of those at the end is a leak by itself.
    """

    def look() -> set[tuple[int, str]]:
        found = set()
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                continue  # the one that did the listing
            if not any(kind in target for kind in ("[eventpoll]", "[eventfd]", "loopwright-slot")):
                found.add((int(name), target))
        return found

    return look


@pytest.fixture
def soon() -> Callable[..., None]:
    """Waits until a condition holds, looking again and again; fails if it does not come to hold."""

    def until(condition: Callable[[], object], what: str = "", seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:g} s: {what or condition}")
            time.sleep(0.005)

    return until


@pytest.fixture
def runs() -> Callable[[int], bool]:
    """Whether a process exists and is no zombie."""

    def look(pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
        except (FileNotFoundError, ProcessLookupError):
            return False

    return look

"""What every test gets: loops to run on, and a check that it left nothing behind."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import LeakCheck
from loopwright.watchers import _plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def make_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new loop of the kind that tests call `name`, whatever policy is set."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    loop: asyncio.AbstractEventLoop = importlib.import_module(name).new_event_loop()
    return loop


def has_loop(name: str) -> bool:
    return name == "asyncio" or importlib.util.find_spec(name) is not None


LOOPS = ("asyncio", "uvloop", "rloop")


@pytest.fixture(params=LOOPS)
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes new loops; the test runs once for every kind of loop at hand."""
    name: str = request.param
    if not has_loop(name):
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed: on CI every loop must be tested")
        pytest.skip(f"{name} is not installed")
    return lambda: make_loop(name)


@pytest.fixture(scope="session", autouse=True)
def whole_process_things_are_open() -> None:
    """Opens what libraries open once and keep: libuv, with its first loop, a pipe for its signals; libffi, as some
    systems build it, its own file, when ctypes makes its first call."""
    ctypes.CDLL(None).getpid()
    _plain._usage_asker()

    async def use_everything() -> None:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        await asyncio.to_thread(str)

    for name in filter(has_loop, LOOPS):
        with asyncio.Runner(loop_factory=lambda name=name: make_loop(name)) as runner:
            runner.run(use_everything())


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Fails a test that leaves a descriptor, thread, task, loop or child process behind, and names it."""
    with LeakCheck():
        yield

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pytest

from loopwright.loops import _asyncio_private as private
from loopwright.policies import DefaultEventLoopPolicy, ThreadLoop
from tests.conftest import UVLOOP, factory_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from loopwright.policies import EventLoopPolicy

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> T:
    """What the function gives in a thread of its own, called elsewhere_0."""
    with ThreadPoolExecutor(1, thread_name_prefix="elsewhere") as pool:
        return pool.submit(function).result(20)


@pytest.fixture(autouse=True)
def no_policy() -> Iterator[None]:
    """Each test begins in a process where nobody has set a policy, and whatever was there comes back."""
    before = private.installed_policy()
    private.install_policy(None)
    yield
    private.install_policy(before)


@pytest.fixture
def policy() -> Iterator[EventLoopPolicy]:
    policy = DefaultEventLoopPolicy()
    yield policy
    policy.close()


@pytest.fixture(params=["asyncio", "selector", "native", UVLOOP])
def loop_name(request: pytest.FixtureRequest) -> str:
    """The loops at hand, by the names under which policies know them."""
    name: str = request.param
    if name != "selector":
        factory_of(name)  # skips, or fails on CI, where there is none
    return name


@pytest.fixture
def script() -> Callable[..., str]:
    """Runs a program in a Python of its own, with warnings as errors, and returns what it printed."""

    def run_script(source: str, *arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    return run_script


@pytest.fixture
def thread_loop(watched_loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[ThreadLoop]:
    """A loop in a thread of its own, of every kind at hand."""
    loop = ThreadLoop(watched_loop_factory)
    try:
        yield loop
    finally:
        loop.close()

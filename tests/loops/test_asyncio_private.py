from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.loops import _asyncio_private as private
from loopwright.policies import AbstractEventLoopPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_policy() -> Iterator[None]:
    before = private.installed_policy()
    private.install_policy(None)
    yield
    private.install_policy(before)


def asyncio_policy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.get_event_loop_policy()


@pytest.mark.parametrize("package", ["loopwright", "loopwright.loops", "loopwright.policies"])
def test_importing_warns_of_nothing(package: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {package}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_registry_is_asyncios() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert private.installed_policy() is None
        policy = AbstractEventLoopPolicy()
        private.install_policy(policy)
    assert asyncio_policy() is policy
    assert private.installed_policy() is policy
    assert private.installed_policy_or(AbstractEventLoopPolicy) is policy


def test_asyncios_own_default_is_seen_once_asyncio_has_made_it() -> None:
    default = asyncio_policy()
    assert private.installed_policy() is default


def test_threads_that_ask_at_once_get_one_policy() -> None:
    count = 8
    together = threading.Barrier(count)

    def make() -> private.PolicyBase:
        together.wait(timeout=10)  # every thread has seen that there is none, and makes one
        return AbstractEventLoopPolicy()

    with ThreadPoolExecutor(count) as pool:
        policies = list(pool.map(lambda _: private.installed_policy_or(make), range(count)))
    assert set(policies) == {asyncio_policy()}


def test_running_loop() -> None:
    async def ask() -> bool:
        return private.running_loop() is asyncio.get_running_loop()

    assert private.running_loop() is None
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(ask())
    assert private.running_loop() is None

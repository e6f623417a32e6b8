from __future__ import annotations

import asyncio
import threading
import warnings
from typing import Any

import pytest

from loopwright.errors import NoLoopError
from loopwright.loops import _asyncio_private as private
from loopwright.policies import DefaultEventLoopPolicy, EventLoopPolicy, installed

now: Any = asyncio  # what it has depends on whether we are installed


@pytest.mark.parametrize("make", ["ours", "asyncio's", "uvloop's", "loop by name"])
def test_by_the_rules_of_3_11_the_main_thread_gets_a_loop_made(make: str) -> None:
    with installed(rules="3.11"), warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = policy_of(make)
        now.set_event_loop_policy(policy)
        loop = asyncio.get_event_loop()
        assert asyncio.get_event_loop() is loop is policy.get_event_loop()
        loop.close()
        asyncio.set_event_loop(None)
        with pytest.raises(RuntimeError, match="no current event loop"):
            asyncio.get_event_loop()


@pytest.mark.parametrize("make", ["ours", "asyncio's", "uvloop's"])
def test_by_the_rules_of_3_11_another_thread_gets_none(make: str) -> None:
    refused: list[str] = []

    def ask() -> None:
        with pytest.raises(RuntimeError) as raised:
            asyncio.get_event_loop()
        refused.append(str(raised.value))

    with installed(policy_of(make), rules="3.11"):
        thread = threading.Thread(target=ask, name="other")
        thread.start()
        thread.join()
    assert "no current event loop in thread 'other'" in refused[0]


@pytest.mark.parametrize("make", ["ours", "asyncio's"])
def test_by_the_rules_of_3_12_it_is_made_with_a_warning(make: str) -> None:
    with installed(policy_of(make), rules="3.12"):
        with pytest.warns(DeprecationWarning, match="There is no current event loop") as warned:
            loop = asyncio.get_event_loop()
        assert warned[0].filename == __file__
        loop.close()
        asyncio.set_event_loop(None)


@pytest.mark.parametrize("make", ["ours", "asyncio's", "uvloop's"])
def test_by_the_rules_of_3_14_it_is_refused(make: str) -> None:
    with installed(policy_of(make), rules="3.14"), pytest.raises(RuntimeError, match="no current event loop"):
        asyncio.get_event_loop()


def test_the_rules_are_gone_with_uninstall() -> None:
    policy = DefaultEventLoopPolicy()
    with installed(policy, rules="3.14"), pytest.raises(NoLoopError):
        asyncio.get_event_loop()
    with installed(policy, rules="3.11"):
        policy.get_event_loop().close()
        policy.close()
    if private.PYTHON_RULES == "3.14":
        with pytest.raises(NoLoopError):
            policy.get_event_loop()


def test_a_running_loop_is_what_a_coroutine_gets() -> None:
    async def main() -> bool:
        return asyncio.get_event_loop() is asyncio.get_running_loop()

    with installed(rules="3.11"):
        assert asyncio.run(main())


def policy_of(make: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if make == "asyncio's":
            return asyncio.unix_events._UnixDefaultEventLoopPolicy()
        if make == "uvloop's":
            return pytest.importorskip("uvloop").EventLoopPolicy()
    return DefaultEventLoopPolicy() if make == "ours" else EventLoopPolicy(loop="selector")

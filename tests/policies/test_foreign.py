"""Policies that others wrote, and what they lack."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NotALoopError
from loopwright.loops._asyncio_private import PolicyBase
from loopwright.policies import (
    AbstractEventLoopPolicy,
    EventLoopPolicy,
    Runner,
    get_child_watcher,
    new_event_loop,
    run,
    set_child_watcher,
    set_event_loop,
    set_event_loop_policy,
)
from loopwright.watchers import SafeChildWatcher, process_watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OneLoop:
    """A policy for one thread, which knows nothing of watchers."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    def get_event_loop(self) -> Any:
        return self.loop

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()


class OfAsyncio(OneLoop, PolicyBase):
    pass


class OfOurs(OneLoop, AbstractEventLoopPolicy):
    pass


def derived() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since 3.14, for every touch

        class Derived(asyncio.DefaultEventLoopPolicy):  # type: ignore[misc, valid-type, name-defined, unused-ignore]
            pass

        return Derived()


@pytest.fixture
def watcher() -> Iterator[SafeChildWatcher]:
    watcher = SafeChildWatcher()
    yield watcher
    set_child_watcher(None)
    set_event_loop_policy(None)
    watcher.close()


async def subprocess() -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    return await process.wait()


@pytest.mark.parametrize("make", [OfAsyncio, OfOurs, derived])
def test_its_loops_are_attached_to_the_watcher_that_was_set(
    make: Callable[[], PolicyBase], watcher: SafeChildWatcher
) -> None:
    set_event_loop_policy(make())
    set_child_watcher(watcher)
    assert run(subprocess()) == 3
    with Runner() as runner:
        assert runner.run(subprocess()) == 3
    loop = new_event_loop()
    set_event_loop(loop)
    assert loop.run_until_complete(subprocess()) == 3
    set_event_loop(None)
    assert not watcher.is_active()
    loop.close()


@pytest.mark.parametrize("make", [OfAsyncio, OfOurs])
def test_what_says_nothing_of_watchers_has_the_processs(make: Callable[[], PolicyBase]) -> None:
    set_event_loop_policy(make())
    assert get_child_watcher() is process_watcher()
    assert run(subprocess()) == 3


class GivesNothing(EventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        super().new_event_loop().close()
        return None  # type: ignore[return-value] # a `return` that was forgotten


@pytest.mark.parametrize("use", [lambda: run(asyncio.sleep(0)), lambda: Runner().get_loop()])
@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_one_that_makes_no_loop_is_told_of_by_its_name(use: Callable[[], object]) -> None:
    set_event_loop_policy(GivesNothing())
    with pytest.raises(NotALoopError, match=r"new_event_loop\(\) of the policy <.*GivesNothing .*> gave None"):
        use()

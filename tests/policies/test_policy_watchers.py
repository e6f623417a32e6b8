from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import watchers
from loopwright.errors import (
    NotAWatcherError,
)
from loopwright.policies import EventLoopPolicy
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable


class Watcher(watchers.PidfdChildWatcher):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.attached: list[asyncio.AbstractEventLoop | None] = []
        self.watched: list[int] = []
        self.closed = 0

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.attached.append(loop)
        super().attach_loop(loop)

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        self.watched.append(pid)
        super().add_child_handler(pid, callback, *args)

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_the_watcher_is_the_processs_unless_given(policy: EventLoopPolicy) -> None:
    assert policy.get_child_watcher() is watchers.process_watcher()
    watcher = Watcher()
    assert EventLoopPolicy(child_watcher=watcher).get_child_watcher() is watcher
    policy.set_child_watcher(watcher)
    assert policy.get_child_watcher() is watcher
    policy.set_child_watcher(None)
    assert policy.get_child_watcher() is watchers.process_watcher()
    assert watchers.process_watcher().is_active()


def test_a_replaced_watcher_is_closed_once(policy: EventLoopPolicy) -> None:
    first, second = Watcher(), Watcher()
    policy.set_child_watcher(first)
    policy.set_child_watcher(first)
    assert first.closed == 0
    policy.set_child_watcher(second)
    assert (first.closed, second.closed) == (1, 0)
    policy.close()
    assert second.closed == 0


@pytest.mark.parametrize("wrong", [3, "pidfd", watchers.PidfdChildWatcher, object()])
def test_what_is_no_watcher_is_refused(policy: EventLoopPolicy, wrong: Any) -> None:
    watcher = Watcher()
    policy.set_child_watcher(watcher)
    with pytest.raises(TypeError, match="child watcher") as caught:
        policy.set_child_watcher(wrong)
    assert isinstance(caught.value, NotAWatcherError)
    assert policy.get_child_watcher() is watcher
    assert watcher.closed == 0
    with pytest.raises(NotAWatcherError):
        EventLoopPolicy(child_watcher=wrong)


def test_what_a_watcher_lacks_is_named(policy: EventLoopPolicy) -> None:
    class Half:
        def add_child_handler(self) -> None: ...
        def close(self) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    with pytest.raises(NotAWatcherError, match="it has no remove_child_handler, attach_loop, is_active "):
        policy.set_child_watcher(Half())  # type: ignore[arg-type] # that is the mistake


def test_the_main_threads_loop_is_attached_to_a_given_watcher(policy: EventLoopPolicy) -> None:
    watcher = Watcher()
    policy.set_child_watcher(watcher)
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    in_thread(lambda: policy.set_event_loop(loop))
    policy.set_event_loop(None)
    assert watcher.attached == [loop, None]


async def exit_codes() -> list[int | None]:
    """Of one child that ends by itself, and of one that is killed."""
    leaving = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    staying = await asyncio.create_subprocess_exec("sleep", "60")
    staying.kill()
    return [await leaving.wait(), await staying.wait()]


def test_asyncios_subprocesses_work(loop_name: str) -> None:
    from loopwright.policies import run, set_event_loop_policy

    set_event_loop_policy(EventLoopPolicy(loop=loop_name))
    assert run(exit_codes()) == [7, -9]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio has no watchers")
def test_asyncios_own_watchers_are_accepted() -> None:
    from loopwright.policies import run, set_event_loop_policy

    watcher = asyncio.ThreadedChildWatcher()
    set_event_loop_policy(EventLoopPolicy(child_watcher=watcher))
    assert run(exit_codes()) == [7, -9]
    watcher.close()

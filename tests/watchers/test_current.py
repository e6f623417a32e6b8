"""The watcher of the process, and that of the current policy, on every Python."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import loopwright
from loopwright.errors import NotAWatcherError
from loopwright.policies import DefaultEventLoopPolicy, get_event_loop_policy, set_event_loop_policy
from loopwright.watchers import (
    AbstractChildWatcher,
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
    add_child_handler,
    get_child_watcher,
    process_watcher,
    remove_child_handler,
    set_child_watcher,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class PolicyWithout(loopwright.AbstractEventLoopPolicy):
    """As uvloop's, and asyncio's own since 3.14."""

    new_event_loop = staticmethod(asyncio.SelectorEventLoop)  # type: ignore[assignment]

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Nothing."""


@pytest.fixture(params=[DefaultEventLoopPolicy, PolicyWithout])
def policy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The current policy, while the test lasts: one that knows of watchers, and one that does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = get_event_loop_policy()
    set_event_loop_policy(request.param())
    yield get_event_loop_policy()
    set_child_watcher(None)
    set_event_loop_policy(before)


def start(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ)


@pytest.mark.usefixtures("policy")
def test_the_processs_own_by_default() -> None:
    assert get_child_watcher() is process_watcher()
    assert get_child_watcher() is get_child_watcher()
    assert isinstance(get_child_watcher(), AbstractChildWatcher)
    assert get_child_watcher().is_active()


@pytest.mark.usefixtures("policy")
def test_one_that_was_set_and_closes_the_one_before() -> None:
    first, second = ThreadedChildWatcher(), ThreadedChildWatcher()
    set_child_watcher(first)
    assert get_child_watcher() is first
    set_child_watcher(first)
    assert first.is_active()
    set_child_watcher(second)
    assert get_child_watcher() is second
    assert not first.is_active()
    set_child_watcher(None)
    assert not second.is_active()
    assert get_child_watcher() is process_watcher()
    assert process_watcher().is_active(), "the process's own is nobody's to close"


@pytest.mark.usefixtures("policy")
def test_of_the_policy_that_is_current() -> None:
    watcher = ThreadedChildWatcher()
    set_child_watcher(watcher)
    policy = get_event_loop_policy()
    set_event_loop_policy(DefaultEventLoopPolicy())
    assert get_child_watcher() is process_watcher()
    set_event_loop_policy(policy)
    assert get_child_watcher() is watcher


@pytest.mark.usefixtures("policy")
def test_what_is_no_watcher_changes_nothing() -> None:
    watcher = ThreadedChildWatcher()
    set_child_watcher(watcher)
    with pytest.raises(NotAWatcherError, match="PidfdChildWatcher is a class: call it first"):
        set_child_watcher(loopwright.PidfdChildWatcher)
    assert get_child_watcher() is watcher
    assert watcher.is_active()


@pytest.mark.usefixtures("policy")
def test_handlers_by_the_current_watcher() -> None:
    async def play() -> None:
        told = asyncio.get_running_loop().create_future()

        def tell(*args: object) -> None:
            told.set_result(args)

        popen = subprocess.Popen(["sh", "-c", "read _; exit 3"], stdin=-1)  # noqa: ASYNC220 - handed over
        assert popen.stdin is not None
        add_child_handler(popen, tell, "more")
        assert get_child_watcher().children == (popen.pid,)
        assert remove_child_handler(popen) is True
        assert remove_child_handler(popen.pid) is False
        add_child_handler(popen, tell, "more")
        popen.stdin.close()
        assert await told == (popen.pid, 3, "more")
        await get_child_watcher()
        assert popen.returncode == 3

    watcher = ThreadedChildWatcher()
    set_child_watcher(watcher)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(play())


@pytest.mark.usefixtures("policy")
def test_watcher_of_another_make_is_given_the_pid() -> None:
    class Foreign:
        def __init__(self) -> None:
            self.given: list[object] = []

        def add_child_handler(self, *args: object) -> None:
            self.given.append(args)

        def remove_child_handler(self, pid: int) -> bool:
            return pid == self.given[0][0]  # type: ignore[index]

        def attach_loop(self, loop: object) -> None: ...
        def close(self) -> None: ...
        def is_active(self) -> bool:
            return True

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    foreign = Foreign()
    set_child_watcher(foreign)
    with subprocess.Popen(["true"]) as popen:
        add_child_handler(popen, print, 1)
        assert foreign.given == [(popen.pid, print, 1)]
        assert remove_child_handler(popen) is True


def test_process_watcher_that_was_closed_is_made_anew() -> None:
    first = process_watcher()
    first.close()
    second = process_watcher()
    assert second is not first
    assert second.is_active()
    assert process_watcher() is second


def test_asyncios_policy_is_asked_without_a_warning() -> None:
    """On 3.12 and 3.13 its own methods warn; since 3.14 it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = get_event_loop_policy()
        made = asyncio.DefaultEventLoopPolicy()
    set_event_loop_policy(made)
    try:
        watcher = ThreadedChildWatcher()
        if not hasattr(made, "set_child_watcher"):
            set_child_watcher(watcher)
            assert get_child_watcher() is watcher
            set_child_watcher(None)
            assert not watcher.is_active()
        assert get_child_watcher().is_active()
        watcher.close()
    finally:
        set_event_loop_policy(before)


KINDS = (
    PidfdChildWatcher,
    ThreadedChildWatcher,
    PollingChildWatcher,
    MultiLoopChildWatcher,
    SafeChildWatcher,
    FastChildWatcher,
)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio's subprocesses ask no policy any more")
@pytest.mark.parametrize("kind", KINDS)
def test_asyncios_subprocesses_are_watched_by_it(kind: type[PidfdChildWatcher]) -> None:
    given: list[int] = []

    class Counting(kind):  # type: ignore[valid-type, misc]
        def add_child_handler(self, pid: int, *args: Any) -> None:
            given.append(pid)
            super().add_child_handler(pid, *args)

    async def play() -> None:
        for code in range(5):
            process = await asyncio.create_subprocess_exec("sh", "-c", f"echo {code}; exit {code}", stdout=-1)
            output, _ = await process.communicate()
            assert (int(output), process.returncode) == (code, code)
            assert given[-1] == process.pid

    policy = DefaultEventLoopPolicy()
    policy.set_child_watcher(Counting())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = get_event_loop_policy()
    set_event_loop_policy(policy)
    try:
        loopwright.run(asyncio.wait_for(play(), 20))
    finally:
        policy.set_child_watcher(None)
        set_event_loop_policy(before)
    assert len(given) == 5

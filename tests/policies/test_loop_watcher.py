"""A loop's own `set_child_watcher()`, and who is asked where there is none."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import NotAWatcherError
from loopwright.policies import (
    AbstractEventLoopPolicy,
    EventLoopPolicy,
    new_event_loop,
    run,
    set_child_watcher,
    set_event_loop_policy,
)
from loopwright.watchers import PidfdChildWatcher, process_watcher
from tests.policies.conftest import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watcher(PidfdChildWatcher):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.told.append(loop)
        super().attach_loop(loop)

    def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
        self.told.append("child")
        super().add_child_handler(pid, callback, *args)

    def close(self) -> None:
        self.told.append("close")
        super().close()


@pytest.fixture
def watchers() -> Iterator[tuple[Watcher, Watcher]]:
    pair = Watcher(), Watcher()
    yield pair
    for watcher in pair:
        watcher.close()


async def one_child() -> int | None:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    return await process.wait()


def test_a_loop_has_its_policys_watcher_until_it_is_given_its_own(watchers: tuple[Watcher, Watcher]) -> None:
    of_policy, own = watchers
    policy = EventLoopPolicy(child_watcher=of_policy)
    loop: Any = policy.new_event_loop()
    other: Any = policy.new_event_loop()
    assert loop.get_child_watcher() is of_policy
    assert loop.run_until_complete(one_child()) == 3
    assert (of_policy.told, own.told) == (["child"], [])
    loop.set_child_watcher(own)
    assert loop.get_child_watcher() is own
    assert (other.get_child_watcher(), policy.get_child_watcher()) == (of_policy, of_policy)
    assert loop.run_until_complete(one_child()) == 3
    assert (of_policy.told, own.told) == (["child"], [loop, "child"])
    loop.set_child_watcher(None)
    assert own.told[-1] == "close"
    assert loop.run_until_complete(one_child()) == 3
    assert of_policy.told == ["child", "child"]
    policy.close()


def test_what_is_no_watcher_changes_nothing(watchers: tuple[Watcher, Watcher]) -> None:
    own, _ = watchers
    policy = EventLoopPolicy()
    loop: Any = policy.new_event_loop()
    loop.set_child_watcher(own)
    for wrong in (3, "pidfd", PidfdChildWatcher):
        with pytest.raises(NotAWatcherError):
            loop.set_child_watcher(wrong)
    loop.set_child_watcher(own)
    assert loop.get_child_watcher() is own
    assert "close" not in own.told
    policy.close()


def test_only_in_the_main_thread_is_the_loop_attached(watchers: tuple[Watcher, Watcher]) -> None:
    own, _ = watchers
    policy = EventLoopPolicy()
    loop: Any = policy.new_event_loop()
    in_thread(lambda: loop.set_child_watcher(own))
    assert own.told == []
    assert loop.get_child_watcher() is own
    policy.close()


def test_loops_that_ask_nobody_have_none() -> None:
    pytest.importorskip("uvloop")
    policy = EventLoopPolicy(loop="uvloop")
    assert not hasattr(policy.new_event_loop(), "set_child_watcher")
    policy.close()


def test_a_loop_with_such_a_method_of_its_own_is_told_of_the_watcher(watchers: tuple[Watcher, Watcher]) -> None:
    class Theirs(asyncio.SelectorEventLoop):
        told: Any = None

        def set_child_watcher(self, watcher: Any) -> None:
            self.told = watcher

        async def _make_subprocess_transport(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    for watcher in (watchers[0], None):
        policy = EventLoopPolicy(loop=Theirs, child_watcher=watcher)
        loop: Any = policy.new_event_loop()
        assert loop.told is watcher
        policy.close()


# --- policies that know of no watchers


def foreign_policies() -> list[Any]:
    class Bare(AbstractEventLoopPolicy):
        get_child_watcher = None  # type: ignore[assignment] # as on a policy of asyncio's since 3.14
        set_child_watcher = None  # type: ignore[assignment]

        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return asyncio.SelectorEventLoop()

        def set_event_loop(self, loop: Any) -> None:
            pass

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class Mine(asyncio.DefaultEventLoopPolicy):
            pass

        return [Bare(), Mine(), asyncio.DefaultEventLoopPolicy()]


@pytest.mark.parametrize("number", range(3), ids=["bare", "derived", "asyncio"])
def test_a_foreign_policys_loops_ask_the_watcher_that_was_set(number: int, watchers: tuple[Watcher, Watcher]) -> None:
    """Also where the policy, and its asyncio, know of none: from 3.14 on."""
    watcher, _ = watchers
    set_event_loop_policy(foreign_policies()[number])
    set_child_watcher(watcher)
    assert run(one_child()) == 3
    loop: Any = new_event_loop()
    assert loop.run_until_complete(one_child()) == 3
    loop.close()
    assert watcher.told.count("child") == 2
    set_child_watcher(None)
    assert "close" in watcher.told
    assert process_watcher().is_active()
    assert run(one_child()) == 3

"""asyncio's own policy, which nobody has replaced, takes our watchers: the one line that an old program ports."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies import get_event_loop_policy, set_event_loop_policy
from loopwright.watchers import (
    PidfdChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
    get_child_watcher,
    process_watcher,
    set_child_watcher,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def asyncios_policy() -> Iterator[Any]:
    """asyncio's own default policy, as a program has it that never heard of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since 3.14, for every touch
        policy = asyncio.DefaultEventLoopPolicy()
    set_event_loop_policy(policy)
    yield policy
    set_child_watcher(None)
    set_event_loop_policy(None)


@pytest.mark.parametrize("kind", [PidfdChildWatcher, ThreadedChildWatcher, SafeChildWatcher])
def test_it_takes_our_watchers(kind: type[PidfdChildWatcher]) -> None:
    async def main() -> None:
        watcher = kind()
        watcher.attach_loop(asyncio.get_running_loop())
        set_child_watcher(watcher)
        assert get_child_watcher() is watcher
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        assert await process.wait() == 3
        other = ThreadedChildWatcher()
        set_child_watcher(other)
        assert not watcher.is_active(), "the one that is replaced is closed"
        assert get_child_watcher() is other
        set_child_watcher(None)

    asyncio.run(main())


def test_without_a_word_it_has_ours_which_nobody_closes() -> None:
    watcher = get_child_watcher()
    assert watcher is process_watcher()
    assert watcher.is_active()
    set_child_watcher(None)
    assert watcher.is_active(), "it is the process's, not the policy's to close"


def test_one_of_asyncios_that_was_set_stays(asyncios_policy: Any) -> None:
    kind = vars(asyncio).get("ThreadedChildWatcher")
    if kind is None or not hasattr(asyncios_policy, "set_child_watcher"):
        assert not hasattr(get_event_loop_policy(), "set_child_watcher")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = kind()
    set_child_watcher(theirs)
    assert get_child_watcher() is theirs

"""Which watcher a loop is given that no policy of ours made, under asyncio's own policy."""

from __future__ import annotations

import asyncio
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import watchers
from loopwright.loops import _asyncio_watchers as ours
from loopwright.loops._asyncio_private import installed_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio's policies have no watchers any longer")


@pytest.fixture
def policy() -> Iterator[Any]:
    """asyncio's own, installed for the test."""
    before = installed_policy()
    made = asyncio.DefaultEventLoopPolicy()
    asyncio.set_event_loop_policy(made)
    yield made
    asyncio.set_event_loop_policy(before)


def test_the_process_has_one_where_none_is_set(policy: Any) -> None:
    assert ours.current_watcher() is watchers.process_watcher()


def test_what_asyncio_made_by_itself_was_not_set(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert policy.get_child_watcher() is not None
    assert ours.current_watcher() is watchers.process_watcher()


def test_what_a_program_has_set_is_obeyed_and_asking_for_it_does_not_warn(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = asyncio.unix_events.FastChildWatcher()
        policy.set_child_watcher(made)
    assert ours.current_watcher() is made

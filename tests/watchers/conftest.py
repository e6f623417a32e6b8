"""Watchers of every kind, on every loop, and with both sets of pidfds: compiled, and for machines without that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import PidfdSet
from loopwright.watchers import (
    FastChildWatcher,
    MultiLoopChildWatcher,
    PidfdChildWatcher,
    PollingChildWatcher,
    SafeChildWatcher,
    ThreadedChildWatcher,
    _orphans,
    _pidfd,
)
from tests.watchers.children import gone, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from loopwright.watchers._table import TableWatcher

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Play = Callable[[TableWatcher], Coroutine[Any, Any, None]]

KINDS = (
    PidfdChildWatcher,
    ThreadedChildWatcher,
    PollingChildWatcher,
    MultiLoopChildWatcher,
    SafeChildWatcher,
    FastChildWatcher,
)


@pytest.fixture
def run(loop_factory: Factory) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on a new loop, for twenty seconds at most."""

    def run_on_new_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(main, 20))

    return run_on_new_loop


@pytest.fixture(params=KINDS)
def run_each(request: pytest.FixtureRequest, loop_factory: Factory) -> Iterator[Callable[[Play], None]]:
    """Plays with a watcher of each kind on a new loop, to which it is attached, for twenty seconds at most."""
    watcher: TableWatcher = request.param()

    def play_on_new_loop(play: Play) -> None:
        async def main() -> None:
            watcher.attach_loop(asyncio.get_running_loop())
            with watcher:
                await play(watcher)
            watcher.close()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(main(), 20))

    yield play_on_new_loop
    watcher.close()


@pytest.fixture
def pidfd_watcher() -> Iterator[PidfdChildWatcher]:
    made = PidfdChildWatcher()
    yield made
    made.close()


#: Tests of the public contract suite, which knows nothing of our marks.
LONG = {
    "test_added_and_removed_while_exits_pour_in",
    "test_loop_stuck_for_a_second",
    "test_two_hundred_at_once",
    "test_two_loops_in_two_threads",
}
CONTRACTS = {"test_contract.py", "test_contract_extras.py"}


def pytest_itemcollected(item: pytest.Item) -> None:
    if not isinstance(item, pytest.Function):
        return
    if item.originalname in LONG:
        item.add_marker(pytest.mark.long)
    # The contract again, for the set of pidfds that is not used here, on the loop that the other set is tried on, too.
    if PidfdSet is not None and item.path.name in CONTRACTS and "native-plain" in item.name:
        item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["plain"] if PidfdSet is None else ["compiled", "plain"])
def pidfd_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has watchers use this set of pidfds; the test runs once with each."""
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(_pidfd, "PidfdSet", None)
    return kind


@pytest.fixture
def no_reaper() -> Iterator[None]:
    """The test begins without the reaper's thread, and must let it end."""
    until(gone)
    yield
    until(gone)


@pytest.fixture(autouse=True)
def little_patience() -> Iterator[None]:
    """Has children of closed loops reaped without much delay, for the sake of the tests."""
    with pytest.MonkeyPatch.context() as patch:  # one of its own: tests want theirs undone before their fixtures go
        patch.setattr(_orphans, "PATIENCE", 0.1)
        yield

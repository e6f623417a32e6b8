"""How a broken watcher is shown to be found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loopwright.testing import ChildWatcherContract, ChildWatcherExtrasContract, _watcher_loops, _watcher_stage
from loopwright.testing._watcher_apart import apart
from loopwright.watchers import FastChildWatcher, SafeChildWatcher, _orphans
from loopwright.watchers._table import TableWatcher

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from loopwright.watchers import AbstractChildWatcher


@pytest.fixture(autouse=True)
def little_patience() -> Iterator[None]:
    """Has children of closed loops reaped without much delay, for the sake of the tests."""
    with pytest.MonkeyPatch.context() as patch:  # one of its own: tests want theirs undone before their fixtures go
        patch.setattr(_orphans, "PATIENCE", 0.1)
        yield


def contract_of(watcher: type[AbstractChildWatcher], test: str, made: list[AbstractChildWatcher]) -> type[Any]:
    """The part of the contract that has the test, for one kind of watcher."""

    class Subject:
        reaps_everybody = issubclass(watcher, FastChildWatcher)

        def make_watcher(self) -> AbstractChildWatcher:
            made.append(watcher())
            return made[-1]

        def prepare(self, subject: AbstractChildWatcher, loop: asyncio.AbstractEventLoop) -> None:
            if isinstance(subject, (SafeChildWatcher, FastChildWatcher)):
                subject.attach_loop(loop)

    parts: tuple[Any, ...] = (ChildWatcherContract, ChildWatcherExtrasContract)
    (part,) = (part for part in parts if hasattr(part, test))  # each name stands in one of them
    return type(watcher.__name__, (Subject, part), {})


@pytest.fixture
def holds() -> Callable[[type[AbstractChildWatcher], str], None]:
    """Plays one test of the contract with a watcher, which must pass it."""
    return lambda watcher, test: getattr(contract_of(watcher, test, [])(), test)()


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[AbstractChildWatcher], str], str]]:
    """Plays one test of the contract with a watcher, which must fail it; gives what the test said."""
    # Some mutants never call back, and what never comes need not be waited for as long as something that is late.
    monkeypatch.setattr(_watcher_stage, "LIMIT", 0.8)
    monkeypatch.setattr(_watcher_loops, "LIMIT", 0.8)
    monkeypatch.setattr(_watcher_stage, "GRACE", 0.2)
    monkeypatch.setattr(_watcher_loops, "ORPHANED", 2.0)

    made: list[Any] = []

    def play(watcher: type[AbstractChildWatcher], test: str) -> str:
        run = getattr(contract_of(watcher, test, made)(), test)
        robs = getattr(watcher, "robs", False)  # its doing cannot be undone, so it goes with a process of its own
        with pytest.raises(AssertionError) as failure:
            apart(run) if robs else run()
        return str(failure.value)

    yield play
    for watcher in made:
        TableWatcher.close(watcher)  # in spite of what the mutant makes of it

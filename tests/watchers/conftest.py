"""Both sets of pidfds: the compiled one, and the one for machines without it."""

from __future__ import annotations

import pytest

from loopwright._native import PidfdSet
from loopwright.watchers import _orphans, _pidfd


@pytest.fixture(params=["plain"] if PidfdSet is None else ["compiled", "plain"])
def pidfd_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has watchers use this set of pidfds; the test runs once with each."""
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(_pidfd, "PidfdSet", None)
    return kind


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has children of closed loops reaped without much delay, for the sake of the tests."""
    monkeypatch.setattr(_orphans, "PATIENCE", 0.1)

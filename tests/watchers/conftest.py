"""Both sets of pidfds: the compiled one, and the one for machines without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loopwright import _native
from loopwright.watchers import _pidfd

if TYPE_CHECKING:
    pass


@pytest.fixture(params=["compiled", "plain"])
def pidfd_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has watchers use this set of pidfds; the test runs once with each."""
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(_pidfd, "PidfdSet", None)
    elif _native.PidfdSet is None:
        pytest.skip(f"nothing compiled is in use: {_native.MISSING}")
    return kind

"""What tests of loops share."""

from __future__ import annotations

import pytest

from tests.loops import limited


@pytest.fixture(params=["the least queue", "fifo", "priority", "fair"])
def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `limited()` make loops with this queue: the least one that a limit needs, or that of a scheduler."""
    monkeypatch.setattr(limited, "kind", request.param)

"""What tests of loops share."""

from __future__ import annotations

import pytest

from tests.conftest import RLOOP, UVLOOP, factory_of
from tests.loops import limited


@pytest.fixture(
    params=[
        pytest.param("the least queue", marks=pytest.mark.slow),
        "fifo",
        "priority",
        pytest.param("fair", marks=pytest.mark.slow),
        "native",
        UVLOOP,
        RLOOP,
    ]
)
def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `limited()` make loops with this queue: the least one that a limit needs, that of a scheduler, or that of
    another loop, which nobody can get at."""
    if request.param in limited.FOREIGN:
        factory_of(request.param)  # skips, or fails on CI, where there is none
    monkeypatch.setattr(limited, "kind", request.param)

"""What tests of the compiled floor share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests._native.ice import ice

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ice", "loop"]


@pytest.fixture
def loop() -> Iterator[Any]:
    """A native one; for tests that are skipped where there is none."""
    from loopwright.loops import NativeEventLoop

    made = NativeEventLoop()
    yield made
    made.close()

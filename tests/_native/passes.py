"""To run a loop for a pass."""

from __future__ import annotations

from typing import Any

__all__ = ["once"]


def once(loop: Any) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()

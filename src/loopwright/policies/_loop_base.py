"""What `ThreadLoop` and `LoopHandle` inherit from: `asyncio.AbstractEventLoop`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

__all__ = ["LoopBase"]

if TYPE_CHECKING:
    # Its methods are abstract for type checkers, who do not see those that are added by rule.
    LoopBase: Any
else:
    LoopBase = asyncio.AbstractEventLoop

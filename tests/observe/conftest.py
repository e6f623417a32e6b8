"""What tests of watching need: every loop to run on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine on a new loop, of each kind, with a time limit that says where it hung."""

    def run_it(main: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(30):
                return await main

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(limited())

    return run_it

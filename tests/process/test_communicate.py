"""Talking to a process: input and output at once, of any length, read or not."""

from __future__ import annotations

import array
import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Descriptors = Callable[[], set[tuple[int, str]]]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

MIB = 1 << 20


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


def test_an_input_that_is_a_view_of_numbers_is_written_whole(run: Run) -> None:
    """More than the pipe takes at once, so that it is cut: by bytes, not by numbers."""

    async def main() -> None:
        numbers = array.array("i", range(100_000))
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(memoryview(numbers))
            assert await process.communicate() == (numbers.tobytes(), None)

    run(main())


def test_a_megabyte_there_and_back(run: Run) -> None:
    sent = os.urandom(MIB)

    async def main() -> None:
        async with await spawn(sh("tee /dev/stderr"), stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            assert await process.communicate(sent) == (sent, sent)
            assert process.returncode == 0

    run(main())


@pytest.mark.parametrize("script", ["exit 3", "exec 0<&-; sleep 0.05; exit 3", "sleep 0.05; exit 3"])
def test_input_that_is_not_read(run: Run, descriptors: Descriptors, script: str) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(sh(script), stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate(bytes(MIB)) == (b"", None)
            assert process.returncode == 3
        assert descriptors() == before

    run(main())


def test_communicate_without_pipes_or_without_data(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["true"]) as process:
            with pytest.raises(ValueError, match="stdin=PIPE"):
                await process.communicate(b"data")
            assert await process.communicate() == (None, None)
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate() == (b"", None)
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate(b"") == (b"", None)

    run(main())


def test_communicate_cancelled(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(["sleep", "100"], stdin=PIPE, stdout=PIPE) as process:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.communicate(bytes(MIB)), 0.05)
            assert process.status is None
        assert descriptors() == before

    run(main())

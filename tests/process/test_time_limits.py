"""Time limits of lines, and of programs that have ended and left somebody with their pipes; what is said of no text."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import ArgumentsConflictError, ProcessTimeoutError
from loopwright.process import PIPE, check, cmd, pipeline, run, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Runs = Callable[[int], bool]
    Descriptors = Callable[[], set[tuple[int, str]]]


@pytest.fixture(name="go")
def go_(run: Run) -> Run:
    """The fixture of that name, which is also what is tested here."""
    return run


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def gather(lines: Any, found: list[Any]) -> None:
    async with lines as each:
        async for line in each:
            found.append(line)  # noqa: PERF401 - what came before an error is wanted


@pytest.mark.long
def test_lines(go: Run, runs: Runs, soon: Soon, descriptors: Descriptors) -> None:
    """All that it started is ended, whether the limit is the command's own or is given now."""
    script = "sleep 100 & echo $!; echo $$; echo careful >&2; wait"

    async def one(lines: Any) -> None:
        found: list[Any] = []
        with pytest.raises(ProcessTimeoutError, match=r"`/bin/sh -c .*` was not done after 1.5 s, and was") as it:
            await gather(lines, found)
        assert len(found) == 2
        soon(lambda found=found: not any(runs(int(pid)) for pid in found))
        assert (it.value.cmd, it.value.timeout, it.value.stderr) == (tuple(sh(script)), 1.5, b"careful\n")
        assert it.value.__context__ is None or it.value.__suppress_context__
        assert asyncio.current_task().cancelling() == 0

    async def main() -> None:
        before = descriptors()
        await asyncio.gather(one(cmd(*sh(script)).lines(timeout=1.5)), one(cmd(*sh(script), timeout=1.5).lines()))
        assert descriptors() == before

    go(main())


@pytest.mark.long
def test_lines_of_a_pipeline(go: Run, runs: Runs) -> None:
    async def lines() -> None:
        found: list[Any] = []
        both = cmd("true") | cmd(*sh("echo $$; exec sleep 100"))
        with pytest.raises(ProcessTimeoutError, match=r"after 1.5 s \(stage 2 of 2 still ran\), and was ended"):
            await gather(both.lines(timeout=1.5), found)
        assert not runs(int(found[0]))

    async def run_whole() -> None:
        with pytest.raises(ProcessTimeoutError, match=r"\(stages 2 and 3 of 3 still ran\)"):
            await pipeline(["true"], ["sleep", "100"], ["sleep", "100"]).run(timeout=1.5)

    async def main() -> None:
        await asyncio.gather(lines(), run_whole())

    go(main())


def test_lines_in_time(go: Run) -> None:
    async def main() -> None:
        async with cmd("seq", "2", timeout=20).lines() as lines:
            assert [line async for line in lines] == [b"1", b"2"]
        async with pipeline(["seq", "2"], ["cat"], timeout=20).lines() as lines:
            assert [line async for line in lines] == [b"1", b"2"]

    go(main())


@pytest.mark.long
def test_a_limit_ends_whatever_the_block_waits_for(go: Run) -> None:
    async def main() -> None:
        async def block(limit: float, other: float | None) -> None:
            async with cmd("sleep", "100").lines(timeout=limit), asyncio.timeout(other):
                await asyncio.sleep(20)

        with pytest.raises(ProcessTimeoutError, match=r"was not done after 0\.3 s"):
            await block(0.3, None)
        with pytest.raises(TimeoutError) as caught:
            await block(20, 0.1)
        assert not isinstance(caught.value, ProcessTimeoutError)  # that is somebody else's

    go(main())


def test_a_limit_of_one_stage(go: Run) -> None:
    """What is said where it cannot be leads to where it can, which is not back here."""
    limited = cmd("true", timeout=3) | cmd("true")

    async def main() -> None:
        for run_it in (limited.run, limited.spawn, lambda: limited.lines().__aenter__()):
            with pytest.raises(
                ArgumentsConflictError, match=r"timeout= is for a whole pipeline: give it to .* of that"
            ):
                await run_it()

    go(main())


@pytest.mark.long
def test_held_pipes(go: Run) -> None:
    """It is not the process that took too long, and the error says so."""
    words = r"`/bin/sh .*` {}exited with status 3, but after .* s something .* held its pipes; linger= says"

    async def run_whole() -> None:
        with pytest.raises(ProcessTimeoutError, match=words.format("")) as caught:
            await run(sh("sleep 100 & echo $!; exit 3"), timeout=1.5)
        os.kill(int(caught.value.stdout), signal.SIGKILL)

    async def communicate() -> None:
        async with await spawn(sh("sleep 100 & echo $!; exit 3"), stdout=PIPE, stderr=PIPE) as process:
            with pytest.raises(ProcessTimeoutError, match=words.format(r"\(process \d+\) ")) as caught:
                await process.communicate(timeout=1.5)
            os.kill(int(caught.value.stdout), signal.SIGKILL)

    async def main() -> None:
        await asyncio.gather(run_whole(), communicate())

    go(main())


def test_output_that_is_no_text_is_told_of(go: Run) -> None:
    wrong = sh(r"printf '\377'; exit 3")

    async def communicate() -> Any:
        async with await spawn(wrong, stdout=PIPE, encoding="utf-8") as process:
            return await process.communicate()

    for call in (
        lambda: run(wrong, encoding="utf-8"),
        lambda: check(wrong, encoding="utf-8"),
        lambda: pipeline(["true"], wrong).run(encoding="utf-8"),
        communicate,
    ):
        with pytest.raises(UnicodeDecodeError) as caught:
            go(call())
        (note,) = caught.value.__notes__
        assert note.startswith("in the stdout of `/bin/sh -c ")
        assert "`, which exited with status 3; errors='backslashreplace'" in note

"""Wrong arguments are named where they are given, with what would be right, and start nothing."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, check, cmd, pipeline, run, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

two = cmd("true") | cmd("true")


@pytest.fixture(name="go")
def go_(run: Run) -> Run:
    """The fixture of that name, which is also what is tested here."""
    return run


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run(["true"], txt=True), r"^run\(\) takes no keyword argument 'txt'; did you mean text=\?"),
        (lambda: check(["true"], tmeout=3), r"^check\(\) takes no .* 'tmeout'; did you mean timeout=\?"),
        (lambda: cmd("true", wcd="/"), r"^cmd\(\) takes no .* 'wcd'; did you mean cwd=\?"),
        (lambda: cmd("true")(wcd="/"), r"^cmd\(\) takes no .* 'wcd'"),
        (lambda: pipeline(["true"], shll=True), r"^pipeline\(\) takes no .* 'shll'; did you mean shell=\?"),
        (lambda: cmd("true").run(txt=True), r"^run\(\) takes no .* 'txt'"),
        (lambda: two.run(txt=True), r"^run\(\) takes no .* 'txt'"),
        (lambda: two.spawn(txt=True), r"^spawn\(\) takes no .* 'txt'"),
        (lambda: cmd("true").spawn(timeout=3), r"^spawn\(\) takes no .* 'timeout': run\(\), check\(\), .* take it"),
        (lambda: two.lines(txt=True).__aenter__(), r"^lines\(\) takes no .* 'txt'"),
        (lambda: two.lines(input=b"").__aenter__(), r"^input= is for run\(\) and check\(\)"),
        (lambda: run(["true"], capture_output=True), r"'capture_output': output and errors are captured already"),
        (lambda: run(["true"], check=True), r"'check': check\(\) in place of run\(\)"),
        (lambda: run(["true"], xyzzy=1), r"^run\(\) takes no keyword argument 'xyzzy'$"),
    ],
)
def test_unknown_keywords(go: Run, call: Callable[[], Any], words: str) -> None:
    async def main() -> None:
        made = call()
        await made

    with pytest.raises(TypeError, match=words):
        go(main())


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("5", TypeError, "timeout is a number of seconds, not '5'"),
        (datetime.timedelta(seconds=5), TypeError, r"timeout is .* give its total_seconds\(\)"),
        (-1, ValueError, "timeout is a number of seconds, 0 or more, not -1"),
        (float("nan"), ValueError, "0 or more, not nan"),
    ],
)
def test_times_that_are_none(go: Run, tmp_path: Path, value: Any, error: type[Exception], words: str) -> None:
    touch = ["touch", str(tmp_path / "started")]

    async def main() -> None:
        with pytest.raises(error, match=words):
            await run(touch, timeout=value)
        with pytest.raises(error, match=words):
            await pipeline(touch).run(timeout=value)
        with pytest.raises(error, match=words):
            await cmd(*touch).lines(timeout=value).__aenter__()
        with pytest.raises(error, match=words.replace("timeout", "linger")):
            await run(touch, linger=value)
        assert not (tmp_path / "started").exists()
        async with await spawn(["sleep", "100"], stdout=PIPE) as process:
            with pytest.raises(error, match=words):
                await process.wait(value)
            with pytest.raises(error, match=words):
                await process.communicate(timeout=value)
            with pytest.raises(error, match=words.replace("timeout", "linger")):
                await process.communicate(linger=value)
        async with await two.spawn() as running:
            with pytest.raises(error, match=words):
                await running.wait(value)

    go(main())


def test_a_time_of_nothing(go: Run) -> None:
    assert go(run(["true"], linger=0)).success
    with pytest.raises(TimeoutError):
        go(run(["sleep", "100"], timeout=0))


def test_streams_that_are_none(go: Run) -> None:
    async def main() -> None:
        async with await spawn(["true"], stdout=PIPE) as process:
            with pytest.raises(ValueError, match=r"lines are read from the streams .*, not 'stdoot'"):
                process.lines("stdoot")
            with pytest.raises(ValueError, match="started without stderr=PIPE"):
                process.lines("stderr")

    go(main())

"""Programs run to their end: what they wrote, how they failed, and what they are not allowed to take."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    ChildError,
    OutputLimitError,
    ProcessFailedError,
    ProcessTimeoutError,
    TextModeError,
)
from loopwright.process import DEVNULL, PIPE, STDOUT, check, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Runs = Callable[[int], bool]
    Descriptors = Callable[[], set[tuple[int, str]]]


@pytest.fixture(name="go")
def go_(run: Run) -> Run:
    """The fixture of that name, which is also what is tested here."""
    return run


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


def test_what_it_wrote_and_how_it_ended(go: Run) -> None:
    result = go(run(sh("echo out; echo err >&2; exit 3")))
    assert (result.stdout, result.stderr, result.status.code) == (b"out\n", b"err\n", 3)
    assert result.args == sh("echo out; echo err >&2; exit 3")
    assert 0 < result.duration < 30
    assert not result.success
    assert result.returncode == 3


def test_text(go: Run) -> None:
    result = go(run(["cat"], input="käse\r\n", encoding="utf-8"))
    assert (result.stdout, result.stderr) == ("käse\n", "")


def test_other_streams(go: Run, tmp_path: Path) -> None:
    assert go(run(sh("echo out; echo err >&2"), stderr=STDOUT)).stdout == b"out\nerr\n"
    result = go(run(["true"], stdin=DEVNULL, stdout=DEVNULL, stderr=None))
    assert (result.stdout, result.stderr) == (None, None)
    with (tmp_path / "out").open("wb") as file:
        assert go(run(["echo", "x"], stdout=file)).stdout is None
    assert (tmp_path / "out").read_bytes() == b"x\n"


def test_a_megabyte_there_and_back(go: Run) -> None:
    data = os.urandom(1 << 20)
    result = go(run(sh("tee /dev/stderr"), input=data))
    assert (result.stdout, result.stderr) == (data, data)


def test_check(go: Run) -> None:
    assert go(check(["echo", "x"])).stdout == b"x\n"
    assert go(check(["false"], ok=(0, 1))).returncode == 1
    with pytest.raises(ProcessFailedError, match=r"(?s)`/bin/sh -c .*` exited with status 4 after .* s:\n    why$"):
        go(check(sh("echo why >&2; exit 4")))
    with pytest.raises(subprocess.CalledProcessError, match="was ended by SIGKILL"):
        go(check(sh("kill -KILL $$")))


def test_wrong_inputs_start_nothing(go: Run, tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "started")]
    for options, error in (
        ({"input": "text"}, TextModeError),
        ({"input": b"bytes", "text": True}, TextModeError),
        ({"input": b"x", "stdin": DEVNULL}, ArgumentsConflictError),
        ({"limit": -1}, ValueError),
        ({"encoding": "no such"}, LookupError),
    ):
        with pytest.raises(error):
            go(run(touch, **options))
    assert not (tmp_path / "started").exists()
    with pytest.raises(TypeError, match=r"written bytes, not str: encode it, or .* text=True"):
        go(run(touch, input="text"))
    with pytest.raises(TypeError, match="written str, not bytes: decode it, or"):
        go(run(touch, input=b"bytes", text=True))
    with pytest.raises(FileNotFoundError):
        go(run(["/no/such/program"]))


@pytest.mark.long
def test_timeout(go: Run, runs: Runs, descriptors: Descriptors) -> None:
    async def one(text: bool) -> None:
        with pytest.raises(ProcessTimeoutError) as caught:
            await run(sh("echo $$; echo err >&2; exec sleep 100"), timeout=1.5, text=text)
        error = caught.value
        assert "was not done after 1.5 s, and was ended" in str(error)
        assert isinstance(error, (ChildError, TimeoutError, subprocess.TimeoutExpired))
        assert not runs(int(error.stdout))
        assert error.stderr == ("err\n" if text else b"err\n")
        assert error.output == error.stdout
        assert error.timeout == 1.5
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.stdout, again.timeout) == (str(error), error.stdout, 1.5)

    async def main() -> None:
        before = descriptors()
        await asyncio.gather(one(text=False), one(text=True))
        assert descriptors() == before

    go(main())


@pytest.mark.long
def test_timeout_ends_descendants_that_hold_the_pipes_in_whichever_group(go: Run, runs: Runs, soon: Soon) -> None:
    async def one(**options: bool) -> None:
        with pytest.raises(ProcessTimeoutError) as caught:
            await run(sh("sleep 100 & echo $!; wait"), timeout=1.5, **options)
        soon(lambda: not runs(int(caught.value.stdout)))

    async def main() -> None:
        await asyncio.gather(one(), one(start_new_session=True))

    go(main())


def test_a_timeout_of_somebody_else_is_theirs(go: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await run(["sleep", "100"], timeout=50)
        assert not isinstance(caught.value, ProcessTimeoutError)

    go(main())


def test_linger(go: Run) -> None:
    """What a descendant holds is not waited for; what the process wrote is whole."""

    async def main() -> None:
        result = await run(sh("sleep 100 & echo $!"), linger=0.1)
        assert result.success
        os.kill(int(result.stdout), signal.SIGKILL)

    go(main())


@pytest.mark.long
def test_linger_is_no_limit_on_the_process(go: Run) -> None:
    assert go(run(sh("sleep 0.3; echo x"), linger=0)).status.success


def test_limit(go: Run) -> None:
    with pytest.raises(OutputLimitError, match="`yes` wrote more than 100000 bytes to its stdout, and was ended") as it:
        go(run(["yes"], limit=100_000))
    assert it.value.stdout.startswith(b"y\n" * 25_000)
    assert len(it.value.stdout) < 101_000
    assert it.value.stderr == b""
    assert go(run(["echo", "x" * 9], limit=10)).stdout == b"x" * 9 + b"\n"


@pytest.mark.long
def test_truncated(go: Run) -> None:
    result = go(run(["seq", "1000000"], limit=1000, truncate=True, text=True))
    whole = "".join(f"{number}\n" for number in range(1, 1_000_001))
    head, mark, tail = result.stdout.partition(f"\n[... {len(whole) - 1000} bytes left out ...]\n")
    assert mark
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) == len(tail) == 500
    assert result.stdout_omitted == len(whole) - 1000
    assert result.stderr_omitted == 0
    assert result.success


def test_cancelled(go: Run, runs: Runs, descriptors: Descriptors, tmp_path: Path, soon: Soon) -> None:
    async def main() -> None:
        before = descriptors()
        pid = tmp_path / "pid"
        task = asyncio.create_task(run(sh(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 100")))
        async with asyncio.timeout(20):
            while not pid.exists():  # noqa: ASYNC110 - nothing tells of a file
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not runs(int(pid.read_text()))
        assert descriptors() == before

    go(main())


def test_output_that_is_no_text(go: Run) -> None:
    with pytest.raises(UnicodeDecodeError):
        go(run(["printf", r"\377"], encoding="utf-8"))
    assert go(run(["printf", r"\377"], encoding="utf-8", errors="replace")).stdout == "\ufffd"
    assert go(run(["printf", r"a\r\nb\rc"], encoding="utf-8")).stdout == "a\nb\nc"


def test_pipes_named_outright(go: Run) -> None:
    result = go(run([sys.executable, "-c", "print(input())"], stdin=PIPE, stdout=PIPE, input=b"x\n"))
    assert result.stdout == b"x\n"

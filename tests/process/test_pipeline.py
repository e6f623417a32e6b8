"""Pipelines of real programs: the data, the blame, and that no stage outlives them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    OutputLimitError,
    ProcessFailedError,
    ProcessTimeoutError,
    TextModeError,
)
from loopwright.process import DEVNULL, PIPE, STDOUT, cmd, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Runs = Callable[[int], bool]
    Descriptors = Callable[[], set[tuple[int, str]]]


def sh(script: str, *args: str, **options: Any) -> Any:
    return cmd("/bin/sh", "-c", script, "sh", *args, **options)


YES_OF_PYTHON = "import signal; print('y\\n' * 100_000, flush=True)"


def test_data_goes_through(run: Run) -> None:
    result = run(pipeline(["sort"], ["uniq", "-c"], ["wc", "-l"]).check(input="b\na\nb\n", text=True))
    assert result.stdout.strip() == "2"
    assert [stage.args[0] for stage in result.stages] == ["sort", "uniq", "wc"]
    assert [stage.status.code for stage in result.stages] == [0, 0, 0]
    assert result.failed is None
    assert 0 < result.duration < 30


@pytest.mark.long
def test_a_lot_of_data(run: Run) -> None:
    data = os.urandom(3 << 20)
    assert run(pipeline(["cat"], ["cat"], ["cat"]).check(input=data)).stdout == data


@pytest.mark.parametrize("first", [cmd("yes"), sh("yes; exit $?")])
def test_who_writes_to_a_reader_that_has_enough_has_not_failed(run: Run, first: Any) -> None:
    result = run((first | cmd("cat") | cmd("head", "-n", "1")).check())
    assert result.stdout == b"y\n"
    assert not result.stages[0].success
    assert result.stages[0].status.shell_code == 141
    assert result.success


def test_one_that_handles_it_has(run: Run) -> None:
    """As with a shell's pipefail; `ok=` is for those."""
    first = cmd(sys.executable, "-c", YES_OF_PYTHON)
    failed = run((first | cmd("head", "-n", "1")).run())
    assert failed.failed == 0
    assert b"BrokenPipeError" in failed.stderr
    assert run((first(ok=(0, 1, 120)) | cmd("head", "-n", "1")).check()).stdout == b"y\n"


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_the_stage_that_failed_is_named(run: Run, bad: int) -> None:
    stages = [sh("cat; echo fine >&2")] * 3
    stages[bad] = sh("cat; echo broken >&2; exit 4")
    with pytest.raises(ProcessFailedError) as caught:
        run(pipeline(*stages).check(input=b"data"))
    error = caught.value
    assert error.result.failed == bad
    assert str(error).startswith(f"stage {bad + 1} of `")
    assert "exited with status 4" in str(error)
    assert str(error).endswith(":\n    broken")
    assert (error.returncode, error.stderr, error.stdout) == (4, b"broken\n", b"data")
    assert [stage.stderr for stage in error.result.stages].count(b"fine\n") == 2


def test_the_first_to_fail_began_it(run: Run, tmp_path: Path) -> None:
    """It ends without output; the next fails because it finds nothing.

    A program's pipes are closed a moment before it has ended, and of two that have both ended before anybody looked
    nothing tells which was first. So the second does not end here until it is known that the first has.
    """
    known = tmp_path / "known"
    late = f'"$@"; code=$?; until [ -e {known} ]; do sleep 0.005; done; exit $code'

    async def play(stages: Any, first: int) -> Any:
        known.unlink(missing_ok=True)
        async with await stages.spawn() as running:
            await running.stages[first].wait()
            known.touch()
            return await running.wait()

    result = run(play(sh("exit 3") | sh(late, "grep", "x"), 0))
    assert [stage.status.code for stage in result.stages] == [3, 1]
    assert result.failed == 0
    # And a reader that dies, of which a writer complains that handles SIGPIPE.
    result = run(play(sh(late, sys.executable, "-c", YES_OF_PYTHON) | sh("read x; exit 5"), 1))
    assert result.stages[0].status.code not in (0, None)
    assert result.failed == 1


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_stage_that_cannot_start(run: Run, descriptors: Descriptors, missing: int) -> None:
    async def main() -> None:
        before = descriptors()
        stages = [cmd("sleep", "100")] * 3
        stages[missing] = cmd("/no/such/program", "x")
        for way in (pipeline(*stages).run, pipeline(*stages).spawn):
            with pytest.raises(FileNotFoundError) as caught:
                await way()
            assert caught.value.filename == "/no/such/program"
            (note,) = caught.value.__notes__
            assert note.startswith(f"stage {missing + 1} of `")
            assert "`/no/such/program x`" in note
        assert descriptors() == before

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("group", [{}, {"process_group": 0}])
def test_timeout_ends_all(run: Run, runs: Runs, descriptors: Descriptors, group: dict[str, Any]) -> None:
    async def main() -> None:
        before = descriptors()
        running = sh("echo $$ >&2; cat; sleep 100")
        with pytest.raises(ProcessTimeoutError) as caught:
            await (running | running | running).run(input="so far", text=True, timeout=2, **group)
        error = caught.value
        assert error.stdout == "so far"
        pids = [int(line) for line in error.stderr.split()]
        assert len(pids) == 3
        assert not any(runs(pid) for pid in pids)
        assert "was not done after 2 s (stages 1, 2 and 3 of 3 still ran), and was ended" in str(error)
        assert descriptors() == before

    run(main())


def test_cancelled(run: Run, runs: Runs, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        pids: list[int] = []

        async def work() -> None:
            async with await pipeline(["cat"], ["cat"], ["cat"]).spawn(stdin=PIPE) as running:
                pids.extend(stage.pid for stage in running.stages)
                assert "3 of 3 running" in repr(running)
                inside.set()
                await running.wait()

        inside = asyncio.Event()
        task = asyncio.create_task(work())
        await inside.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(pids) == 3
        assert not any(runs(pid) for pid in pids)
        assert descriptors() == before

    run(main())


def test_cancelled_while_it_starts(run: Run, descriptors: Descriptors, soon: Soon) -> None:
    async def main() -> None:
        before = descriptors()
        for ticks in range(12):
            task = asyncio.create_task(pipeline(*[["sleep", "100"]] * 4).run())
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            soon(lambda: descriptors() == before)  # what a worker was just starting it ends by itself

    run(main())


def test_one_group(run: Run, soon: Soon) -> None:
    async def main() -> None:
        stages = pipeline(["true"], ["sleep", "100"], ["sleep", "100"])
        async with await stages.spawn(process_group=0) as running:
            first, *others = running.stages
            assert {os.getpgid(stage.pid) for stage in others} == {first.pid}
            await first.wait()
            assert sorted(first.group_members()) == sorted(stage.pid for stage in others)
            assert first.signal_group(signal.SIGTERM)
            result = await running.wait(timeout=20)
            assert [stage.status.signal for stage in result.stages[1:]] == [signal.SIGTERM] * 2
            assert not running.send_signal(signal.SIGTERM)

    run(main())


def test_streams_of_a_started_one(run: Run) -> None:
    async def main() -> None:
        async with await (cmd("cat") | cmd("tr", "a-z", "A-Z")).spawn(stdin=PIPE, stdout=PIPE, text=True) as running:
            with pytest.raises(ProcessTimeoutError, match=r"`cat \| tr a-z A-Z` still ran after 0.05 s"):
                await running.wait(0.05)
            running.stdin.write("hello\n")
            running.stdin.close()
            assert [line async for line in running.lines()] == ["HELLO"]
            assert (await running.wait()).check().failed is None
            assert await running.stdout.read() == ""

    run(main())


def test_where_errors_go(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    both = sh("echo err >&2", stderr=STDOUT) | sh("cat; echo own >&2")
    result = run(both.run())
    assert (result.stdout, result.stages[0].stderr, result.stages[1].stderr) == (b"err\n", None, b"own\n")
    assert run(both.run(stderr=DEVNULL)).stages[1].stderr is None
    run(both.run(stderr=None))
    assert capfd.readouterr().err == "own\n"


def test_many_errors_are_bounded(run: Run) -> None:
    result = run((sh("seq 100000 >&2") | cmd("cat")).run())
    assert len(result.stages[0].stderr) == 65_536
    assert result.stages[0].stderr.endswith(b"99999\n100000\n")


def test_files_at_the_ends(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("b\na\n")
    with (tmp_path / "in").open() as given, (tmp_path / "out").open("w") as taken:
        result = run((cmd("sort") | cmd("cat", "-n")).check(stdin=given, stdout=taken))
    assert result.stdout is None
    assert (tmp_path / "out").read_text().split() == ["1", "a", "2", "b"]


def test_limit(run: Run) -> None:
    with pytest.raises(OutputLimitError, match=r"`yes \| cat` wrote more than 1000 bytes"):
        run((cmd("yes") | cmd("cat")).run(limit=1000))
    result = run((cmd("seq", "100000") | cmd("cat")).run(limit=1000, truncate=True))
    assert result.stdout_omitted == 588_895 - 1000
    assert result.stdout.endswith(b"100000\n")


@pytest.mark.long
def test_linger(run: Run) -> None:
    # The descendant holds the pipe between the stages, so the second one never ends by itself.
    async def short() -> None:
        with pytest.raises(ProcessTimeoutError) as caught:
            await (sh("sleep 100 2>&- & echo $!") | cmd("cat")).run(linger=0.1, timeout=1.5)
        os.kill(int(caught.value.stdout), signal.SIGKILL)

    async def last() -> None:
        result = await (cmd("true") | sh("sleep 100 & echo $!")).run(linger=0.1)
        os.kill(int(result.stdout), signal.SIGKILL)

    async def both() -> None:
        await asyncio.gather(short(), last())

    run(both())


def test_what_cannot_be(run: Run) -> None:
    for stages, options, error in (
        (cmd("a", stdout=DEVNULL) | cmd("b"), {}, ArgumentsConflictError),
        (cmd("a") | cmd("b", stdin=DEVNULL), {}, ArgumentsConflictError),
        (cmd("a", timeout=3) | cmd("b"), {}, ArgumentsConflictError),
        (cmd("a") | cmd("b"), {"input": b"x", "stdin": DEVNULL}, ArgumentsConflictError),
        (cmd("a") | cmd("b"), {"input": "x"}, TextModeError),
    ):
        with pytest.raises(error):
            run(stages.run(**options))
    with pytest.raises(ArgumentsConflictError, match="timeout= is for run"):
        run(pipeline(["a"], timeout=1).spawn())

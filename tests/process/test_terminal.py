"""Programs on a pseudo-terminal: what they write is had, and their input has an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import ArgumentsConflictError
from loopwright.process import PIPE, STDOUT, check, cmd, pipeline, run, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(name="go")
def go_(run: Run) -> Run:
    """The fixture of that name, which is also what is tested here."""
    return run


def test_what_it_wrote(go: Run) -> None:
    async def main() -> None:
        done = await run(["tty"], pty=True)
        assert done.success
        assert done.stdout.startswith(b"/dev/pts/")
        assert done.stderr is None
        both = ["/bin/sh", "-c", "echo out; echo err >&2; stty size"]
        assert (await check(both, pty=(40, 100), text=True)).stdout == "out\nerr\n40 100\n"
        assert (await cmd(*both)(pty=(40, 100))).stdout == b"out\r\nerr\r\n40 100\r\n"
        assert (await pipeline(both, pty=True, text=True).run()).stdout.startswith("out\nerr\n")
        async with cmd(*both, pty=(40, 100), text=True).lines() as lines:
            assert [line async for line in lines] == ["out", "err", "40 100"]

    go(main())


@pytest.mark.parametrize("data", [b"", b"whole\n", b"unfinished", b"one\ntwo", b"\r"])
def test_the_end_of_its_input(go: Run, data: bytes) -> None:
    """Wherever the line ends, that is the end for one program, and not for the next one on the terminal, too."""

    async def main() -> None:
        script = "stty -echo; echo ready; cat; echo; echo end; wait"
        for end in ("close", "write_eof"):
            async with await spawn(["/bin/sh", "-c", script], pty=True) as process:
                assert await process.stdout.readline() == b"ready\r\n"
                process.stdin.write(data)
                getattr(process.stdin, end)()
                shown = data.replace(b"\r", b"\n").replace(b"\n", b"\r\n")
                assert await process.stdout.read() == shown + b"\r\nend\r\n"
                assert (await process.wait()).success

    go(main())


def test_input(go: Run) -> None:
    async def main() -> None:
        assert (await check(["cat"], input="x\n", pty=True, text=True)).stdout == "x\nx\n"  # the echo comes first
        assert (await check(["cat"], pty=True)).stdout == b""
        assert (await cmd("cat", pty=True).check(input=b"x")).stdout == b"xx"
        assert (await pipeline(["cat"]).check(input=b"x\n", pty=True)).stdout == b"x\r\nx\r\n"
        async with await spawn(["sort"], pty=True, text=True) as process:  # says nothing before all is shown
            assert await process.communicate("one\ntwo\n") == ("one\ntwo\none\ntwo\n", None)

    go(main())


def test_input_that_nobody_reads_any_more(go: Run) -> None:
    """More than a terminal holds: it would never be done."""
    data = b"a line\n" * 100_000
    done = go(run(["/bin/sh", "-c", "stty -echo; read x; echo $x"], input=data, pty=True, timeout=20))
    assert done.stdout.endswith(b"a line\r\n")


@pytest.mark.long
def test_a_program_that_closes_its_streams_and_goes_on(go: Run) -> None:
    """It must not be sent SIGHUP for that."""
    script = "echo done; exec <&- >&- 2>&-; sleep 0.3; exit 7"
    done = go(run(["/bin/sh", "-c", script], pty=True))
    assert (done.stdout, done.returncode) == (b"done\r\n", 7)


def test_its_size_after_its_input(go: Run) -> None:
    async def main() -> None:
        script = "trap 'stty size; exit' WINCH; cat; echo ready; while :; do sleep 0.05; done"
        async with await spawn(["/bin/sh", "-c", script], pty=True) as process:
            process.stdin.close()
            assert await process.stdout.readline() == b"ready\r\n"
            process.resize_terminal(20, 30)
            assert await process.stdout.readline() == b"20 30\r\n"
        with pytest.raises(ValueError, match="on no terminal of ours"):
            process.resize_terminal(1, 1)

    go(main())


def test_where_no_terminal_can_be(go: Run) -> None:
    async def main() -> None:
        for options in ({"stdout": PIPE}, {"stderr": STDOUT}, {"stdin": PIPE}):
            with pytest.raises(ArgumentsConflictError, match="leave out"):
                await run(["true"], pty=True, **options)  # type: ignore[arg-type]
        with pytest.raises(ArgumentsConflictError, match="stage 1 of a pipeline has pty=True"):
            await pipeline(["true"], ["true"], pty=True)
        with pytest.raises(ArgumentsConflictError, match="stage 2 of a pipeline has pty=True"):
            await (cmd("true") | cmd("true", pty=True))
        async with asyncio.timeout(20), (cmd("true") | cmd("true")).lines() as lines:
            assert [line async for line in lines] == []

    go(main())

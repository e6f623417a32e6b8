"""Lines of real processes: of any length, of any bytes, of both streams, and none lost by who stops in between."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import WrongLoopError
from loopwright.process import PIPE, STDOUT, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]

BOTH: dict[str, Any] = {"stdout": PIPE, "stderr": PIPE}


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]


def test_lines_of_bytes(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["printf", r"one\r\n\ntwo\0\377\nlast"], stdout=PIPE) as process:
            lines = [line async for line in process.lines()]
            assert lines == [b"one\r", b"", b"two\0\xff", b"last"]
            assert {(line.stream, line.continued) for line in lines} == {("stdout", False)}
            assert [line async for line in process.lines()] == []

    run(main())


def test_lines_of_text(run: Run) -> None:
    async def main() -> None:
        args = ["printf", r"one\r\n\ntwo\0\377\rlast"]
        async with await spawn(args, stdout=PIPE, encoding="utf-8", errors="backslashreplace") as process:
            lines = [line async for line in process.lines()]
            assert lines == ["one", "", "two\0\\xff", "last"]
            assert all(isinstance(line, str) for line in lines)
        async with await spawn(args, stdout=PIPE, encoding="utf-8") as process:
            with pytest.raises(UnicodeDecodeError):
                async for _ in process.lines():
                    pass

    run(main())


@pytest.mark.parametrize("options", [{}, {"encoding": "utf-8"}])
def test_a_line_of_a_million_characters(run: Run, options: dict[str, Any]) -> None:
    async def main() -> None:
        code = "import sys; sys.stdout.buffer.write(b'x' * 1_000_000 + b'\\nshort\\n' + b'y' * 70_000)"
        async with await spawn(python(code), stdout=PIPE, **options) as process:
            pieces = [piece async for piece in process.lines()]
        assert max(map(len, pieces)) == 65_536
        assert [piece.continued for piece in pieces] == [True] * 15 + [False, False, True, False]
        empty: Any = "" if options else b""
        whole = empty.join(pieces[:16]), pieces[16], empty.join(pieces[17:])
        expected = "x" * 1_000_000, "short", "y" * 70_000
        assert whole == (expected if options else tuple(map(str.encode, expected)))

    run(main())


@pytest.mark.parametrize("options", [{}, {"text": True}])
def test_both_streams(run: Run, options: dict[str, Any]) -> None:
    code = """
    import sys
    for number in range(3000):
        print("out", number)
        print("err", number, file=sys.stderr)
    """

    async def main() -> None:
        async with await spawn(python(code), **BOTH, **options) as process:
            found: dict[str, list[Any]] = {"stdout": [], "stderr": []}
            async for line in process.lines("stdout", "stderr"):
                found[line.stream].append(line if options else line.decode())
        assert found["stdout"] == [f"out {number}" for number in range(3000)]
        assert found["stderr"] == [f"err {number}" for number in range(3000)]

    run(main())


def test_a_stream_that_floods_does_not_drown_the_other(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("echo here >&2; exec yes"), **BOTH) as process:
            count = 0
            async for line in process.lines("stdout", "stderr"):
                count += 1
                if line.stream == "stderr":
                    break
                assert count < 200_000

    run(main())


def test_both_streams_as_they_come_and_the_one_that_ends_first(run: Run) -> None:
    async def main() -> None:
        script = "read x; echo $x; read x; echo $x >&2; exec 2>&-; read x; echo $x"
        async with await spawn(sh(script), stdin=PIPE, **BOTH) as process:
            assert process.stdin is not None
            lines = process.lines("stdout", "stderr")
            for text, stream in ((b"a", "stdout"), (b"b", "stderr"), (b"c", "stdout")):
                process.stdin.write(text + b"\n")
                line = await anext(lines)
                assert (line, line.stream) == (text, stream)
            with pytest.raises(StopAsyncIteration):
                await anext(lines)

    run(main())


def test_errors_and_in_the_order_written(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("echo a; echo b >&2"), **BOTH) as process:
            assert [line async for line in process.lines("stderr")] == [b"b"]
            assert [line async for line in process.lines()] == [b"a"]
        async with await spawn(sh("echo a; echo b >&2; echo c"), stdout=PIPE, stderr=STDOUT) as process:
            assert [line async for line in process.lines()] == [b"a", b"b", b"c"]

    run(main())


@pytest.mark.parametrize("options", [{}, {"text": True}])
@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
def test_who_stops_in_between_loses_nothing(run: Run, options: dict[str, Any], streams: tuple[str, ...]) -> None:
    async def main() -> None:
        async with await spawn(sh("seq 100; seq 100 >&2"), **BOTH, **options) as process:
            out: list[Any] = []
            err: list[Any] = []
            for stop in (1, 7, 40):
                async for line in process.lines(*streams):
                    (out if line.stream == "stdout" else err).append(int(line))
                    if len(out) >= stop:
                        break
            rest, errors = await process.communicate()
            assert out + [int(line) for line in rest.split()] == list(range(1, 101))
            assert err + [int(line) for line in errors.split()] == list(range(1, 101))

    run(main())


@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
def test_who_is_cancelled_loses_nothing(run: Run, streams: tuple[str, ...]) -> None:
    async def main() -> None:
        script = "while read x; do echo out $x; echo err $x >&2; done"
        async with await spawn(sh(script), stdin=PIPE, **BOTH) as process:
            assert process.stdin is not None
            found = []
            for number in range(100):
                process.stdin.write(b"%d\n" % number)
                reading = asyncio.ensure_future(anext(process.lines(*streams)))
                await asyncio.sleep(0.001 * (number % 4))
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    found.append(await reading)
            process.stdin.close()
            found += [line async for line in process.lines(*streams)]
        for name in streams:
            word = name.removeprefix("std").encode()
            assert [line for line in found if line.stream == name] == [b"%s %d" % (word, n) for n in range(100)]

    run(main())


@pytest.mark.long
def test_a_process_whose_lines_nobody_takes_is_stopped_by_its_pipe(run: Run) -> None:
    code = """
    import sys
    for number in range(100_000):
        sys.stdout.write("x" * 99 + "\\n")
        sys.stdout.flush()
        sys.stderr.write(".")
        sys.stderr.flush()
    """

    async def main() -> None:
        async with await spawn(python(code), **BOTH) as process:
            assert process.stderr is not None
            assert await anext(process.lines()) == b"x" * 99
            written = len(await process.stderr.readexactly(1))
            while True:
                try:
                    async with asyncio.timeout(1):
                        written += len(await process.stderr.read(65_536))
                except TimeoutError:
                    break
            # What the pipe holds, what a loop reads at once, and twice the limit of a StreamReader.
            assert written < 10_000
            assert process.status is None

    run(main())


def test_streams_that_are_none(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["true"], stdout=PIPE) as process:
            with pytest.raises(ValueError, match="stderr=PIPE"):
                process.lines("stdout", "stderr")
            with pytest.raises(ValueError, match="'stdout' and 'stderr', not 'stdin'"):
                process.lines("stdin")

    run(main())


def test_on_another_loop(run: Run, loop_factory: Factory) -> None:
    async def elsewhere(lines: Any) -> None:
        with pytest.raises(WrongLoopError, match="read the lines"):
            await anext(lines)

    def thread(lines: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(elsewhere(lines))

    async def main() -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            await asyncio.to_thread(thread, process.lines())

    run(main())

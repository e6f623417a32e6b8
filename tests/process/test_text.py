"""Text streams: however the bytes come, the same text as if they had come at once; and the other way round."""

from __future__ import annotations

import asyncio
import io
import itertools
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import ArgumentsConflictError, TextModeError
from loopwright.process import PIPE, TextProcess, TextReader, spawn
from loopwright.process._text import LONGEST_PIECE, TextMode, bytes_piece, text_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

TEXTS = st.lists(st.one_of(st.text("aé€😀\n", max_size=8), st.sampled_from(["\r", "\r\n", "\n\n"])), max_size=8).map(
    "".join
)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32-le", "utf-7"])


def reader_of(blocks: list[bytes], mode: TextMode, loop: asyncio.AbstractEventLoop) -> tuple[TextReader, Any]:
    """A text stream that gets these blocks, one each time that somebody waits."""
    stream = asyncio.StreamReader(loop=loop)
    left = list(blocks)

    def feed() -> None:
        if left:
            stream.feed_data(left.pop(0))
            loop.call_soon(feed)
        else:
            stream.feed_eof()

    loop.call_soon(feed)
    return TextReader(stream, mode), stream


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(bounds)]


@given(
    TEXTS, ENCODINGS, st.lists(st.integers(0, 80), max_size=10), st.sampled_from(["read", "block", "lines", "pieces"])
)
def test_however_it_is_cut(text: str, encoding: str, places: list[int], way: str) -> None:
    data = text.encode(encoding)
    expected = io.TextIOWrapper(io.BytesIO(data), encoding).read()

    async def main() -> None:
        reader, _ = reader_of(cut(data, places), TextMode(encoding, "strict"), asyncio.get_running_loop())
        assert reader.encoding == encoding
        if way == "read":
            assert await reader.read() == expected
        elif way == "block":
            blocks = []
            while block := await reader.read(3):
                assert len(block) <= 3
                blocks.append(block)
            assert "".join(blocks) == expected
        elif way == "lines":
            assert [line async for line in reader] == expected.splitlines(keepends=True)
        else:
            pieces = []
            while (piece := await reader.piece()) is not None:
                pieces.append(piece)
            assert pieces == [(line, False) for line in expected.splitlines(keepends=True)]
        assert await reader.read() == ""
        assert await reader.readline() == ""
        assert reader.at_eof()

    with asyncio.Runner() as runner:
        runner.run(main())


@pytest.mark.parametrize("length", [LONGEST_PIECE, LONGEST_PIECE + 1, 5 * LONGEST_PIECE, 1_000_000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_pieces_of_a_long_line(length: int, end: str) -> None:
    """The same whether of bytes or of text; the last is marked as that, and is not empty."""
    data = ("x" * length + end).encode()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, _ = reader_of(cut(data, [1, 7, 65_536, 65_537, 500_000]), TextMode("utf-8", "strict"), loop)
        _, stream = reader_of(cut(data, [1, 7, 65_536, 65_537, 500_000]), TextMode("utf-8", "strict"), loop)
        of_text, of_bytes = [], []
        while (piece := await reader.piece()) is not None:
            of_text.append(piece)
        while (part := await bytes_piece(stream)) is not None:
            of_bytes.append(part)
        assert [(text.encode(), continued) for text, continued in of_text] == of_bytes
        assert b"".join(piece for piece, _ in of_bytes) == data
        assert [continued for _, continued in of_bytes] == [True] * ((length - 1) // LONGEST_PIECE) + [False]
        assert max(len(piece.rstrip(b"\n")) for piece, _ in of_bytes) <= LONGEST_PIECE

    with asyncio.Runner() as runner:
        runner.run(main())


@pytest.mark.parametrize("way", ["read", "readline", "piece"])
def test_a_cancelled_reader_loses_nothing(way: str) -> None:
    async def main() -> None:
        stream = asyncio.StreamReader()
        reader = TextReader(stream, TextMode("utf-8", "strict"))
        for part in ("be", "gun ü".encode()[:-1], "ü".encode()[1:]):
            stream.feed_data(part if isinstance(part, bytes) else part.encode())
            task = asyncio.create_task(getattr(reader, way)())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        stream.feed_data(b"!\nrest")
        assert not reader.at_eof()
        assert await reader.readline() == "begun ü!\n"
        stream.feed_eof()
        assert await reader.read(2) == "re"
        assert await reader.read(0) == ""
        assert await reader.read() == "st"

    with asyncio.Runner() as runner:
        runner.run(main())


def test_what_asks_for_text() -> None:
    assert text_mode(None, None, None, None, -1) is None
    assert text_mode(False, None, None, False, 0) is None
    usual = io.TextIOWrapper(io.BytesIO(), encoding="locale").encoding.lower()
    for options in ((True, None, None, None), (None, None, None, True), (True, None, None, True)):
        mode = text_mode(*options, -1)
        assert mode is not None
        assert (mode.encoding.lower(), mode.errors) == (usual, "strict")
    assert text_mode(None, "latin-1", None, None, -1) == TextMode("latin-1", "strict")
    mode = text_mode(None, None, "replace", None, 1)
    assert mode is not None
    assert mode.errors == "replace"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"text": True, "universal_newlines": False}, ArgumentsConflictError),
        ({"encoding": "klingon"}, LookupError),
        ({"encoding": "hex"}, LookupError),
        ({"text": True, "errors": "shrug"}, LookupError),
        ({"bufsize": "1"}, TypeError),
    ],
)
def test_wrong_options(run: Run, options: dict[str, Any], error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error):
            await spawn(["true"], **options)

    run(main())


def test_a_process_of_text(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, encoding="utf-16", bufsize=1) as process:
            assert isinstance(process, TextProcess)
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is None
            assert process.stdin.can_write_eof()
            process.stdin.write("grüße\n")
            process.stdin.writelines(["a", "b\n"])
            await process.stdin.drain()
            assert await process.stdout.readline() == "grüße\n"
            assert await process.stdout.readline() == "ab\n"
            with pytest.raises(TextModeError, match="written str, not bytes: decode it, or start"):
                process.stdin.write(b"bytes")  # type: ignore[arg-type]
            assert not process.stdin.is_closing()
            process.stdin.write_eof()
            process.stdin.close()
            assert process.stdin.is_closing()
            await process.stdin.wait_closed()
            assert await process.stdout.read() == ""
            assert (await process.wait()).success

    run(main())


@pytest.mark.long
def test_a_character_that_comes_in_two_writes(run: Run) -> None:
    script = r"""
    import sys, time
    for byte in "ü€😀\r\nx".encode():
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()
        time.sleep(0.01)
    """

    async def main() -> None:
        args = [sys.executable, "-I", "-S", "-c", textwrap.dedent(script)]
        async with await spawn(args, stdout=PIPE, encoding="utf-8") as process:
            assert process.stdout is not None
            assert await process.stdout.read(1) == "ü"
            assert await process.stdout.readline() == "€😀\n"
            assert await process.stdout.read() == "x"
        async with await spawn(args, stdout=PIPE, encoding="utf-8") as process:
            assert await process.communicate() == ("ü€😀\nx", None)

    run(main())

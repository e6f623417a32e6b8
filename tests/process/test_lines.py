"""Lines: the same however the bytes are cut, nothing lost, and memory bounded whatever a line's length."""

from __future__ import annotations

import asyncio
import codecs
import itertools
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loopwright.process import LineReceiver, LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

#: Text with newlines, text of up to 4 bytes a character, and bytes that are no text, newlines more often than chance.
STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text(alphabet="aé€😀", max_size=12).map(str.encode),
        st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\x80" * 9, "😀".encode()[:3], b"\xed\xa0\x80"]),
    ),
    max_size=12,
).map(b"".join)
LONGEST = st.integers(4, 24)
WITHOUT_END = 1 << 40


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def split(chunks: list[bytes], longest: int) -> list[tuple[str, bool]]:
    splitter = LineSplitter(longest)
    return [piece for chunk in chunks for piece in splitter.feed(chunk)] + list(splitter.end())


def joined(pieces: list[tuple[str, bool]]) -> list[str]:
    lines, line = [], ""
    for text, continued in pieces:
        line += text
        if not continued:
            lines.append(line)
            line = ""
    assert line == "", "the last piece says that more follows"
    return lines


@given(STREAMS, st.lists(st.integers(0, 150), max_size=8), LONGEST)
@example(b"\xf0\x9f\x98\x80" * 3, [1, 2, 3, 5], 4)
def test_however_the_bytes_are_cut(data: bytes, cuts: list[int], longest: int) -> None:
    bounds = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(bounds)]
    assert b"".join(chunks) == data
    assert split(chunks, longest) == split([data], longest)
    assert split([data[index : index + 1] for index in range(len(data))], longest) == split([data], longest)


@given(STREAMS, LONGEST)
def test_joined_pieces_are_the_lines_of_the_whole(data: bytes, longest: int) -> None:
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    pieces = split([data], longest)
    assert joined(pieces) == [text_of(line) for line in lines]
    assert split([data], WITHOUT_END) == [(text_of(line), False) for line in lines]


@given(STREAMS, LONGEST)
def test_no_piece_is_too_long_or_needlessly_short(data: bytes, longest: int) -> None:
    """Measured on bytes that are text: of others, a byte becomes four characters."""
    data = text_of(data).encode()
    for text, continued in split([data], longest):
        length = len(text.encode())
        assert length <= longest
        if continued:
            assert length > longest - 4


@given(st.text(alphabet="aé€😀\n", max_size=80), LONGEST)
def test_no_character_is_cut(text: str, longest: int) -> None:
    for piece, _ in split([text.encode()], longest):
        assert "\\x" not in piece


@given(STREAMS, LONGEST)
def test_what_is_no_text_is_cut_as_a_decoder_would_read_it(data: bytes, longest: int) -> None:
    """Pieces decoded one by one read like one stream through Python's own incremental decoder."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    whole = decoder.decode(data, final=True)
    assert "\n".join(joined(split([data], longest))) == whole.removesuffix("\n")


def test_lines_are_given_as_soon_as_they_are_whole() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"one\ntw")) == [("one", False)]
    assert list(splitter.feed(b"o")) == []
    assert list(splitter.feed(b"\n\nthree")) == [("two", False), ("", False)]
    assert list(splitter.end()) == [("three", False)]
    assert list(splitter.end()) == []


def test_a_line_of_just_the_longest() -> None:
    assert split([b"x" * 8 + b"\n"], 8) == [("x" * 8, False)]
    assert split([b"x" * 9 + b"\n"], 8) == [("x" * 8, True), ("x", False)]


def test_carriage_returns_are_not_ours_to_drop() -> None:
    assert split([b"a\r\nb\rc\n"], 8) == [("a\r", False), ("b\rc", False)]


@pytest.mark.parametrize("longest", [-1, 0, 3])
def test_too_short_a_bound(longest: int) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        LineSplitter(longest)


def test_memory_is_bounded_and_time_is_linear() -> None:
    splitter, length, count = LineSplitter(), 0, 0
    chunk = bytes(range(65, 91)) * 2520  # 64 KiB or so, that divides nothing
    tracemalloc.start()
    try:
        for _ in range(1000):
            for text, continued in splitter.feed(chunk):
                assert continued
                length += len(text)
                count += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    (last,) = splitter.end()
    assert length + len(last[0]) == 1000 * len(chunk)
    assert count == length // 65_536
    assert peak < 2 << 20


# --- the receiver, on real pipes


class Piped:
    """A receiver at one end of a pipe, the test at the other."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []
        self.then: Callable[[], object] = lambda: None

    def take(self, text: str, continued: bool) -> None:
        self.lines.append((text, continued))
        self.then()

    @classmethod
    async def make(cls) -> Piped:
        self = cls()
        loop = asyncio.get_running_loop()
        self.receiver = LineReceiver(self.take, loop)
        reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.receiver.read_from(reading)
        return self

    def write(self, data: bytes) -> int:
        return os.write(self.writing, data)

    def fill(self) -> int:
        """Writes until the pipe takes no more."""
        count = 0
        try:
            while True:
                count += self.write(b"x" * 4095 + b"\n")
        except BlockingIOError:
            return count

    def close(self) -> None:
        os.close(self.writing)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.lines) < count:  # noqa: ASYNC110 - nothing tells of a line but the list that it lands in
                await asyncio.sleep(0.001)


def test_lines_arrive_and_the_end_is_told(run: Run) -> None:
    async def main() -> None:
        piped = await Piped.make()
        piped.write(b"one\ntwo\nlast")
        await piped.until(2)
        assert piped.lines == [("one", False), ("two", False)]
        assert not piped.receiver.ended.done()
        piped.close()
        await piped.receiver.ended
        assert piped.lines[2:] == [("last", False)]

    run(main())


def test_the_end_is_told_when_the_last_writer_has_gone(run: Run) -> None:
    async def main() -> None:
        piped = await Piped.make()
        other = os.dup(piped.writing)
        piped.close()
        await asyncio.sleep(0.02)
        assert not piped.receiver.ended.done()
        os.close(other)
        await piped.receiver.ended

    run(main())


def test_a_paused_receiver_lets_the_writer_wait(run: Run) -> None:
    async def main() -> None:
        piped = await Piped.make()
        piped.receiver.pause()
        piped.receiver.pause()
        written = piped.fill()
        await asyncio.sleep(0.02)
        assert piped.lines == []
        with pytest.raises(BlockingIOError):
            piped.write(b"no room")
        piped.receiver.resume()
        piped.receiver.resume()
        await piped.until(written // 4096)
        piped.write(b"room again\n")
        await piped.until(written // 4096 + 1)
        piped.close()
        await piped.receiver.ended
        assert piped.lines[-1] == ("room again", False)

    run(main())


def test_the_end_while_paused_waits_and_nothing_is_lost(run: Run) -> None:
    async def main() -> None:
        piped = await Piped.make()
        piped.receiver.pause()
        piped.write(b"unread\nrest")
        piped.close()
        await asyncio.sleep(0.02)
        assert not piped.receiver.ended.done()
        piped.receiver.resume()
        await piped.receiver.ended
        assert piped.lines == [("unread", False), ("rest", False)]

    run(main())


@pytest.mark.parametrize("paused", [False, True])
def test_closed_by_us_whoever_holds_the_other_end(run: Run, paused: bool) -> None:
    async def main() -> None:
        piped = await Piped.make()
        piped.write(b"begun")
        await asyncio.sleep(0.02)
        if paused:
            piped.receiver.pause()
        piped.receiver.close()
        piped.receiver.pause()
        piped.receiver.resume()
        piped.receiver.close()
        await piped.receiver.ended
        for late in (piped.receiver.pause, piped.receiver.resume, piped.receiver.close):
            late()
        assert piped.lines == [("begun", False)]
        with pytest.raises(BrokenPipeError):
            piped.write(b"to nobody")
        piped.close()

    run(main())


def test_pausing_in_the_midst_of_lines(run: Run) -> None:
    """From a callback, as a supervisor does whose terminal is slow: what was read already still comes."""

    async def main() -> None:
        piped = await Piped.make()
        piped.then = piped.receiver.pause
        piped.write(b"a\nb\nc\n")
        await piped.until(3)
        piped.write(b"d\n")
        await asyncio.sleep(0.02)
        assert len(piped.lines) == 3
        piped.receiver.resume()
        await piped.until(4)
        piped.receiver.resume()
        piped.close()
        await piped.receiver.ended

    run(main())


def test_a_paused_receiver_of_which_the_loop_cannot_hear_again(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        piped = await Piped.make()
        piped.write(b"one\nrest")
        await piped.until(1)
        piped.receiver.pause()
        assert piped.receiver._pipe is not None
        # No loop hears of a file: epoll_ctl(2) answers EPERM.
        file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.dup2(file, piped.receiver._pipe.get_extra_info("fileno"), inheritable=False)
        os.close(file)
        with pytest.raises(PermissionError):
            piped.receiver.resume()
        await piped.receiver.ended
        assert piped.lines == [("one", False), ("rest", False)]
        piped.close()

    run(main())


def test_an_error_of_a_line_loses_neither_other_lines_nor_the_end(run: Run) -> None:
    async def main() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context.get("exception"))))
        piped = await Piped.make()

        def fail() -> None:
            raise ValueError(piped.lines[-1][0])

        piped.then = fail
        piped.write(b"one\ntwo\nlast")
        piped.close()
        async with asyncio.timeout(20):
            await piped.receiver.ended
        assert piped.lines == [("one", False), ("two", False), ("last", False)]
        assert told == ["one", "two", "last"]

    run(main())

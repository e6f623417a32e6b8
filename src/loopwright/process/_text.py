"""Text instead of bytes: what a process reads and writes, decoded and encoded as it flows.

Theory of operation. A block that was read may end anywhere: within a character, between the two of a `\\r\\n`. So one
incremental decoder follows a stream for all its life, and holds back what is not whole yet (`io.TextIOWrapper` does the
same for files, with the same two decoders, one inside the other). Nothing is taken from the stream underneath but in
one step with putting it here, so a reader that is cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
import codecs
import io
import locale
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.errors import ArgumentsConflictError, TextModeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Any

__all__ = ["LONGEST_PIECE", "WAITING", "TextMode", "TextReader", "TextWriter", "at_once", "bytes_piece", "text_mode"]

#: What is asked of a stream at once: what Linux keeps in a pipe by default (pipe(7)).
BLOCK = 65_536

#: The longest piece of a line that is handed on at once, in bytes or characters; no less than a StreamReader's limit.
LONGEST_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class TextMode:
    """How text and bytes become each other."""

    encoding: str
    errors: str

    def decoder(self) -> io.IncrementalNewlineDecoder:
        """A decoder for one stream, that makes every kind of line end a `\\n`."""
        return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.encoding)(self.errors), translate=True)

    def encode(self, text: str) -> bytes:
        return text.encode(self.encoding, self.errors)

    def decode_part(self, data: bytes) -> str:
        """Decode what may begin or end within a character: that is then written as `\\xNN`, and nothing raises."""
        forgiving = "backslashreplace" if self.errors == "strict" else self.errors
        return TextMode(self.encoding, forgiving).decoder().decode(data, final=True)


def text_mode(
    text: bool | None, encoding: str | None, errors: str | None, universal_newlines: bool | None, bufsize: int
) -> TextMode | None:
    """What these arguments of `subprocess.Popen` ask for; None is bytes. The encoding is the locale's by default.

    LookupError for an encoding or a way of handling errors that does not exist, before anything is started.
    """
    if not isinstance(bufsize, int):
        raise TypeError(f"bufsize must be an integer, not {bufsize!r}")
    if text is not None and universal_newlines is not None and bool(text) != bool(universal_newlines):
        raise ArgumentsConflictError(
            f"text={text!r} and universal_newlines={universal_newlines!r} are two names of one thing: give only text="
        )
    if not (text or universal_newlines or encoding or errors):
        return None
    mode = TextMode(encoding or _usual_encoding(), errors or "strict")
    "".encode(mode.encoding)  # raises for what is none, and for codecs that are not of text ("hex")
    codecs.lookup_error(mode.errors)
    return mode


def _usual_encoding() -> str:
    return "utf-8" if sys.flags.utf8_mode else locale.getencoding()


class TextReader:
    """Text from a process: what `asyncio.StreamReader` is for bytes, with its names, for `str`.

    Decoded as it comes, so a character is never broken; `\\r\\n` and `\\r` become `\\n`, as in subprocess's text mode.
    UnicodeDecodeError where the bytes are none of that encoding, unless the process was started with another `errors=`.
    """

    def __init__(self, reader: asyncio.StreamReader, mode: TextMode) -> None:
        self.buffer = reader
        """The stream underneath, of bytes. What was taken out of it already, to be decoded, is not in it any more."""
        self.mode = mode
        self._decoder = mode.decoder()
        self._text = ""
        self._at = 0
        self._ended = False

    @property
    def encoding(self) -> str:
        """The encoding."""
        return self.mode.encoding

    async def read(self, n: int = -1) -> str:
        """At most `n` characters, as soon as there is one; all until the end if `n` is negative; "" at the end."""
        if n < 0:
            return await self._gather(self._block, until_newline=False)
        while n and self._at == len(self._text):
            if not await self._fill():
                break
        begin, self._at = self._at, min(self._at + n, len(self._text))
        return self._text[begin : self._at]

    async def readline(self) -> str:
        """A line with its `\\n`, however long it is; without one it is the last; "" at the end.

        The whole line is held in memory: `Process.lines()` gives one of any length in pieces.
        """
        return await self._gather(self.piece, until_newline=True)

    async def piece(self) -> tuple[str, bool] | None:
        """A line with its newline; or a part of one that is too long, marked with True; None at the end."""
        searched = self._at
        while True:
            newline = self._text.find("\n", searched, self._at + LONGEST_PIECE + 1)
            begin = self._at
            if newline >= 0:
                self._at = newline + 1
                return self._text[begin : self._at], False
            # One more than fits, so that what is marked as continued truly is.
            if len(self._text) - begin > LONGEST_PIECE:
                self._at = begin + LONGEST_PIECE
                return self._text[begin : self._at], True
            searched = len(self._text) - begin
            if not await self._fill():
                self._at = len(self._text)
                return (self._text[begin:], False) if self._at > begin else None

    def at_eof(self) -> bool:
        """Whether all of it was read, as far as is known yet."""
        return self._ended and self._at == len(self._text)

    def finish(self, data: bytes) -> str:
        """Everything that is left, given all that is left of the stream underneath."""
        before, self._text, self._at, self._ended = self._text[self._at :], "", 0, True
        return before + self._decoder.decode(data, final=True)

    def __aiter__(self) -> TextReader:
        return self

    async def __anext__(self) -> str:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def _block(self) -> tuple[str, bool] | None:
        if self._at == len(self._text) and not await self._fill():
            return None
        begin, self._at = self._at, len(self._text)
        return self._text[begin:], True

    async def _gather(self, part: Callable[[], Awaitable[tuple[str, bool] | None]], *, until_newline: bool) -> str:
        parts: list[str] = []
        try:
            while (found := await part()) is not None:
                parts.append(found[0])
                if until_newline and not found[1]:
                    break
        except BaseException:  # above all a cancellation: the next reader gets what this one had
            self._text, self._at = "".join(parts) + self._text[self._at :], 0
            raise
        return "".join(parts)

    async def _fill(self) -> bool:
        """Take more text out of the stream; False at its end. The text that was read before is let go of."""
        while not self._ended:
            data = await self.buffer.read(BLOCK)
            self._ended = not data
            if text := self._decoder.decode(data, final=not data):
                self._text, self._at = self._text[self._at :] + text, 0
                return True
        return False


class TextWriter:
    """Text for a process: what `asyncio.StreamWriter` is for bytes, with its names, for `str`."""

    def __init__(self, writer: asyncio.StreamWriter, mode: TextMode) -> None:
        self.buffer = writer
        """The stream underneath, of bytes."""
        self.mode = mode
        # Incremental here too: what an encoding begins with (UTF-16's byte order mark) comes once.
        self._encoder = codecs.getincrementalencoder(mode.encoding)(mode.errors)

    @property
    def encoding(self) -> str:
        """The encoding."""
        return self.mode.encoding

    @property
    def transport(self) -> Any:
        """The loop's transport."""
        return self.buffer.transport

    def write(self, text: str) -> None:
        """Write text, as far as the pipe takes it at once; the rest is kept and written when it does: see `drain()`.

        TextModeError for bytes; UnicodeEncodeError for what the encoding does not have.
        """
        if not isinstance(text, str):
            raise TextModeError(wrong_type(text, self.mode))
        self.buffer.write(self._encoder.encode(text))

    def writelines(self, texts: Iterable[str]) -> None:
        """Write several; no newlines are added."""
        self.write("".join(texts))

    async def drain(self) -> None:
        """Wait while too much is kept (64 KiB by default)."""
        await self.buffer.drain()

    def can_write_eof(self) -> bool:
        """Whether `write_eof()` can be called: yes."""
        return self.buffer.can_write_eof()

    def write_eof(self) -> None:
        """Close it once what is kept has been written."""
        self.buffer.write_eof()

    def close(self) -> None:
        """Close it once what is kept has been written."""
        self.buffer.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.buffer.is_closing()

    async def wait_closed(self) -> None:
        """Wait until it is closed."""
        await self.buffer.wait_closed()


async def bytes_piece(reader: asyncio.StreamReader) -> tuple[bytes, bool] | None:
    """What `TextReader.piece()` is, for a stream of bytes. Takes nothing out of it until there is a whole piece."""
    try:
        return await reader.readuntil(b"\n"), False
    except asyncio.IncompleteReadError as end:
        return (end.partial, False) if end.partial else None
    except asyncio.LimitOverrunError as error:
        # More than that is there, with or without a newline behind it, so this does not wait and is not the last.
        return await reader.readexactly(min(error.consumed, LONGEST_PIECE)), True


#: What a stream has nothing of yet.
WAITING = object()


def at_once(reading: Coroutine[Any, Any, Any]) -> Any:
    """What a read from a stream gives if it need not wait; else WAITING: the read is dropped, and has taken nothing."""
    try:
        reading.send(None)
    except StopIteration as end:
        return end.value
    reading.close()
    return WAITING


def wrong_type(given: object, mode: TextMode | None) -> str:
    """What to say to somebody who gave bytes for str or the other way round."""
    kind = type(given).__name__
    if mode is not None:
        return (
            f"a process in text mode is written str, not {kind}: decode it, or start the process without text=, "
            "encoding=, errors= and universal_newlines="
        )
    return f"a process is written bytes, not {kind}: encode it, or start the process with text=True or encoding="

"""A child process whose streams are text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loopwright.process._process import Process
from loopwright.process._text import TextReader, TextWriter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from loopwright._spawning import Child, Command
    from loopwright.process._outlet import Outlet
    from loopwright.process._pipes import ReadPipe, WritePipe
    from loopwright.process._standing import Kept
    from loopwright.process._text import TextMode

__all__ = ["TextProcess", "new_process"]


class TextProcess(Process):
    """A `Process` started in text mode: the same, with streams of str, decoded as they come."""

    __slots__ = ()

    stdin: TextWriter | None  # type: ignore[assignment]

    @property
    def stdout(self) -> TextReader | None:  # type: ignore[override]
        """Where to read its output, with `stdout=PIPE`; else None."""
        return self._of_text(super().stdout, "_stdout")

    @property
    def stderr(self) -> TextReader | None:  # type: ignore[override]
        """Where to read its errors, with `stderr=PIPE`; else None."""
        return self._of_text(super().stderr, "_stderr")

    def _of_text(self, stream: Any, name: str) -> TextReader | None:
        if stream is None or isinstance(stream, TextReader) or self._text_mode is None:
            return stream  # type: ignore[no-any-return]
        text = TextReader(stream, self._text_mode)
        setattr(self, name, text)
        return text


def new_process(
    mode: TextMode | None,
    child: Child,
    args: Command,
    loop: asyncio.AbstractEventLoop,
    stdin: asyncio.StreamWriter | None,
    stdout: Outlet | asyncio.StreamReader | None,
    stderr: Outlet | asyncio.StreamReader | None,
    pipes: Sequence[Outlet | ReadPipe | WritePipe],
    kept: Kept,
) -> Process:
    """The object for a child, of bytes or of text."""
    if mode is None:
        return Process(child, args, loop, stdin, stdout, stderr, pipes, kept)
    writer: Any = stdin and TextWriter(stdin, mode)
    process = TextProcess(child, args, loop, writer, stdout, stderr, pipes, kept)
    process._text_mode = mode
    return process

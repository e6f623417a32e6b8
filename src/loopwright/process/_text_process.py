"""A child process whose streams are text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loopwright.process._process import Process
from loopwright.process._text import TextReader, TextWriter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from loopwright._spawning import Child, Command
    from loopwright.process._pipes import ReadPipe, WritePipe
    from loopwright.process._standing import Kept
    from loopwright.process._text import TextMode

__all__ = ["TextProcess", "new_process"]


class TextProcess(Process):
    """A `Process` started in text mode: the same, with streams of str, decoded as they come."""

    __slots__ = ()

    stdin: TextWriter | None  # type: ignore[assignment]
    stdout: TextReader | None  # type: ignore[assignment]
    stderr: TextReader | None  # type: ignore[assignment]


def new_process(
    mode: TextMode | None,
    child: Child,
    args: Command,
    loop: asyncio.AbstractEventLoop,
    stdin: asyncio.StreamWriter | None,
    stdout: asyncio.StreamReader | None,
    stderr: asyncio.StreamReader | None,
    pipes: Sequence[ReadPipe | WritePipe],
    kept: Kept,
) -> Process:
    """The object for a child, of bytes or of text."""
    if mode is None:
        return Process(child, args, loop, stdin, stdout, stderr, pipes, kept)
    streams: tuple[Any, Any, Any] = (
        stdin and TextWriter(stdin, mode),
        stdout and TextReader(stdout, mode),
        stderr and TextReader(stderr, mode),
    )
    process = TextProcess(child, args, loop, *streams, pipes, kept)
    process._text_mode = mode
    return process

"""A child process whose streams are text."""

from __future__ import annotations

from typing import Any

from loopwright.process._process import Process
from loopwright.process._text import TextReader, TextWriter

__all__ = ["TextProcess"]


class TextProcess(Process):
    """A `Process` started in text mode: the same, with streams of str, decoded as they come."""

    __slots__ = ()

    stdin: TextWriter | None  # type: ignore[assignment]

    def __init__(self, *made: Any) -> None:
        super().__init__(*made)
        writer: Any = self.stdin
        if writer is not None and self._text_mode is not None:
            self.stdin = TextWriter(writer, self._text_mode)

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

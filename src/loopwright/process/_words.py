"""What is said of a process in an error: its command, how it ended, the end of what it had to say."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loopwright._core import ExitStatus, StatusLost
    from loopwright._spawning import Command

__all__ = ["command_words", "ending_words", "held_words", "pipeline_words", "shortened", "size_words", "tail_words"]

#: The longest a command is in an error, in characters.
COMMAND = 200

#: How much of its standard error an error shows.
TAIL_LINES = 10
TAIL = 2_000

CUT = " [...] "


def printable(text: str) -> str:
    """One line that a terminal takes as text: whatever is not to be seen as a character becomes an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters: of more, the middle is left out. ValueError if that leaves no room for any."""
    if longest < len(CUT) + 2:
        raise ValueError(f"no text can be shortened to {longest} characters")
    if len(text) <= longest:
        return text
    end = (longest - len(CUT)) // 3
    return f"{text[: longest - len(CUT) - end]}{CUT}{text[-end:] if end else ''}"


def command_words(args: Command, longest: int = COMMAND) -> str:
    """A command as one would type it into a shell, on one line, shortened. A string is taken for a shell's line."""
    if isinstance(args, (str, bytes, os.PathLike)):
        return shortened(printable(os.fsdecode(args)), longest)
    return shortened(printable(shlex.join(os.fsdecode(word) for word in args)), longest)


def pipeline_words(commands: Sequence[Command]) -> str:
    """Commands with a bar in between; each gets its share of the room."""
    share = max(40, COMMAND // max(1, len(commands)))
    return " | ".join(command_words(args, share) for args in commands)


def tail_words(written: str | bytes | None, lines: int = TAIL_LINES, longest: int = TAIL) -> str:
    """The last lines of what a process wrote, at most so many lines and characters; escapes for what is no text."""
    if not written:
        return ""
    # 4 bytes are a character at most, and only the end is wanted of what may be megabytes.
    end = written[-4 * longest :]
    text = end.decode("utf-8", "backslashreplace") if isinstance(end, bytes) else end
    found = text.replace("\r\n", "\n").rstrip().split("\n")
    kept = "\n".join(printable(line.replace("\t", "    ")) for line in found[-lines:])
    if len(kept) > longest:
        return CUT.lstrip() + kept[-(longest - len(CUT) + 1) :]
    return kept


def size_words(written: str | bytes | None, kind: str, omitted: int = 0) -> str:
    """How much a process wrote, to be put behind how it ended; nothing of what was not captured."""
    if written is None:
        return ""
    unit = "character" if isinstance(written, str) else "byte"
    left_out = f" ({omitted} bytes left out)" if omitted else ""
    return f", {len(written)} {unit}{'' if len(written) == 1 else 's'} of {kind}{left_out}"


def held_words(command: str, status: object, timeout: float) -> str:
    """What is said of a command that has ended, and of which a time limit is over nonetheless."""
    return (
        f"{command} {status}, but after {timeout:g} s something that it started still held its pipes; "
        "linger= says how many seconds that is waited for"
    )


def ending_words(
    command: str, status: ExitStatus | StatusLost, duration: float, stderr: str | bytes | None, more: str = ""
) -> str:
    """The whole of what is said of a process that failed."""
    said = tail_words(stderr)
    behind = ":\n" + "\n".join(f"    {line}" for line in said.split("\n")) if said else ""
    return f"`{command}` {status} after {duration:.3g} s{more}{behind}"

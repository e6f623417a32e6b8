"""Files as text, and the environment files that services name."""

from __future__ import annotations

import codecs
import io
import os
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream

from loopwright.supervision.config._mistakes import Unfit, show
from loopwright.supervision.config._values import variable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["environment_of", "text_of"]

#: How much of a wrong line is repeated: the rest of it may well be a password.
SHOWN = 20


def text_of(path: Path) -> str:
    """The file's text. `Unfit`, with what was found instead, if there is none or it is not UTF-8."""
    try:
        # A byte order mark, which some editors put in front of UTF-8, is no part of the text. Not by "utf-8-sig", which
        # Python imports when it is first used: where that fails once, it is unknown for as long as the program runs.
        return path.read_bytes().removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Unfit(found=f"byte 0x{error.object[error.start]:02x}, which is not UTF-8, in line {line}") from None
    except FileNotFoundError:
        raise Unfit(found="no such file") from None
    except IsADirectoryError:
        raise Unfit(found="a directory") from None
    except PermissionError:
        raise Unfit(found=f"a file that user {os.geteuid()} may not read") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Unfit(found=f"a file that cannot be read: {reason}") from None


def environment_of(path: Path, name: str, wrong: Callable[[str, str], None]) -> dict[str, str]:
    """The variables that an environment file sets; `name` is how the configuration calls it.

    Written as python-dotenv reads it, but `${NAME}` stays as it is: what a service gets must not depend on
    the terminal from which it was started. `wrong` is told of every mistake: what was found, what would be
    right.
    """
    try:
        text = text_of(path)
    except Unfit as unfit:
        wrong(f"{show(name)}: {unfit.found}", f"NAME=value lines in UTF-8 in {show(str(path), 200)}")
        return {}
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        line = binding.original.line + written[: len(written) - len(written.lstrip())].count("\n")
        before, equals, _ = written.strip().partition("=")
        shown = show(before, SHOWN)[:-1] + (' = …"' if equals else '"')
        if binding.error or (binding.key is not None and binding.value is None):
            right = "NAME=value, # and a comment, or nothing; quotes around a value must be closed"
            wrong(f"{shown} in line {line} of {show(name)}", right)
        elif binding.key is not None and binding.value is not None:
            try:
                variable(binding.key)
            except Unfit as unfit:
                wrong(f"{unfit.found} in line {line} of {show(name)}", str(unfit.right))
            if "\0" in binding.value:
                wrong(f"a null character in line {line} of {show(name)}", "text without one (execve(2))")
            values[binding.key] = binding.value
    return values

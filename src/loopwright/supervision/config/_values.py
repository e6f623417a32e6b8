"""From what a person writes (`"1m30s"`, `"TERM"`, `"python web.py"`) to the plain values that the schema
checks.

Each function takes whatever TOML gave and returns something that msgspec then holds against the field's type
and range, or raises `Unfit`. A value of a type it does not know it hands on as it is: msgspec refuses it.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
import signal
import sys

from loopwright.supervision._patterns import compiled
from loopwright.supervision.config._mistakes import LARGEST, Unfit, WrittenFloat, found, show

__all__ = [
    "command",
    "file_names",
    "line",
    "names",
    "number",
    "path_text",
    "patterns",
    "seconds",
    "stop_signal",
    "text",
    "variable",
]

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m(?!s))?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?"
)
PYTHON = "@python"
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

#: Neither asks a program to end: SIGSTOP halts it where it is and SIGCONT wakes it up (signal(7)).
NEVER_ENDS = (signal.SIGSTOP, signal.SIGCONT)


def number(value: object) -> object:
    """A finite number as a float. Infinity and nan are numbers to TOML, and no delay or factor to anybody."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int) and abs(value) > LARGEST:
        raise Unfit
    if not math.isfinite(value):
        raise Unfit
    return float(value)


def seconds(value: object) -> object:
    """A duration in seconds, from a number of them or from text such as `1m30s`."""
    if not isinstance(value, str):
        return number(value)
    match = DURATION.fullmatch(value)
    if match is None or not value:
        raise Unfit
    return number(math.fsum(float(part) * UNITS[unit] for unit, part in match.groupdict().items() if part))


def stop_signal(value: object) -> object:
    """A signal's number, from that number or from its name with or without SIG, in any case."""
    if isinstance(value, str):
        name = value.upper()
        members = signal.Signals.__members__
        member = members.get(name) or members.get(f"SIG{name}")
        if member is None:
            near = difflib.get_close_matches(name[:20], [*members, *(each[3:] for each in members)], 1)
            raise Unfit(right=show(near[0]) if near else None)
        value = member
    if isinstance(value, int) and value in NEVER_ENDS:
        raise Unfit(right='a signal that asks a program to end, such as "SIGTERM" or "SIGINT"')
    return int(value) if isinstance(value, signal.Signals) else value


def command(value: object) -> object:
    """A program and its arguments, from a list of them or from one string, split as a POSIX shell would."""
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise Unfit(
                found=f"{show(value)}, which has {str(error).lower()}",
                right="a string whose quotes are closed, or a list of strings",
            ) from None
    if isinstance(value, list):
        _all_text(value)
        if value and not value[0]:
            raise Unfit
        if value and value[0].startswith("@"):
            return [_special(value[0]), *value[1:]]
    return value


def _special(program: str) -> str:
    """What stands for a program by a sign: a file that says `python` means whichever PATH has, and that is often not
    the one in whose environment the services' libraries, and Loopwright, are."""
    if program != PYTHON:
        raise Unfit(right=f'a program; with an @ there is only "{PYTHON}", the Python that Loopwright runs on')
    return sys.executable


def names(value: object) -> object:
    """A list of names, from such a list or from a single one."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        _all_text(value)
    return value


def file_names(value: object) -> object:
    """Like `names`; none of them empty."""
    value = names(value)
    if isinstance(value, list) and "" in value:
        raise Unfit
    return value


def patterns(value: object) -> object:
    """A list of regular expressions, from such a list or from a single one."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        for each in value:
            if not isinstance(each, str):
                raise Unfit(found=f"{found(each)} in {show(value)}")
            try:
                compiled(each)
            except ValueError as error:
                raise Unfit(found=f"{show(each)}, which cannot be used: {show(str(error))}") from None
    return value


def path_text(value: object) -> object:
    """A path as text."""
    if isinstance(value, str):
        _no_null(value)
    return value


def line(value: object) -> object:
    """Text that can stand on one line of a terminal."""
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise Unfit
    return value


def text(value: object) -> object:
    """An environment variable's value. Numbers become the text they were written as; booleans are refused."""
    if isinstance(value, bool):
        raise Unfit(right=f"text in quotes: {show(str(value).lower())}")
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise Unfit(right="text in quotes: as a number it has more digits than TOML allows")
        return str(value)
    if isinstance(value, WrittenFloat):
        return value.written
    if isinstance(value, str):
        _no_null(value)
    return value


def variable(name: str) -> None:
    """Refuses what cannot name an environment variable (environ(7): `name=value`, ended by a null byte)."""
    if not name or "=" in name or "\0" in name:
        raise Unfit(
            found=f"{show(name)} as a variable's name",
            right="a name that is not empty and has no = and no null character",
        )


def _all_text(values: list[object]) -> None:
    for each in values:
        if not isinstance(each, str):
            raise Unfit(found=f"{found(each)} in {show(values)}", right="strings only, each in quotes")
        _no_null(each)


def _no_null(value: str) -> None:
    if "\0" in value:
        raise Unfit(right="text without a null character, which the kernel takes for its end (execve(2))")

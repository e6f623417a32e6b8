r"""A child's line, made safe to show.

What a program prints is not ours to trust: an escape sequence in a log line can move the cursor, retitle the
window or make the terminal type (CWE-150). So only colours pass, and only where colours are wanted;
everything else that would act instead of being seen is written out, as `\x1b` for an escape, and no text is
lost.
"""

from __future__ import annotations

import re

__all__ = ["safe"]

RESET = "\x1b[0m"

# "Select graphic rendition": ECMA-48 section 8.3.117, with the colons of ITU T.416. Those that begin with `>`
# or `?` set keyboard modes in xterm and are not colours. The bound keeps a parser from being fed megabytes of
# parameters.
_COLOUR = r"\x1b\[[0-9;:]{0,100}m"

# C0 but tab, DEL, C1; the separators that some readers take for a newline; the marks that turn the direction
# of writing, with which text can pose as other text (CVE-2021-42574); lone surrogates, which no encoding
# takes.
_ACTIVE = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"

_FIND = re.compile(f"({_COLOUR})|{_ACTIVE}")
_COLOURS = re.compile(_COLOUR)


def safe(line: str, *, color: bool = False, continued: bool = False) -> str:
    r"""`line` as one line of text that does nothing but be read.

    With `color`, colours stay, and end with the line; without, they are left out. Tabs stay. Every other
    control character is written as in Python (`\x07`, `\r`, `\u202e`); the bytes of a surrogate escape (PEP
    383) as `\xff`. Carriage returns at the end, which draw nothing, are dropped unless the line goes on in
    the next piece (`continued`); one inside, as of a progress bar, is shown, so that what it would have
    overwritten can be read.
    """
    if line.isprintable():
        return line  # nothing of what is looked for below counts as printable, and this is quicker asked
    if not continued:
        line = line.rstrip("\r")
    if not color:
        return _FIND.sub(_without_colour, line)
    shown = _FIND.sub(_with_colour, line)
    colours = _COLOURS.findall(shown)
    return shown + RESET if colours and colours[-1] not in (RESET, "\x1b[m") else shown


def _without_colour(found: re.Match[str]) -> str:
    return "" if found[1] else _written_out(found[0])


def _with_colour(found: re.Match[str]) -> str:
    return found[1] or _written_out(found[0])


def _written_out(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

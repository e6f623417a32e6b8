from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loopwright.cli._text import safe

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

# What programs print, and what hostile ones do: pieces that hypothesis would rarely put together by itself.
PIECES = st.sampled_from(
    [
        "\x1b[31m",
        "\x1b[0m",
        "\x1b[m",
        "\x1b[38;2;1;2;3m",
        "\x1b[",
        "\x1b",
        "\x9b31m",
        "31m",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x1b[?25l",
        "\x1b[>4;2m",
        "\r",
        "\n",
        "\t",
        "\b",
        "\x7f",
        "\u202e",
        "\u2028",
        "\udcff",
        "\ud800",
        "text",
        "grüße",
        "日本",
        "🙂",
        "\\x1b",
        "\\",
    ]
)
LINES = st.lists(PIECES | st.text(st.characters(), max_size=4), max_size=12).map("".join)


def acts(character: str) -> bool:
    """Whether a terminal or reader does something on this character beside showing it, asked of Unicode itself."""
    if character == "\t":
        return False
    turns_direction = unicodedata.bidirectional(character) in {
        *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    return turns_direction or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("line", "plain", "coloured"),
    [
        ("ready", "ready", "ready"),
        ("", "", ""),
        ("a\tb", "a\tb", "a\tb"),
        ("grüße 日本 🙂", "grüße 日本 🙂", "grüße 日本 🙂"),
        ("\x1b[32mINFO\x1b[0m ready", "INFO ready", "\x1b[32mINFO\x1b[0m ready"),
        ("\x1b[1;31mred to the end", "red to the end", "\x1b[1;31mred to the end\x1b[0m"),
        ("\x1b[31mred\x1b[m", "red", "\x1b[31mred\x1b[m"),
        ("\x1b[4:3mwavy", "wavy", "\x1b[4:3mwavy\x1b[0m"),
        ("clear\x1b[2Jscreen", r"clear\x1b[2Jscreen", r"clear\x1b[2Jscreen"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[>4;2mkeyboard", r"\x1b[>4;2mkeyboard", r"\x1b[>4;2mkeyboard"),
        ("\x9b31mcsi in one byte", r"\x9b31mcsi in one byte", r"\x9b31mcsi in one byte"),
        ("passw\b\bord\x7f", r"passw\x08\x08ord\x7f", r"passw\x08\x08ord\x7f"),
        ("windows\r", "windows", "windows"),
        ("10 %\r50 %\r100 %\r", r"10 %\r50 %\r100 %", r"10 %\r50 %\r100 %"),
        ("two\nlines", r"two\nlines", r"two\nlines"),
        ("txt.\u202eexe", r"txt.\u202eexe", r"txt.\u202eexe"),
        ("latin \udce9", r"latin \xe9", r"latin \xe9"),
        ("half \ud83d", r"half \ud83d", r"half \ud83d"),
        ("\x1b[\x1b[0m31mnested", r"\x1b[31mnested", "\\x1b[\x1b[0m31mnested"),
    ],
)
def test_what_becomes_of_a_line(line: str, plain: str, coloured: str) -> None:
    assert safe(line) == plain
    assert safe(line, color=True) == coloured


def test_a_carriage_return_where_a_long_line_was_cut_is_not_the_end_of_the_line() -> None:
    assert safe("50 %\r", continued=True) == r"50 %\r"


def test_a_colour_of_a_megabyte_is_not_one() -> None:
    shown = safe("\x1b[" + "1;" * 500_000 + "m", color=True)
    assert shown.startswith(r"\x1b[1;1;")
    assert "\x1b" not in shown


@given(LINES)
@example("\x85")
def test_plain_text_only_shows(line: str) -> None:
    shown = safe(line)
    assert not [character for character in shown if acts(character)]
    shown.encode("utf-8")


@given(LINES)
def test_coloured_text_only_shows_and_colours_and_ends_uncoloured(line: str) -> None:
    shown = safe(line, color=True)
    assert not [character for character in COLOUR.sub("", shown) if acts(character)]
    colours = COLOUR.findall(shown)
    assert not colours or colours[-1] in ("\x1b[0m", "\x1b[m")


@given(LINES)
def test_doing_it_twice_changes_nothing(line: str) -> None:
    assert safe(safe(line)) == safe(line)
    assert safe(safe(line, color=True), color=True) == safe(line, color=True)


@given(LINES)
def test_colours_are_all_that_the_two_ways_differ_in(line: str) -> None:
    assert safe(safe(line, color=True)) == safe(line)


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"])))
def test_nothing_is_lost(line: str) -> None:
    """What was written out can be read back, so it was all there."""
    line = COLOUR.sub("", line)
    read = safe(line).encode("latin-1", "backslashreplace").decode("unicode_escape")
    assert read == line.rstrip("\r")

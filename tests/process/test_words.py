"""What errors say of a process: one line a command, bounded, and never a character that a terminal obeys."""

from __future__ import annotations

import os
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright._core import ExitStatus
from loopwright.process._words import command_words, ending_words, pipeline_words, shortened, tail_words

WORDS = st.lists(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=20), min_size=1, max_size=8)


@given(WORDS, st.integers(20, 200))
def test_a_command_is_one_line_of_bounded_length(args: list[str], longest: int) -> None:
    words = command_words(args, longest)
    assert len(words) <= longest
    assert words.isprintable()


@given(WORDS)
def test_a_command_that_fits_can_be_typed_into_a_shell(args: list[str]) -> None:
    if all(arg.isprintable() for arg in args):
        assert shlex.split(command_words(args, 10_000)) == args


@given(st.text(), st.integers(9, 300))
def test_shortening_leaves_out_the_middle(text: str, longest: int) -> None:
    short = shortened(text, longest)
    assert len(short) <= longest
    if len(text) <= longest:
        assert short == text
    else:
        begin, _, end = short.partition(" [...] ") if " [...] " not in text else (short[:1], "", "")
        assert begin
        assert text.startswith(begin)
        assert text.endswith(end)


def test_no_room_to_shorten() -> None:
    with pytest.raises(ValueError, match="8"):
        shortened("a text", 8)


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400)), st.integers(1, 5), st.integers(20, 100))
def test_a_tail_is_bounded_and_printable(written: bytes | str, lines: int, longest: int) -> None:
    tail = tail_words(written, lines, longest)
    assert len(tail) <= longest
    assert tail.count("\n") < lines
    assert tail.replace("\n", "").isprintable()


def test_a_tail_is_the_end() -> None:
    assert tail_words(b"".join(b"%d\n" % number for number in range(10_000)), 3) == "9997\n9998\n9999"
    assert tail_words(b"one\r\ntwo\r\n\n\n") == "one\ntwo"
    assert tail_words(b"\x1b[31mred \xff\xc3") == "\\x1b[31mred \\xff\\xc3"
    assert tail_words("") == tail_words(None) == tail_words(b"\n") == ""
    assert tail_words("x" * 5000).startswith("[...] xxx")


def test_commands_of_all_kinds() -> None:
    assert command_words(["git", "commit", "-m", "two words"]) == "git commit -m 'two words'"
    assert command_words([b"\xff", os.fspath("x")]) == "'\\udcff' x"
    assert command_words("echo $HOME") == "echo $HOME"
    assert command_words(["sh", "-c", "a\nb"]) == "sh -c 'a\\nb'"
    assert pipeline_words([["a", "b c"], ["d"]]) == "a 'b c' | d"


def test_an_ending() -> None:
    assert ending_words("x", ExitStatus(3), 0.51, b"") == "`x` exited with status 3 after 0.51 s"
    assert ending_words("x", ExitStatus(3), 2, b"a\nb\n") == "`x` exited with status 3 after 2 s:\n    a\n    b"

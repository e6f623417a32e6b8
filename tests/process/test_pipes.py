"""Descriptors that two parties close: never a second time, when the number may be another file's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from loopwright.process._pipes import PipeFile

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def reading(no_leaks: None) -> Iterator[int]:
    """The reading end of a pipe; the writing end stays open meanwhile, as a child's does while its pipe is joined."""
    reading, writing = os.pipe()
    yield reading
    os.close(writing)


def test_its_number_is_closed_once(reading: int) -> None:
    file = PipeFile(reading)
    assert file.fileno() == reading
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    again = os.dup(2)
    assert again == reading
    file.close()
    os.fstat(again)
    os.close(again)


def test_what_the_loop_has_closed_is_let_alone(reading: int) -> None:
    file = PipeFile(reading)
    os.close(reading)
    file.close()


def test_so_is_the_file_that_got_its_number(reading: int) -> None:
    file = PipeFile(reading)
    os.close(reading)
    others = os.open(os.devnull, os.O_RDONLY)
    assert others == reading
    file.close()
    os.fstat(others)
    os.close(others)

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.errors import ConfigurationError
from loopwright.supervision.config import Configuration, Mistake, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Descriptors alone, which is quick: these tests are hundreds and tiny, and nothing here opens more than files."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], Configuration]:
    """Writes a file with that text and reads it."""

    def write_and_read(text: str) -> Configuration:
        file = tmp_path / "loopwright.toml"
        file.write_text(text, encoding="utf-8")
        return read(file)

    return write_and_read


@pytest.fixture
def mistakes(configured: Callable[[str], Configuration]) -> Callable[[str], list[Mistake]]:
    """All that is wrong with a file of that text."""

    def of(text: str) -> list[Mistake]:
        with pytest.raises(ConfigurationError) as caught:
            configured(text)
        found = list(caught.value.mistakes)
        assert all(isinstance(mistake, Mistake) for mistake in found)
        return found

    return of


@pytest.fixture
def wrong(mistakes: Callable[[str], list[Mistake]]) -> Callable[[str], Mistake]:
    """The one mistake in a `[services.web]` that has a command and these lines."""

    def of(lines: str) -> Mistake:
        (mistake,) = mistakes(f'[services.web]\ncommand = "true"\n{lines}')
        return mistake

    return of


@pytest.fixture
def unprivileged() -> Callable[[str], contextlib.AbstractContextManager[Path]]:
    """Writes a file with that text, beside a folder `locked` with a program `run`, and is nobody while it is open.

    Root may read and enter everything, so permissions only show to somebody else.
    """

    @contextlib.contextmanager
    def become(text: str) -> Iterator[Path]:
        # Not in tmp_path, which is below a folder that only its owner may enter.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            file = folder / "loopwright.toml"
            file.write_text(text, encoding="utf-8")
            locked = folder / "locked"
            locked.mkdir()
            (locked / "run").write_text("#!/bin/sh\n")
            (locked / "run").chmod(0o755)
            (locked / "web.env").write_text("A=1\n")
            locked.chmod(0o000)
            was_root = os.geteuid() == 0
            if was_root:
                os.setresuid(65534, 65534, 0)  # the saved id stays, so that there is a way back
            try:
                yield file
            finally:
                if was_root:
                    os.setresuid(0, 0, 0)
                locked.chmod(0o755)

    return become

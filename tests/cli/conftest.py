from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.sinks import Pipe
from tests.cli.up_session import Up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Loopwright = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def loopwright(tmp_path: Path) -> Loopwright:
    """Runs the real command with those arguments in `tmp_path`, and gives how it ended and what it printed."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "loopwright", *args],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `loopwright up` on services written in TOML; whatever is left at the end is killed."""
    sessions: list[Up] = []

    def start(services: str, *options: str, **popen: Any) -> Up:
        sessions.append(Up(tmp_path, services, *options, **popen))
        return sessions[-1]

    yield start
    for session in sessions:
        session.clean_up()


@pytest.fixture
def pipe(no_leaks: None) -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close_reading()
    made.close_writing()

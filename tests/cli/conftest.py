from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
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

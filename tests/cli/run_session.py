"""Runs one and the same program with python and with `loopwright run`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Ended(NamedTuple):
    status: int
    out: str
    err: str


class Both(NamedTuple):
    """How one and the same program ended."""

    python: Ended
    loopwright: Ended


def end_of(folder: Path, command: Sequence[str], *, stdin: str = "") -> Ended:
    environment = {name: value for name, value in os.environ.items() if name not in ("LOOPWRIGHT_POLICY", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return Ended(done.returncode, *(re.sub("0x[0-9a-f]+", "0x", text) for text in (done.stdout, done.stderr)))


def run_both(folder: Path, *command: str, options: Sequence[str] = (), stdin: str = "") -> Both:
    return Both(
        end_of(folder, [*options, *command], stdin=stdin),
        end_of(folder, [*options, "-m", "loopwright", "run", *command], stdin=stdin),
    )


def write(folder: Path, name: str, source: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))

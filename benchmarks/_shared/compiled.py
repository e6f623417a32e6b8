"""C programs, compiled when they are needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "c"


class NoCompilerError(Exception):
    """There is none, or it failed; says why."""


def compile_c(source: str, to: Path, *options: str, libraries: tuple[str, ...] = ()) -> Path:
    """Compile a file of benchmarks/c into a program with these libraries (`ssl`, say), and give its path."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("the programs that are started, and the limit, are in C: install gcc")
    command = [compiler, "-O2", "-Wall", "-Wextra", *options, str(SOURCES / source), "-o", str(to)]
    command += [f"-l{library}" for library in libraries]  # after what needs them
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoCompilerError(f"{' '.join(command)}\n{done.stderr}")
    return to

"""The options that type checkers know are those that there are."""

from __future__ import annotations

import inspect
import subprocess

from loopwright.process import RunOptions, SpawnOptions, run, spawn


def names_of(function: object) -> set[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}


def test_spawn() -> None:
    assert set(SpawnOptions.__annotations__) == names_of(spawn)


def test_run() -> None:
    assert set(RunOptions.__annotations__) == names_of(spawn) | names_of(run)
    assert not names_of(spawn) & names_of(run)


def test_what_popen_takes() -> None:
    """All that is Popen's, but what only Windows has, and what is still to come."""
    popen = set(inspect.signature(subprocess.Popen).parameters) - {"args", "startupinfo", "creationflags"}
    assert popen - names_of(spawn) <= {"pipesize"}

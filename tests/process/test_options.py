"""The options that type checkers know are those that there are."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path

import pytest

from loopwright.process import RunOptions, SpawnOptions, run, spawn


def names_of(function: object) -> set[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}


def test_spawn() -> None:
    assert set(SpawnOptions.__annotations__) == names_of(spawn)


def test_run() -> None:
    assert set(RunOptions.__annotations__) == names_of(spawn) | names_of(run)
    assert not names_of(spawn) & names_of(run)


TYPES = """
from typing import Any, assert_type
from loopwright.process import Completed, TextLine, check, cmd, run

async def main(text: bool) -> None:
    assert_type(await run(["a"]), Completed[bytes])
    assert_type(await run(["a"], stdin=None, timeout=3, ok=(0, 1)), Completed[bytes])
    assert_type(await run(["a"], text=True, errors="replace"), Completed[str])
    assert_type(await check(["a"], encoding="utf-8", limit=3), Completed[str])
    assert_type(await check(["a"], text=False), Completed[bytes])
    assert_type(await run(["a"], text=text), Completed[Any])
    assert_type(await run(["a"], errors="replace"), Completed[Any])
    assert_type(await cmd("a").check(text=True), Completed[str])
    assert_type(await cmd("a").run(), Completed[Any])
    async with cmd("a").lines(text=True) as lines:
        async for line in lines:
            assert_type(line, TextLine)
    done: Completed = await check(["a"])
    (await check(["a"])).stdout.startswith("x")  # type: ignore[arg-type]
    (await check(["a"], text=True)).stdout.startswith("x")
"""


def test_what_type_checkers_make_of_it(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "user.py").write_text(TYPES)
    root = Path(__file__).parents[2]
    config = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache")]
    told, wrong, status = api.run([*config, "--strict", str(tmp_path / "user.py")])
    assert status == 0, told + wrong


def test_what_popen_takes() -> None:
    """All that is Popen's, but what only Windows has, and what is still to come."""
    popen = set(inspect.signature(subprocess.Popen).parameters) - {"args", "startupinfo", "creationflags"}
    assert popen - names_of(spawn) <= {"pipesize"}

"""The names of `import loopwright` itself."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import loopwright

TREE = ast.parse(Path(loopwright.__file__).read_text())
#: Each name, and the layer that a type checker is told it comes from.
WRITTEN = {
    alias.name: node.module
    for node in ast.walk(TREE)
    if isinstance(node, ast.ImportFrom) and node.module is not None
    for alias in node.names
}


def test_what_is_written_for_type_checkers_is_all_there_is():
    assert sorted(WRITTEN) == sorted(loopwright.__all__)
    assert set(loopwright.__all__) < set(dir(loopwright))


@pytest.mark.parametrize("name", loopwright.__all__)
def test_each_name_is_that_of_the_layer_written(name):
    assert getattr(loopwright, name) is getattr(importlib.import_module(WRITTEN[name]), name)


def test_all_of_them_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from loopwright import *", names)
    assert set(loopwright.__all__) < set(names)


def in_a_python_of_its_own(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_layer_is_imported_when_it_is_asked_for():
    code = """
import sys, loopwright
before = [name for name in sys.modules if name.startswith("loopwright.") or name == "asyncio"]
loopwright.LoopwrightError
after = [name for name in sys.modules if name.startswith("loopwright.")]
loopwright.process.spawn
print(before, after, "loopwright.process" in sys.modules, "loopwright.supervision" in sys.modules)
"""
    assert in_a_python_of_its_own(code) == "[] ['loopwright.errors'] True False\n"


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="'loopwright' has no attribute 'swapn'"):
        loopwright.swapn  # noqa: B018 - asked for to be refused

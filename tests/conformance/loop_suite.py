"""Which tests a run on a loop consists of; in the Python under test."""

from __future__ import annotations

import contextlib
import importlib
import tomllib
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loop_names

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = tomllib.loads((Path(__file__).parent / "loop_tests.toml").read_text())
LEFT_OUT = {name for entry in TABLE["left_out"].values() for name in entry["classes"]}


def modules(run: str) -> Iterator[Any]:
    """Those of a run that this Python has, ready to be run."""
    for name in TABLE["runs"][run]:
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"test.test_asyncio.{name}")
            loop_names.use_in(module)
            yield module


def classes(module: Any) -> Iterator[type[unittest.TestCase]]:
    """Those with tests that are the module's own."""
    for kind in vars(module).values():
        found = isinstance(kind, type) and issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__
        if found and unittest.defaultTestLoader.getTestCaseNames(kind):
            yield kind


def short(kind: type) -> str:
    return f"{kind.__module__.removeprefix('test.test_asyncio.')}.{kind.__qualname__}"


def suite(run: str, done: frozenset[str]) -> unittest.TestSuite:
    """The tests of a run but those that are done."""
    found = unittest.TestSuite()
    for module in modules(run):
        for kind in classes(module):
            name = short(kind)
            if name not in LEFT_OUT:
                for test in unittest.defaultTestLoader.getTestCaseNames(kind):
                    if f"{name}.{test}" not in done:
                        found.addTest(kind(test))
    return found


def left_out(run: str) -> list[str]:
    """The classes that are left out of a run and that are there."""
    return [short(kind) for module in modules(run) for kind in classes(module) if short(kind) in LEFT_OUT]

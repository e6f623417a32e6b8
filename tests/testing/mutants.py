"""What the files of broken watchers share: which of their classes are mutants, and that each names its test."""

from __future__ import annotations

from typing import Any

from loopwright.testing import ChildWatcherContract, ChildWatcherExtrasContract
from loopwright.watchers._table import TableWatcher


def mutants_in(names: dict[str, Any]) -> list[Any]:
    """The classes of a module that are to be found out."""
    return [each for each in names.values() if isinstance(each, type) and "killed_by" in vars(each)]


def sound(mutant: Any) -> Any:
    """What it is a mutant of."""
    return next(base for base in mutant.__mro__ if "killed_by" not in vars(base))


def check_named(names: dict[str, Any]) -> None:
    """AssertionError if a watcher that the module defines names no test of the contract that kills it."""
    for each in names.values():
        if isinstance(each, type) and issubclass(each, TableWatcher) and each.__module__ == names["__name__"]:
            assert "killed_by" in vars(each), each
            assert any(hasattr(part, each.killed_by) for part in (ChildWatcherContract, ChildWatcherExtrasContract))

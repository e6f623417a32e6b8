"""Promises around the watchers that the contract suite cannot see, broken; and the tests that find it out.

What is signalled, and when a pid is given back, is the ledger's business; what becomes of the watcher that another one
replaces, the policy's.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._spawning import Child
from loopwright.policies import EventLoopPolicy, set_event_loop_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

TESTS = Path(__file__).parent.parent


def load(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(file).stem, TESTS / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reap_in_spite_of_holds(self: Child) -> None:
    """A hold is worth nothing."""


def signal_by_number(self: Child, number: int) -> bool:
    os.kill(self.pid, number)
    return True


def signal_group_by_number(self: Child, number: int) -> bool:
    os.killpg(self.pid, number)
    return True


def forget_the_old_one(self: EventLoopPolicy, watcher: Any) -> None:
    self._watcher = watcher


LEDGER = "_spawning/test_ledger.py"


@pytest.mark.parametrize(
    ("broken", "method", "mutation", "file", "test"),
    [
        (Child, "hold", reap_in_spite_of_holds, LEDGER, "test_not_reaped_while_held_by_anybody"),
        (Child, "send_signal", signal_by_number, LEDGER, "test_no_signal_once_its_exit_is_noted_even_if_held"),
        (
            Child,
            "signal_group",
            signal_group_by_number,
            LEDGER,
            "test_group_is_not_signalled_once_its_number_is_given_back",
        ),
        (
            EventLoopPolicy,
            "set_child_watcher",
            forget_the_old_one,
            "watchers/test_current.py",
            "test_one_that_was_set_and_closes_the_one_before",
        ),
    ],
)
def test_found_out(
    broken: type, method: str, mutation: Callable[..., Any], file: str, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(file)
    followers = [module.Follower()] if method == "signal_group" else []
    monkeypatch.setattr(broken, method, mutation)
    set_event_loop_policy(EventLoopPolicy())  # or asyncio's might be the one that is asked
    try:
        with pytest.raises(AssertionError):
            getattr(module, test)(*followers)
    finally:
        set_event_loop_policy(None)
    monkeypatch.undo()
    for follower in followers:
        follower.was_signalled()
    for child in module.living() if file == LEDGER else ():  # what the test did not come to
        child.release()

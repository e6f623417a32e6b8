"""Both sets of pidfds: the compiled one, and the one for machines without it."""

from __future__ import annotations

import pytest

from loopwright._native import PidfdSet
from loopwright.watchers import _pidfd

#: Tests of the public contract suite, which knows nothing of our marks.
LONG = {
    "test_added_and_removed_while_exits_pour_in",
    "test_loop_stuck_for_a_second",
    "test_two_hundred_at_once",
    "test_two_loops_in_two_threads",
}
CONTRACTS = {"test_contract.py", "test_contract_extras.py"}


def pytest_itemcollected(item: pytest.Item) -> None:
    if not isinstance(item, pytest.Function):
        return
    if item.originalname in LONG:
        item.add_marker(pytest.mark.long)
    # The contract again, for the set of pidfds that is not used here, on the loop that the other set is tried on, too.
    if PidfdSet is not None and item.path.name in CONTRACTS and "uvloop-plain" in item.name:
        item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["plain"] if PidfdSet is None else ["compiled", "plain"])
def pidfd_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has watchers use this set of pidfds; the test runs once with each."""
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(_pidfd, "PidfdSet", None)
    return kind

"""How the runs of the loops' contract say what a loop is known not to keep."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import pytest

from loopwright.testing import _loop_readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = TypeVar("Kind", bound=type)


def known(failures: Mapping[str, str], *, run: bool = True) -> Callable[[Kind], Kind]:
    """Has a contract's class expect these tests to fail, for these reasons; one that passes after all fails the run.

    `run=False` for those that cannot even be tried, because they never end or end the process.
    """

    def mark(kind: Kind) -> Kind:
        for name, reason in failures.items():
            setattr(kind, name, pytest.mark.xfail(strict=True, reason=reason, run=run)(_own(getattr(kind, name))))
        return kind

    return mark


def _own(test: Callable[..., None]) -> Callable[..., None]:
    """A test of the class's own: a mark on the one that it inherits would be on every class's."""

    @functools.wraps(test)
    def own(self: Any) -> None:
        # What never comes need not be waited for as long as something that is late.
        with mock.patch.object(_loop_readiness, "SOON", 0.2):
            test(self)

    return own


def by_reason(reasons: Mapping[str, str]) -> dict[str, str]:
    """The reason of each test, from the tests, apart by white space, of each reason."""
    return {name: reason for reason, names in reasons.items() for name in names.split()}

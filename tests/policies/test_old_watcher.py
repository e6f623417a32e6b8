"""The base class of watchers that old programs get under the name of asyncio's."""

from __future__ import annotations

import pytest

from loopwright import watchers
from loopwright.policies._low_level import OURS

AbstractChildWatcher = OURS["AbstractChildWatcher"]


@pytest.mark.parametrize("kind", [value for name, value in OURS.items() if name.endswith("ChildWatcher")])
def test_every_watcher_is_one(kind):
    assert issubclass(kind, AbstractChildWatcher)


def test_one_that_is_made_is_one_and_nothing_else_is():
    watcher = watchers.SafeChildWatcher()
    assert isinstance(watcher, AbstractChildWatcher)
    watcher.close()
    assert not isinstance(object(), AbstractChildWatcher)


def test_what_lacks_methods_can_be_made_and_says_so_when_they_are_called():
    class Half(AbstractChildWatcher):
        def close(self):
            return "closed"

    half = Half()
    assert half.close() == "closed"
    for method, arguments in [
        ("add_child_handler", (1, print)),
        ("remove_child_handler", (1,)),
        ("attach_loop", (None,)),
        ("is_active", ()),
        ("__enter__", ()),
        ("__exit__", (None, None, None)),
    ]:
        with pytest.raises(NotImplementedError):
            getattr(half, method)(*arguments)


def test_a_policy_takes_one():
    class Whole(AbstractChildWatcher):
        closed = False

        def close(self):
            self.closed = True

    whole = Whole()
    policy = OURS["DefaultEventLoopPolicy"]()
    policy.set_child_watcher(whole)
    assert policy.get_child_watcher() is whole
    policy.set_child_watcher(None)
    assert whole.closed

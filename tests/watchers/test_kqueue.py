"""KqueueChildWatcher where there is no kqueue: it can be imported and made, and says what is missing when used.

What it does where there is one is untested.
"""

from __future__ import annotations

import asyncio
import select

import pytest

from loopwright.errors import MechanismUnavailableError
from loopwright.watchers import KqueueChildWatcher

pytestmark = pytest.mark.skipif(hasattr(select, "kqueue"), reason="there is a kqueue here")


def test_refused_and_nothing_left_of_it() -> None:
    async def play() -> None:
        watcher = KqueueChildWatcher()
        assert watcher.is_active() is False
        with pytest.raises(
            MechanismUnavailableError, match=r"cannot watch process 1: there is no kqueue\(2\) on linux"
        ):
            watcher.add_child_handler(1, print)
        assert watcher.children == ()
        watcher.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(play())

"""What becomes of children of loops that were closed: who may reap each, and when; the thread is tested elsewhere."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from loopwright.watchers import PidfdChildWatcher, _orphans
from loopwright.watchers._watch import reaping
from tests.watchers.children import Unwilling, forked, gone, held, is_ours, leave, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], asyncio.AbstractEventLoop]

pytestmark = pytest.mark.usefixtures("no_reaper")


def test_zombie_is_left_for_a_while_to_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_orphans, "PATIENCE", 1000.0)
    watcher = PidfdChildWatcher()
    pid, end = held(3)
    leave(asyncio.new_event_loop(), watcher, pid, [])
    os.close(end)
    until(lambda: any(getattr(each, "ended_at", None) for each in tuple(_orphans._orphans.values())))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    until(gone)  # and then there is nothing left to wait for
    watcher.close()


def test_popen_that_was_handed_over_says_the_truth(loop_factory: Factory) -> None:
    watcher = PidfdChildWatcher()
    process = subprocess.Popen(["sh", "-c", "read line; exit 3"], stdin=subprocess.PIPE)
    leave(loop_factory(), watcher, process, [])
    assert process.stdin is not None
    process.stdin.close()
    until(lambda: process.returncode is not None)
    assert process.returncode == 3
    watcher.close()


def test_process_of_multiprocessing_that_was_closed(loop_factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    """It can be asked nothing any more, and holds up no other."""
    watcher = PidfdChildWatcher()
    process = forked(time.sleep, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_orphans, "PATIENCE", 1000.0)
        leave(loop_factory(), watcher, process, [])
        until(lambda: process.pid in _orphans._orphans)
        with reaping.lock:  # so that nobody looks in between
            process.join()
            process.close()
        until(lambda: not _orphans._orphans)
    pid, end = held(3)
    leave(loop_factory(), watcher, pid, [])
    os.close(end)
    until(lambda: not is_ours(pid))
    watcher.close()
    assert caplog.messages == []


def test_object_that_raises_holds_up_nobody(loop_factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    watcher = PidfdChildWatcher()
    popen = Unwilling(["cat"], stdin=subprocess.PIPE)
    leave(loop_factory(), watcher, popen, [])
    pid, end = held(3)
    leave(loop_factory(), watcher, pid, [])
    assert popen.stdin is not None
    popen.stdin.close()
    os.close(end)
    until(lambda: not is_ours(pid))
    until(gone)
    (record,) = caplog.records
    assert record.getMessage() == f"process {popen.pid}, left by a loop that was closed, cannot be reaped"
    assert record.exc_info is not None
    popen.willing = True
    assert popen.wait() == 0
    watcher.close()

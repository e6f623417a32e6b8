"""What FastChildWatcher promises beyond the contract: it reaps everybody, and still no status gets lost in silence."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _spawning
from loopwright._core import ExitStatus
from loopwright.process import spawn
from loopwright.watchers import FastChildWatcher, PidfdChildWatcher
from tests.watchers.children import heard, start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Play = Callable[[FastChildWatcher], Coroutine[Any, Any, None]]
    Run = Callable[[Play], None]


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    """Plays with a watcher that is attached to a new loop, for twenty seconds at most."""

    def play_on_new_loop(play: Play) -> None:
        async def main() -> None:
            watcher = FastChildWatcher()
            watcher.attach_loop(asyncio.get_running_loop())
            try:
                await play(watcher)
            finally:
                watcher.close()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(main(), 20))

    return play_on_new_loop


async def reaped(pid: int) -> None:
    while True:
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # noqa: ASYNC222 - it does not wait
        except ChildProcessError:
            return
        await asyncio.sleep(0.001)


def test_ended_and_reaped_before_it_was_registered(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        with watcher:
            pid, result = start("exit 3"), heard()
            await reaped(pid)
            watcher.add_child_handler(pid, result)
        assert await result == (pid, 3)

    run(play)
    assert caplog.messages == []


def test_never_registered_in_the_block_is_logged_at_its_end(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        with watcher, watcher:
            pid = start("exit 3")
            await reaped(pid)
            assert caplog.messages == []
        assert caplog.messages == [f"reaped process {pid}, which nobody has registered: it exited with status 3"]

    run(play)


def test_without_a_block_it_is_logged_at_once_and_lost(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        pid, result = start("kill -KILL $$"), heard()
        await reaped(pid)
        watcher.add_child_handler(pid, result)
        assert await result == (pid, 255)
        assert "which nobody has registered: it was ended by SIGKILL" in caplog.messages[0]
        assert f"status of process {pid} is lost and reported as 255" in caplog.messages[1]

    run(play)


def test_kept_at_closing_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        watcher.__enter__()
        pid = start("exit 3")
        await reaped(pid)
        watcher.close()
        assert caplog.messages == [f"reaped process {pid}, which nobody has registered: it exited with status 3"]

    run(play)


@pytest.mark.long
def test_kept_status_is_not_that_of_a_new_child_with_the_same_pid(run: Run) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        with watcher:
            pid, result = start("exec sleep 60"), heard()
            watcher._unknown[pid] = ExitStatus(77)  # of an earlier child: pids cannot be made to repeat on demand
            watcher.add_child_handler(pid, result)
            await asyncio.sleep(0.01)
            assert not result.done()
            os.kill(pid, signal.SIGTERM)
            assert await result == (pid, -15)

    run(play)


def test_orphans_are_reaped(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """As the first process of a container inherits them: nobody has registered anything."""

    async def play(watcher: FastChildWatcher) -> None:
        assert watcher.children == ()
        for pid in [start("exit 0") for _ in range(5)]:
            await reaped(pid)

    run(play)
    assert len(caplog.messages) == 5


def test_processes_of_ours_keep_their_true_status(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Their own watcher finds them reaped, and asks the ledger, where it was noted how they ended."""

    async def play(_watcher: FastChildWatcher) -> None:
        for code in range(20):
            process = await spawn(["sh", "-c", f"exit {code}"], start_new_session=True)
            status = await process.wait()
            assert status.code == code
            assert process.send_signal(signal.SIGTERM) is False

    run(play)
    assert caplog.messages == []


def test_handler_elsewhere_of_a_process_of_ours(run: Run) -> None:
    async def play(_watcher: FastChildWatcher) -> None:
        other = PidfdChildWatcher()
        for code in range(10):
            process, result = await spawn(["sh", "-c", f"exit {code}"]), heard()
            other.add_child(process, result)
            assert await result == (process.pid, code)
        other.close()

    run(play)


def test_it_may_watch_for_the_ledger_itself(run: Run) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        child, ended = _spawning.launch(_spawning.Request(["sh", "-c", "exit 5"])), heard()
        watcher.watch_child(child, ended)
        (status,) = await ended
        assert isinstance(status, ExitStatus)
        assert status.code == 5
        await asyncio.sleep(0)
        assert child.reaped
        assert child.status == status

    run(play)


@pytest.mark.long
def test_usage_is_told(run: Run) -> None:
    async def play(watcher: FastChildWatcher) -> None:
        with watcher:
            pid = start(f"""exec {sys.executable} -S -c 'block = b"x" * (40 << 20)'""")
            status = await watcher.watch(pid)
        assert isinstance(status, ExitStatus)
        assert status.usage is not None
        assert status.usage.max_rss > 40 << 20

    run(play)

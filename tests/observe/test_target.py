"""How a process ended, whoever started it, by everything that stands for one; on every loop."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC222 - a loop that stands still for a moment is no harm here

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from loopwright.errors import (
    NoSuchProcessError,
    WrongLoopError,
)
from loopwright.observe import ProcessWatcher, _target
from loopwright.process import PIPE, ExitStatus, StatusLost, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ENDS = ["sh", "-c", "read line; exit 7"]  # once its input is closed


def ended(pid: int) -> None:
    """Waits until a child has ended, and leaves it unreaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_popen(run: Run) -> None:
    async def main() -> None:
        with subprocess.Popen(ENDS, stdin=PIPE) as popen:
            async with ProcessWatcher(popen) as watcher:
                assert watcher.is_active()
                assert popen.stdin is not None
                popen.stdin.close()
                assert await watcher.wait() == ExitStatus(7)
                assert popen.returncode == 7
                assert not watcher.is_active()

    run(main())


def test_popen_that_was_waited_for_elsewhere(run: Run) -> None:
    async def main() -> None:
        with subprocess.Popen(ENDS, stdin=PIPE) as popen:
            async with ProcessWatcher(popen) as watcher:
                waiting = asyncio.create_task(asyncio.to_thread(popen.wait))
                assert popen.stdin is not None
                popen.stdin.close()
                assert (await watcher.wait()).code == 7
                assert await waiting == 7
            async with ProcessWatcher(popen) as watcher:  # reaped: its pid may be anybody's by now
                assert (await watcher.wait()).code == 7

    run(main())


def test_popen_whose_status_was_stolen(run: Run) -> None:
    async def main() -> None:
        popen = subprocess.Popen(["true"])
        ended(popen.pid)
        watcher = await ProcessWatcher(popen).start()
        os.waitpid(popen.pid, 0)
        status = await watcher.wait()
        assert isinstance(status, StatusLost)
        assert str(popen.pid) in status.reason
        popen.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_target, "SETTLING", 0.05)
        run(main())


def test_asyncio_process(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*ENDS, stdin=PIPE)
        async with ProcessWatcher(process) as watcher:
            assert watcher.is_active()
            assert process.stdin is not None
            process.stdin.close()
            assert (await watcher.wait()).code == 7
        assert await process.wait() == 7
        async with ProcessWatcher(process) as watcher:
            assert (await watcher.wait()).code == 7

    run(main())


def test_our_process_with_its_usage(run: Run) -> None:
    async def main() -> None:
        async with await spawn(ENDS, stdin=PIPE) as process, ProcessWatcher(process) as watcher:
            assert watcher.is_active()
            assert process.stdin is not None
            process.stdin.close()
            assert await watcher.wait() is await process.wait()
            assert not watcher.is_active()

    run(main())


def test_our_process_on_another_loop(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:

            async def elsewhere() -> None:
                with pytest.raises(WrongLoopError):
                    await ProcessWatcher(process).start()

            await asyncio.to_thread(asyncio.run, elsewhere())

    run(main())


def test_pid_of_our_own_process_is_not_reaped_before_its_status_was_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if whoever started it hears of its end first, which is nobody's to decide."""

    async def main() -> None:
        heard = asyncio.Event()

        async def readable(descriptor: int) -> None:
            await heard.wait()

        monkeypatch.setattr(_target, "_readable", readable)
        process = await spawn(ENDS, stdin=PIPE)
        async with ProcessWatcher(process.pid) as watcher:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            heard.set()
            assert (await watcher.wait()).code == 7
        assert not psutil.pid_exists(process.pid)

    run(main())


def test_pid_of_a_plain_child_is_left_to_whoever_is_to_reap_it(run: Run) -> None:
    async def main() -> None:
        pid = os.posix_spawnp("sh", ["sh", "-c", "kill -KILL $$"], os.environ)
        async with ProcessWatcher(pid) as watcher:
            assert (await watcher.wait()).signal == signal.SIGKILL
            assert not watcher.is_active()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    run(main())


async def grandchild(process: Any) -> int:
    return int(await process.stdout.readline())


def test_pid_that_is_no_child_of_ours(run: Run) -> None:
    async def main() -> None:
        script = "sleep 100 & echo $!; wait; exec sleep 100"  # whose end its parent hears of, and outlives
        async with await spawn(["sh", "-c", script], stdout=PIPE, start_new_session=True) as parent:
            pid = await grandchild(parent)
            async with ProcessWatcher(pid) as watcher:
                assert watcher.is_active()
                os.kill(pid, signal.SIGTERM)
                status = await watcher.wait()
                assert isinstance(status, StatusLost)
                assert f"process {pid} is no child of this program" in status.reason
                assert not watcher.is_active()
            while psutil.pid_exists(pid):  # noqa: ASYNC110 - until its parent has reaped it
                await asyncio.sleep(0.01)
            with pytest.raises(ProcessLookupError, match=f"no process {pid}"):
                ProcessWatcher(pid)

    run(main())


def test_zombie_is_not_active(run: Run) -> None:
    async def main() -> None:
        popen = subprocess.Popen(["true"])
        ended(popen.pid)
        for target in (popen.pid, popen):
            watcher = ProcessWatcher(target)
            assert popen.returncode is None
            assert not watcher.is_active()
        async with ProcessWatcher(popen.pid) as watcher:
            assert not watcher.is_active()
            assert (await watcher.wait()).code == 0
        popen.wait()

    run(main())


def test_reused_pid_is_another_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel will not do on demand: the same number, another start time."""

    async def main() -> None:
        with subprocess.Popen(["sleep", "100"]) as popen:
            watcher = ProcessWatcher(popen.pid)
            assert watcher.is_active()
            real = psutil.Process(popen.pid)
            monkeypatch.setattr(psutil.Process, "is_running", lambda self: False)
            assert real.create_time() > 0
            assert not watcher.is_active()
            with pytest.raises(NoSuchProcessError, match=str(popen.pid)):
                await watcher.start()
            popen.kill()

    run(main())


@pytest.mark.long
@pytest.mark.parametrize("kind", ["pid", "popen", "asyncio"])
def test_without_pidfds_it_is_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async def main() -> None:
        process: Any
        if kind == "asyncio":
            process = await asyncio.create_subprocess_exec(*ENDS, stdin=PIPE)
        else:
            process = subprocess.Popen(ENDS, stdin=PIPE)

        def refused(pid: int, flags: int = 0) -> int:
            raise OSError(38, os.strerror(38))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pidfd_open", refused)
            watcher = await ProcessWatcher(process.pid if kind == "pid" else process).start()
        async with watcher:
            assert watcher.is_active()
            process.stdin.close()
            assert (await watcher.wait()).code == 7
        if kind == "asyncio":
            await process.wait()
        else:
            process.wait()

    run(main())


def test_failed_start_holds_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child in the ledger that ended before it could be watched is reaped all the same."""

    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            watcher = ProcessWatcher(process.pid)
            with monkeypatch.context() as patch:
                patch.setattr(psutil.Process, "is_running", lambda self: False)
                with pytest.raises(NoSuchProcessError):
                    await watcher.start()
            process.kill()
            await process.wait()
        assert not psutil.pid_exists(process.pid)

    run(main())

"""A process in hand: how it ended, and waiting for that, from any loop and thread."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import WrongLoopError
from loopwright.process import PIPE, STDOUT, ExitStatus, Process, StatusLost, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Descriptors = Callable[[], set[tuple[int, str]]]
    Runs = Callable[[int], bool]
    Soon = Callable[..., None]

MIB = 1 << 20


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


async def line(process: Process) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().rstrip("\n")


# --- how it ended


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_code(run: Run, code: int) -> None:
    async def main() -> None:
        async with await spawn(sh(f"exit {code}")) as process:
            status = await process.wait()
            assert isinstance(status, ExitStatus)
            assert (status.code, status.signal, status.core_dumped) == (code, None, False)
            assert status.success is (code == 0)
            assert process.status is status
            assert process.returncode == code

    run(main())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGRTMIN + 3])
def test_signal(run: Run, number: int) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            assert process.status is None
            assert process.returncode is None
            assert "running" in repr(process)
            assert process.send_signal(number)
            status = await process.wait()
            assert (status.code, status.signal, status.core_dumped) == (None, number, False)
            assert process.returncode == -number
            assert str(status) in repr(process)

    run(main())


def test_core_dump(run: Run, tmp_path: Path) -> None:
    """What the kernel did is what is said; whether it does dump here is for this machine to decide."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    dies = sh(f"cd {tmp_path} && ulimit -c {'unlimited' if hard == resource.RLIM_INFINITY else hard} && kill -QUIT $$")
    bare = os.posix_spawn("/bin/sh", dies, os.environ)
    dumps = os.WCOREDUMP(os.waitpid(bare, 0)[1])
    if not dumps:
        pytest.skip("this machine writes no core dumps (RLIMIT_CORE, kernel.core_pattern)")

    async def main() -> None:
        async with await spawn(dies) as process:
            status = await process.wait()
            assert (status.signal, status.core_dumped) == (signal.SIGQUIT, True)
            assert str(status) == "was ended by SIGQUIT (core dumped)"

    run(main())


def test_usage(run: Run) -> None:
    code = """
    import time
    held = bytearray(100 << 20)
    held[::4096] = b"x" * len(held[::4096])
    while time.process_time() < 0.2:
        pass
    """

    async def main() -> None:
        began = time.monotonic()
        async with await spawn(python(code)) as process:
            status = await process.wait()
        took = time.monotonic() - began
        assert isinstance(status, ExitStatus)
        assert status.success
        usage = status.usage
        assert usage is not None
        assert 0.2 <= usage.cpu_time <= took + 0.05
        assert usage.user_time > 0
        assert 100 * MIB <= usage.max_rss <= 100 * MIB + max(100 * MIB, own_peak())
        assert usage.minor_faults >= 100 * MIB // resource.getpagesize() // 600  # huge pages have 512

    run(main())


def own_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_status_taken_by_somebody_else(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"], process_group=0) as process:
            process.kill()
            os.waitpid(process.pid, 0)  # noqa: ASYNC222 - takes no time after SIGKILL, and taking it is the point
            status = await process.wait()
            assert isinstance(status, StatusLost)
            assert "reaped" in str(status)
            assert process.returncode == 255
            assert not process.send_signal(signal.SIGTERM)
            assert not process.signal_group(signal.SIGTERM)

    run(main())


# --- waiting


def test_wait_again_and_after_the_end(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("exit 7")) as process:
            first = await process.wait()
            assert await process.wait() is first

    run(main())


def test_several_waiters_of_which_one_is_cancelled(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("read line; exit 5"), stdin=PIPE) as process:
            waiters = [asyncio.create_task(process.wait()) for _ in range(5)]
            await asyncio.sleep(0)
            waiters[2].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiters[2]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.01)
            assert process.status is None
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            del waiters[2]
            assert [status.code for status in await asyncio.gather(*waiters)] == [5] * 4

    run(main())


def test_waits_that_are_given_up_leave_nothing(run: Run) -> None:
    """Or a program that looks again and again, a little each time, would grow for as long as the process runs."""

    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            steady = asyncio.create_task(process.wait())
            given_up = []
            for _ in range(100):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await process.wait()
                task = asyncio.create_task(process.wait())
                given_up.append(task)
            await asyncio.sleep(0)
            for task in given_up:
                task.cancel()
            await asyncio.wait(given_up)
            assert process._waiters is not None
            assert len(process._waiters) == 1
            process.kill()
            assert (await steady).signal is signal.SIGKILL  # type: ignore[union-attr]

    run(main())


def test_a_wait_cancelled_in_the_moment_of_the_exit(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            waits = [asyncio.create_task(process.wait()) for _ in range(3)]
            process._when_ended(waits[1].cancel)
            await asyncio.sleep(0)
            process.kill()
            await asyncio.wait(waits)
            assert not waits[0].cancelled()
            assert not waits[2].cancelled()

    run(main())


def test_wait_ends_with_the_process_though_a_grandchild_holds_its_pipes(run: Run, soon: Soon, runs: Runs) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!"), stdout=PIPE, stderr=STDOUT) as process:
            assert (await process.wait()).success
            grandchild = int(await line(process))
            assert runs(grandchild)
            assert process.stdout is not None
            assert not process.stdout.at_eof()
            os.kill(grandchild, signal.SIGKILL)
            assert await process.stdout.read() == b""

    run(main())


@pytest.mark.long
def test_three_hundred_at_once(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        processes = [await spawn(sh(f"read line; exit {number % 256}"), stdin=PIPE) for number in range(300)]
        assert len({process.pid for process in processes}) == 300
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        statuses = await asyncio.gather(*(process.wait() for process in processes))
        assert [status.code for status in statuses] == [number % 256 for number in range(300)]
        for process in processes:
            async with process:
                pass
        assert descriptors() == before

    run(main())


def test_a_loop_in_another_thread(loop_factory: Factory) -> None:
    async def main() -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate(b"from a thread") == (b"from a thread", None)
            results.append(await process.wait())

    def thread() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    results: list[Any] = []
    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [status.success for status in results] == [True] * 4


def test_on_another_loop(run: Run, loop_factory: Factory) -> None:
    async def elsewhere(process: Process) -> None:
        for call in (process.wait, process.communicate, process.wait_group, process.__aenter__):
            with pytest.raises(WrongLoopError, match=str(process.pid)):
                await call()
        with pytest.raises(WrongLoopError):
            async with process:
                pass

    def thread(process: Process) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(elsewhere(process))
        assert process.terminate()  # signals are for any thread

    async def main() -> None:
        async with await spawn(["sleep", "100"], start_new_session=True) as process:
            await asyncio.to_thread(thread, process)
            assert (await process.wait()).signal == signal.SIGTERM

    run(main())

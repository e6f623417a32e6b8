"""A process in hand: how it ended, what it says, who else is in its group, and that none is left behind."""

from __future__ import annotations

import array
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


def test_an_input_that_is_a_view_of_numbers_is_written_whole(run: Run) -> None:
    """More than the pipe takes at once, so that it is cut: by bytes, not by numbers."""

    async def main() -> None:
        numbers = array.array("i", range(100_000))
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(memoryview(numbers))
            assert await process.communicate() == (numbers.tobytes(), None)

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


# --- communicating


def test_a_megabyte_there_and_back(run: Run) -> None:
    sent = os.urandom(MIB)

    async def main() -> None:
        async with await spawn(sh("tee /dev/stderr"), stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            assert await process.communicate(sent) == (sent, sent)
            assert process.returncode == 0

    run(main())


@pytest.mark.parametrize("script", ["exit 3", "exec 0<&-; sleep 0.05; exit 3", "sleep 0.05; exit 3"])
def test_input_that_is_not_read(run: Run, descriptors: Descriptors, script: str) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(sh(script), stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate(bytes(MIB)) == (b"", None)
            assert process.returncode == 3
        assert descriptors() == before

    run(main())


def test_communicate_without_pipes_or_without_data(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["true"]) as process:
            with pytest.raises(ValueError, match="stdin=PIPE"):
                await process.communicate(b"data")
            assert await process.communicate() == (None, None)
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate() == (b"", None)
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            assert await process.communicate(b"") == (b"", None)

    run(main())


def test_communicate_cancelled(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(["sleep", "100"], stdin=PIPE, stdout=PIPE) as process:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.communicate(bytes(MIB)), 0.05)
            assert process.status is None
        assert descriptors() == before

    run(main())


# --- signals


def test_signals_after_the_end_are_not_sent(run: Run) -> None:
    async def main() -> None:
        process = await spawn(sh("exit 0"), process_group=0)
        await process.wait()
        assert not process.send_signal(signal.SIGTERM)
        assert not process.terminate()
        assert not process.kill()
        assert not process.signal_group(signal.SIGKILL)
        assert process.group_members() == ()
        await process.wait_group()

    run(main())


def test_a_signal_between_its_end_and_the_news_of_it(run: Run, soon: Soon, runs: Runs) -> None:
    """The loop has not heard yet, the pid is a zombie's: the signal goes nowhere, and to nobody else."""

    async def main() -> None:
        async with await spawn(sh("exit 0"), process_group=0) as process:
            soon(lambda: not runs(process.pid))  # holds the loop meanwhile
            assert process.status is None
            process.kill()
            process.signal_group(signal.SIGKILL)
            assert (await process.wait()).success

    run(main())


def test_no_such_signal(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            with pytest.raises(OSError, match="Invalid argument"):
                process.send_signal(1000)
            assert process.send_signal(0)
            assert process.status is None

    run(main())


# --- groups


def test_a_process_without_a_group_of_its_own(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sleep", "100"]) as process:
            with pytest.raises(ValueError, match="leads no process group"):
                process.signal_group(signal.SIGTERM)
            with pytest.raises(ValueError, match="leads no process group"):
                await process.wait_group()
            assert process.group_members() == ()

    run(main())


@pytest.mark.parametrize("option", [{"start_new_session": True}, {"process_group": 0}])
def test_the_whole_group_is_signalled(run: Run, soon: Soon, option: dict[str, Any]) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & sleep 100 & echo; wait"), stdout=PIPE, **option) as process:
            await line(process)
            soon(lambda: len(process.group_members()) == 3)
            assert process.pid in process.group_members()
            assert process.signal_group(signal.SIGTERM)
            await process.wait_group()
            assert process.group_members() == ()
            assert process.status is not None
            assert process.status.signal == signal.SIGTERM

    run(main())


def test_a_group_whose_leader_died_first(run: Run, runs: Runs) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!"), stdout=PIPE, start_new_session=True) as process:
            with process.hold_group(), process.hold_group():
                left = int(await line(process))
                assert (await process.wait()).success
                waiting = asyncio.create_task(process.wait_group())
                await asyncio.sleep(0.05)
                assert not waiting.done()
                assert process.group_members() == (left,)
                assert os.getpgid(process.pid) == process.pid  # the number still is its own
                assert process.signal_group(signal.SIGKILL)
                await waiting
                assert process.group_members() == ()
                assert not runs(left)
            os.kill(process.pid, 0)  # the block holds it as well, so its number is still not anybody else's
        assert not process.signal_group(signal.SIGKILL)
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    run(main())


def test_zombies_count_as_gone(run: Run, soon: Soon) -> None:
    """A parent that does not wait for its children must not make its group look alive for ever."""

    async def main() -> None:
        # After exec the shell's child has a parent that never heard of it.
        script = "sleep 100 & echo $!; exec sleep 100"
        async with await spawn(sh(script), stdout=PIPE, start_new_session=True) as process:
            child = int(await line(process))
            soon(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
            soon(lambda: sorted(process.group_members()) == sorted((process.pid, child)))
            os.kill(child, signal.SIGKILL)
            soon(lambda: process.group_members() == (process.pid,))
            assert os.getpgid(child) == process.pid  # it is there, a zombie
            process.kill()
            await process.wait_group()

    run(main())


def test_a_name_that_looks_like_the_fields_after_it(run: Run, tmp_path: Path) -> None:
    """In /proc/PID/stat the name stands in parentheses and may hold parentheses, spaces and states."""
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to("/bin/sleep")

    async def main() -> None:
        async with await spawn([odd, "100"], process_group=0) as process:
            assert process.group_members() == (process.pid,)
            assert process.signal_group(signal.SIGTERM)
            await process.wait_group()

    run(main())


# --- `async with`


def test_the_block_kills_what_still_runs(run: Run, runs: Runs, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        async with await spawn(["sleep", "100"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            pass
        assert process.status is not None
        assert process.status.signal == signal.SIGKILL
        assert not runs(process.pid)
        assert descriptors() == before

    run(main())


def test_the_block_kills_the_whole_group(run: Run, soon: Soon, runs: Runs) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!; wait"), stdout=PIPE, start_new_session=True) as process:
            child = int(await line(process))
        soon(lambda: not runs(child))

    run(main())


def test_an_exception_in_the_block(run: Run, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        with pytest.raises(ZeroDivisionError):
            async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
                raise ZeroDivisionError
        assert process.status is not None
        assert descriptors() == before

    run(main())


def test_the_block_closes_a_pipe_that_a_grandchild_never_reads(run: Run, descriptors: Descriptors) -> None:
    """It was written more than the pipe holds, so the rest can never be written."""

    async def main() -> None:
        before = descriptors()
        for closed_before in (False, True):
            script = "exec 3<&0; sleep 100 <&3 >&- & echo $!"  # sh gives what it puts in the background /dev/null
            async with await spawn(sh(script), stdin=PIPE, stdout=PIPE) as process:
                assert process.stdin is not None
                process.stdin.write(bytes(MIB))
                grandchild = int(await line(process))
                if closed_before:
                    process.stdin.close()
                await process.wait()
            assert descriptors() == before
            os.kill(grandchild, signal.SIGKILL)

    run(main())


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_block_that_is_cancelled(run: Run, runs: Runs, descriptors: Descriptors, times: int) -> None:
    """However often: what it was to kill is dead and waited for when the task ends, which ends as cancelled."""

    async def block(inside: asyncio.Future[Process]) -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, process_group=0) as process:
            inside.set_result(process)
            await asyncio.sleep(100)

    async def main() -> None:
        before = descriptors()
        inside: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(block(inside))
        process = await inside
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.status is not None
        assert not runs(process.pid)
        assert descriptors() == before

    run(main())


def test_leaving_the_block_cancelled_only_then(run: Run, runs: Runs) -> None:
    """The cancellation comes while the block is being left, and must not get lost."""

    async def block(inside: asyncio.Future[Process]) -> None:
        async with await spawn(["sleep", "100"]) as process:
            inside.set_result(process)

    async def main() -> None:
        inside: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(block(inside))
        process = await inside
        assert process.status is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.status is not None
        assert not runs(process.pid)

    run(main())


def test_one_process_in_two_blocks(run: Run) -> None:
    async def main() -> None:
        process = await spawn(["cat"], stdin=PIPE, stdout=PIPE)
        async with process:
            assert await process.communicate(b"once") == (b"once", None)
        async with process:
            assert process.status is not None

    run(main())


def test_a_block_ends_the_group_of_a_process_that_has_ended_itself(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["sh", "-c", "sleep 1000 & exit 3"], start_new_session=True) as process:
            assert (await process.wait()).code == 3
            assert process.group_members()
        assert not process.group_members()

    run(main())

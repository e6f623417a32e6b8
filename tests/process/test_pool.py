"""A pool of processes: how many at once, in what order, under which limits; and that none outlives it."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import (
    ArgumentsConflictError,
    PoolFullError,
    ProcessFailedError,
    ProcessTimeoutError,
)
from loopwright.process import PIPE, ProcessPool

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Runs = Callable[[int], bool]
    Descriptors = Callable[[], set[tuple[int, str]]]

SLEEP = ["sleep", "100"]


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0.005)


async def pid_in(file: Path) -> int:
    await until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())  # noqa: ASYNC240 - a few bytes


def test_never_more_than_its_size(run: Run, tmp_path: Path, descriptors: Descriptors) -> None:
    # Each makes a file for as long as it runs, and says how many there are.
    count = sh('cd "$1"; : >$$; ls | wc -l; rm $$', str(tmp_path))

    async def main() -> list[int]:
        async with ProcessPool(4) as pool:
            await pool.run(["true"])
            before = descriptors()
            results = await asyncio.gather(*(pool.run(count) for _ in range(100)))
            results += [done async for done in pool.map(count for _ in range(100))]
            assert (pool.running, pool.waiting, pool.size) == (0, 0, 4)
            gc.collect()
            assert descriptors() <= before
        return [int(done.check().stdout) for done in results]

    counts = run(main())
    assert len(counts) == 200
    assert max(counts) <= 4
    assert os.listdir(tmp_path) == []


def test_as_many_as_its_size_run_at_once(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(3) as pool:
            calls = [asyncio.create_task(pool.run(["cat"], stdin=read)) for _ in range(5)]
            await until(lambda: pool.running == 3 and pool.waiting == 2)
            assert repr(pool) == "<ProcessPool 3 of 3 running, 2 waiting>"
            os.close(write)
            assert all(done.success for done in await asyncio.gather(*calls))

    read, write = os.pipe()
    try:
        run(main())
    finally:
        os.close(read)


def test_first_come_first_served(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log"

    async def main() -> None:
        async with ProcessPool(1) as pool:
            await asyncio.gather(*(pool.run(sh('echo "$1" >>"$2"', str(number), str(log))) for number in range(20)))

    run(main())
    assert log.read_text().split() == [str(number) for number in range(20)]


def test_who_is_cancelled_while_waiting_leaves_no_hole(run: Run, tmp_path: Path) -> None:
    started = tmp_path / "started"

    async def main() -> None:
        async with ProcessPool(1) as pool:
            first = asyncio.create_task(pool.run(SLEEP))
            await until(lambda: pool.running == 1)
            given_up = [asyncio.create_task(pool.run(["touch", str(started)])) for _ in range(3)]
            last = asyncio.create_task(pool.run(["echo", "last"]))
            await until(lambda: pool.waiting == 4)
            for call in given_up:
                call.cancel()
            await asyncio.wait(given_up)
            assert (pool.running, pool.waiting) == (1, 1)
            first.cancel()
            assert (await last).stdout == b"last\n"
            assert first.cancelled()
            assert pool.running == 0

    run(main())
    assert not started.exists()


def test_who_is_cancelled_as_it_gets_its_place_gives_it_back(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1) as pool:
            async with pool.spawn(["true"]):
                second = asyncio.create_task(pool.run(["true"]))
                await until(lambda: pool.waiting == 1)
            # The place was handed over at the end of the block, and the task has not run since.
            assert (pool.running, pool.waiting) == (1, 0)
            second.cancel()
            await asyncio.wait([second])
            assert second.cancelled()
            assert pool.running == 0
            assert (await pool.run(["true"])).success

    run(main())


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_call_that_is_closed_while_it_waits_leaves_no_hole(run: Run, *, handed_over: bool) -> None:
    """As a coroutine is that somebody steps by himself and then drops: it hears GeneratorExit, not a cancellation."""

    async def main() -> None:
        async with ProcessPool(1) as pool:
            async with pool.spawn(["true"]):
                # Not pool.run(), whose generator asyncio would want to close.
                call = pool._places.take()
                call.send(None)
                assert pool.waiting == 1
                if not handed_over:
                    call.close()
                    assert pool.waiting == 0
            assert pool.running == handed_over
            call.close()
            assert (pool.running, pool.waiting) == (0, 0)
            async with asyncio.timeout(20):
                assert (await pool.run(["true"])).success

    run(main())


def test_no_more_wait_than_may(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1, max_waiting=1) as pool, pool.spawn(["true"]):
            waiting = asyncio.create_task(pool.run(["true"]))
            await until(lambda: pool.waiting == 1)
            with pytest.raises(PoolFullError, match=r"1 of 1 places are taken and 1 calls wait, where max_waiting=1"):
                await pool.run(["true"])
            waiting.cancel()
            await asyncio.wait([waiting])
        async with ProcessPool(2, max_waiting=0) as pool:
            assert len([done async for done in pool.map([["true"]] * 9)]) == 9  # bounded by itself

    run(main())


def test_limits_are_in_force(run: Run) -> None:
    async def main() -> None:
        limits = {resource.RLIMIT_AS: 256 << 20, resource.RLIMIT_CPU: 1, resource.RLIMIT_NOFILE: 32}
        async with ProcessPool(2, rlimits=limits) as pool:
            memory = await pool.run(python("bytearray(512 << 20)"))
            assert b"MemoryError" in memory.stderr
            files = await pool.run(python("kept = [open('/dev/null') for _ in range(40)]"))
            assert b"Too many open files" in files.stderr
            assert (await pool.run(sh("while :; do :; done"))).status.signal == signal.SIGKILL
        # Another pool: as nice as that, a second of processor time may take minutes on a busy machine.
        async with ProcessPool(2, nice=19, affinity=iter([min(os.sched_getaffinity(0))])) as pool:
            asked = "import os; print(os.nice(0), len(os.sched_getaffinity(0)))"
            for _ in range(2):  # what was an iterator is there for each
                assert (await pool.run(python(asked))).stdout == b"19 1\n"

    run(main())


def test_a_call_has_options_of_its_own(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(2, env={"A": "pool"}, text=True, timeout=60, ok=(0, 3)) as pool:
            assert (await pool.run(sh("echo $A"))).stdout == "pool\n"
            assert (await pool.run(sh("echo $A"), env={"A": "call"})).stdout == "call\n"
            assert (await pool.check(sh("exit 3"))).success
            with pytest.raises(ProcessFailedError):
                await pool.check(sh("exit 3"), ok=(0,))
            with pytest.raises(ProcessTimeoutError):
                await pool.run(SLEEP, timeout=0.1)
            async with pool.spawn(sh("echo $A"), stdout=PIPE) as process:
                assert await process.communicate() == ("pool\n", None)

    run(main())


def test_the_time_in_the_queue_is_not_the_process_s(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1) as pool:
            async with pool.spawn(SLEEP):
                second = asyncio.create_task(pool.run(["echo", "x"], timeout=3))
                await until(lambda: pool.waiting == 1)
                await asyncio.sleep(3.2)
            assert (await second).stdout == b"x\n"

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "size is a whole number, 1 or more, not 0"),
        ({"size": 2.0}, TypeError, "size is a whole number"),
        ({"size": True}, TypeError, "size is a whole number"),
        ({"max_waiting": -1}, ValueError, "max_waiting is a whole number, 0 or more"),
        ({"max_memory": 0}, ValueError, "max_memory is a whole number, 1 or more"),
        ({"rlimit": {}}, TypeError, r"ProcessPool\(\) takes no keyword argument 'rlimit'; did you mean rlimits=\?"),
        ({"rlimits": {"CPU": 1}}, TypeError, "resource.RLIMIT_CPU"),
        ({"rlimits": {resource.RLIMIT_CPU: (2, 1)}}, ValueError, "the soft limit, the first, must not be above"),
        ({"rlimits": [1]}, TypeError, "rlimits is a dict"),
        ({"nice": 20}, ValueError, "nice is a niceness"),
        ({"affinity": []}, ValueError, "affinity takes CPU numbers"),
        ({"user": "no such user"}, ValueError, "there is no user"),
        ({"timeout": -1}, ValueError, "timeout is a number of seconds"),
        ({"limit": -1}, ValueError, "limit"),
        ({"input": b"x", "stdin": 0}, ArgumentsConflictError, "input= is written to a pipe"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_made(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ProcessPool(**options)


def test_by_default_as_many_as_there_are_processors() -> None:
    assert 1 <= ProcessPool().size <= (os.cpu_count() or 1)


def test_map_reads_ahead_no_more_than_it_says(run: Run) -> None:
    read = 0

    def commands() -> Iterator[list[str]]:
        nonlocal read
        for number in range(50):
            read += 1
            yield ["echo", str(number)]

    async def main() -> None:
        taken = []
        async with ProcessPool(2) as pool:
            async for done in pool.map(commands(), text=True):
                taken.append(int(done.stdout))
                assert read <= len(taken) + 4
                if len(taken) == 10:
                    await asyncio.sleep(0.2)  # while nothing is taken, nothing more is read
                    assert read <= 14
        assert sorted(taken) == list(range(50))

    run(main())


def test_map_ends_the_others_when_one_cannot_be_run(run: Run, runs: Runs, tmp_path: Path) -> None:
    pids = tmp_path / "pid"

    def commands() -> Iterator[list[str]]:
        yield sh('echo $$ >"$1"; exec sleep 100', str(pids))
        yield sh('until [ -s "$1" ]; do sleep 0.01; done', str(pids))
        yield ["/no/such/program"]
        yield SLEEP

    async def main() -> int:
        async with ProcessPool(2) as pool:
            with pytest.raises(FileNotFoundError, match="/no/such/program"):
                assert [done.success async for done in pool.map(commands())] == []
            pid = await pid_in(pids)
            assert (pool.running, pool.waiting) == (0, 0)
            with pytest.raises(TypeError, match="and not one: 'ls'"):
                await anext(pool.map("ls"))
        return pid

    assert not runs(run(main()))


def test_a_map_that_is_cancelled_ends_what_it_began(run: Run, runs: Runs, tmp_path: Path) -> None:
    pids = tmp_path / "pid"

    async def main() -> int:
        async def everything() -> None:
            assert [done async for done in pool.map([sh('echo $$ >"$1"; exec sleep 100', str(pids)), SLEEP])] == []

        async with ProcessPool(1) as pool:
            mapping = asyncio.create_task(everything())
            pid = await pid_in(pids)
            mapping.cancel()
            await asyncio.wait([mapping])
            assert mapping.cancelled()
            assert (pool.running, pool.waiting) == (0, 0)
        return pid

    assert not runs(run(main()))


def test_leaving_map_early_ends_what_it_began(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(2) as pool:
            async for done in pool.map([["echo", "x"], SLEEP, SLEEP]):
                assert done.stdout == b"x\n"
                break
        assert (pool.running, pool.waiting) == (0, 0)

    began = time.monotonic()
    run(main())
    assert time.monotonic() - began < 30

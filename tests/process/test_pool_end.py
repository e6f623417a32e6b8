"""How a pool of processes ends: what it waits for, what it ends, and who hears of it. And its bound on memory."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import PoolClosedError, WrongLoopError
from loopwright.process import PIPE, ProcessPool
from tests.process.test_pool import SLEEP, pid_in, python, sh, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Runs = Callable[[int], bool]

#: Says who it is, leaves a child behind in the background, and its own pid in a file.
LEAVES = 'sleep 100 & echo $! >"$1"; '
TAKES = "import time; kept = bytearray(b'x') * (64 << 20); print('there', flush=True); time.sleep(100)"


def test_its_block_ends_when_all_is_done(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1) as pool:
            calls = [asyncio.create_task(pool.run(sh("sleep 0.1; echo x"))) for _ in range(3)]
        assert [call.result().stdout for call in calls] == [b"x\n"] * 3
        with pytest.raises(PoolClosedError, match="takes no more calls: it was closed"):
            await pool.run(["true"])
        with pytest.raises(PoolClosedError):
            async with pool.spawn(["true"]):
                pytest.fail("it was started")
        with pytest.raises(PoolClosedError):
            await anext(pool.map([]))
        with pytest.raises(PoolClosedError):
            await pool.__aenter__()
        await pool.aclose()  # again
        await pool.end()

    run(main())


def test_an_error_in_the_block_ends_everything(run: Run, runs: Runs, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what runs is the block's
            async with ProcessPool(2) as pool:
                running = asyncio.create_task(pool.run(sh(LEAVES + "wait", str(tmp_path / "1"))))
                waiter = asyncio.create_task(held(pool))
                pids = [await pid_in(tmp_path / "1"), await pid_in(tmp_path / "2")]
                waiting = asyncio.create_task(pool.run(["touch", str(tmp_path / "never")]))
                await until(lambda: pool.waiting == 1)
                raise ZeroDivisionError
        assert not any(map(runs, pids))
        with pytest.raises(PoolClosedError, match="was ended while it ran"):
            await running
        with pytest.raises(PoolClosedError, match="while this call waited"):
            await waiting
        assert (await waiter).signal == 9
        assert pool.running == 0
        with pytest.raises(PoolClosedError, match="it was ended"):
            await pool.run(["true"])

    async def held(pool: ProcessPool) -> Any:
        async with pool.spawn(sh(LEAVES + "wait", str(tmp_path / "2"))) as process:
            return await process.wait()

    run(main())
    assert not (tmp_path / "never").exists()


def test_a_cancellation_while_it_waits_ends_everything(run: Run, runs: Runs, tmp_path: Path) -> None:
    async def main() -> None:
        async def block() -> None:
            nonlocal call
            async with pool:
                call = asyncio.create_task(pool.run(sh(LEAVES + "wait", str(tmp_path / "1"))))

        call: Any = None
        pool = ProcessPool(1)
        leaving = asyncio.create_task(block())
        pid = await pid_in(tmp_path / "1")
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert not runs(pid)
        with pytest.raises(PoolClosedError):
            await call

    run(main())


def test_what_is_being_started_is_ended(run: Run) -> None:
    async def main() -> None:
        for steps in range(6):
            pool = ProcessPool(3)
            calls = [asyncio.create_task(pool.run(SLEEP)) for _ in range(5)]
            blocks = [asyncio.create_task(hold(pool))]
            for _ in range(steps):
                await asyncio.sleep(0)
            await pool.end()
            for error in await asyncio.gather(*calls, *blocks, return_exceptions=True):
                assert isinstance(error, PoolClosedError)
            assert (pool.running, pool.waiting) == (0, 0)

    async def hold(pool: ProcessPool) -> None:
        async with pool.spawn(SLEEP) as process:
            await process.wait()
            raise PoolClosedError

    run(main())


def test_who_has_just_got_a_place_starts_nothing_after_the_end(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        pool = ProcessPool(1)
        async with pool.spawn(["true"]):
            second = asyncio.create_task(pool.run(["touch", str(tmp_path / "never")]))
            await until(lambda: pool.waiting == 1)
        # The place was handed over at the end of the block, and the task has not run since.
        assert (pool.running, pool.waiting) == (1, 0)
        await pool.end()
        with pytest.raises(PoolClosedError, match="when it was this call's turn"):
            await second
        assert pool.running == 0

    run(main())
    assert not (tmp_path / "never").exists()


def test_what_a_process_leaves_behind_ends_with_it(run: Run, runs: Runs, tmp_path: Path) -> None:
    async def main() -> None:
        async with ProcessPool(1) as pool:
            done = await pool.run(sh("sleep 100 >/dev/null 2>&1 & echo $!"))
            assert done.success
            assert not runs(int(done.stdout))
            async with pool.spawn(sh("sleep 100 & echo $!"), stdout=PIPE) as process:
                assert process.stdout is not None
                pid = int(await process.stdout.readline())
                await process.wait()
                assert runs(pid)
            assert not runs(pid)

    run(main())


def test_close_takes_no_more_and_serves_who_waits(run: Run) -> None:
    async def main() -> None:
        pool = ProcessPool(1)
        async with pool.spawn(["true"]):
            waiting = asyncio.create_task(pool.run(["echo", "x"]))
            await until(lambda: pool.waiting == 1)
            pool.close()
            with pytest.raises(PoolClosedError):
                await pool.run(["true"])
        await pool.aclose()
        assert (await waiting).stdout == b"x\n"
        assert "closed" in repr(pool)

    run(main())


def test_a_call_that_is_cancelled_while_it_runs_ends_its_process_alone(run: Run, runs: Runs, tmp_path: Path) -> None:
    async def main() -> None:
        async with ProcessPool(2) as pool:
            call = asyncio.create_task(pool.run(sh(LEAVES + "wait", str(tmp_path / "1"))))
            other = asyncio.create_task(pool.run(["cat"], input=b"x"))
            pid = await pid_in(tmp_path / "1")
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert not runs(pid)
            assert (await other).stdout == b"x"

    run(main())


def test_it_belongs_to_one_loop(run: Run) -> None:
    pool = ProcessPool(1)
    run(pool.run(["true"]))
    for call in (lambda: pool.run(["true"]), pool.aclose, pool.end, pool.memory):
        with pytest.raises(WrongLoopError, match="make one for each loop"):
            run(call())


def test_above_its_memory_none_is_started(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "loopwright.process")

    async def main() -> None:
        async with ProcessPool(3, max_memory=32 << 20, max_waiting=0) as pool:
            # In a child of the process, which counts too.
            async with pool.spawn(sh('"$@"; exit', *python(TAKES)), stdout=PIPE) as process:
                assert process.stdout is not None
                await process.stdout.readline()
                assert await pool.memory() > 64 << 20
                waiting = asyncio.create_task(pool.run(["echo", "x"]))
                await until(lambda: "none is started above" in caplog.text)
                await asyncio.sleep(0.5)
                assert (pool.running, pool.waiting) == (1, 1)
            assert (await waiting).stdout == b"x\n"
            assert await pool.memory() == 0

    run(main())
    assert caplog.text.count("none is started above") == 1


def test_below_its_memory_all_places_are_used(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(2, max_memory=1 << 40) as pool:
            calls = [asyncio.create_task(pool.run(SLEEP)) for _ in range(3)]
            await until(lambda: pool.running == 2)
            assert pool.waiting == 1
            await pool.end()
            await asyncio.gather(*calls, return_exceptions=True)

    run(main())


def test_a_bound_too_low_for_any_has_them_run_one_by_one(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(4, max_memory=1) as pool:
            results = [done async for done in pool.map([sh("sleep 0.05; echo x")] * 5)]
        assert [done.stdout for done in results] == [b"x\n"] * 5

    run(main())


def test_ended_while_calls_are_held_back_by_memory(run: Run) -> None:
    async def main() -> None:
        pool = ProcessPool(4, max_memory=1)
        calls = [asyncio.create_task(pool.run(SLEEP)) for _ in range(3)]
        await until(lambda: pool.running == 1 and pool.waiting == 2)
        await pool.end()
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, PoolClosedError)

    run(main())

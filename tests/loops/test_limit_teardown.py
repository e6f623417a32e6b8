"""The end of a run, with every slot taken: those that wait are cancelled, and what asyncio does to end goes on."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import pytest

from loopwright.loops import TaskLimitReport, task_limit
from tests.loops import limited
from tests.loops.limited import run

pytestmark = pytest.mark.usefixtures("queue")


def test_the_end_of_a_run_cancels_those_that_wait() -> None:
    began: list[int] = []
    ended: list[str] = []

    async def work(number: int) -> None:
        began.append(number)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append(f"cancelled {number}")
            raise

    async def main() -> None:
        tasks.extend(asyncio.create_task(work(number)) for number in range(100))
        await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[None]] = []
    run(main(), 2)
    assert (began, sorted(ended)) == ([0, 1], ["cancelled 0", "cancelled 1"])
    assert all(task.cancelled() for task in tasks)


def test_the_end_of_a_run_with_tasks_that_go_on_for_a_while() -> None:
    """One that makes more while it is cancelled, and a generator that somebody left, with every slot taken."""
    closed: list[str] = []

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            closed.append("generator")

    kept = []

    async def work() -> None:
        items = generator()
        kept.append(items)
        await anext(items)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(5)))
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(asyncio.sleep(0)))
            closed.append("work")
            raise

    async def main() -> None:
        await asyncio.to_thread(str)
        tasks.extend(asyncio.create_task(work()) for _ in range(3))
        await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[None]] = []
    run(main(), 1)
    assert closed == ["work", "generator"]


def test_teardown_by_hand_while_every_slot_is_taken_for_good() -> None:
    closed = []

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            closed.append(True)

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        tasks.append(asyncio.create_task(stuck()))
        kept.append(generator())
        await anext(kept[0])
        await asyncio.to_thread(str)

    kept: list[Any] = []
    tasks: list[asyncio.Task[None]] = []
    loop = limited.limited(1)
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert closed == [True]
    tasks[0].cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


async def stuck() -> None:
    await asyncio.get_running_loop().create_future()


def test_asyncios_own_tasks_go_on_while_every_slot_is_taken() -> None:
    if limited.kind == "rloop":
        pytest.skip("rloop 0.5 never ends the connection, whether or not its tasks are bounded")
    closed = asyncio.Event()

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    async def main() -> None:
        holding = asyncio.create_task(stuck())
        await asyncio.sleep(0)
        async for _ in generator():
            break
        await closed.wait()
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert await process.communicate(b"hello") == (b"hello", None)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # no coroutine: no task
            writer.write(b"welcome")
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        # In tasks of its own, which uvloop has not.
        options: dict[str, Any] = {} if limited.kind in limited.FOREIGN else {"happy_eyeballs_delay": 0.1}
        reader, writer = await asyncio.open_connection(*address, family=socket.AF_INET, **options)
        assert await reader.read() == b"welcome"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        assert task_limit() == TaskLimitReport(1, 1, 0, 0)
        holding.cancel()

    run(main(), 1)


def test_ctrl_c_ends_those_that_wait() -> None:
    async def hold() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        tasks.extend(asyncio.create_task(hold()) for _ in range(1000))
        await asyncio.gather(*tasks)

    tasks: list[asyncio.Task[None]] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(main(), 3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert all(task.cancelled() for task in tasks)
    assert len(tasks) == 1000

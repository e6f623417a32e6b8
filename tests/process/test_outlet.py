"""Output that is left in its pipe until somebody asks for it, or the process has ended; and collected at its end."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, spawn
from loopwright.process._outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


def sh(line: str) -> list[str]:
    return ["sh", "-c", line]


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def number_of(process: Any) -> int:
    assert type(process._stdout) is Outlet
    number = process._stdout.get_extra_info("fileno")
    assert number >= 0
    return int(number)


def test_all_of_it_and_nothing_left_open(run: Run) -> None:
    async def main() -> None:
        process = await spawn(sh("echo all of it"), stdout=PIPE)
        number = number_of(process)
        assert await process.communicate() == (b"all of it\n", None)
        assert process.returncode == 0
        assert not is_open(number)

    run(main())


def put_a_file_on(number: int, tmp_path: Path) -> None:
    """No loop hears of a file: epoll_ctl(2) answers EPERM, as it does ENOSPC of a pipe where too many are watched."""
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.dup2(file, number, inheritable=False)
    os.close(file)


@pytest.mark.parametrize("ended", [False, True])
def test_a_pipe_that_the_loop_cannot_hear_of(run: Run, tmp_path: Path, *, ended: bool) -> None:
    """Who waits for the process is told of its end, and who reads of what went wrong, instead of waiting for ever."""

    async def main() -> None:
        loop, told, is_told = asyncio.get_running_loop(), [], asyncio.Event()

        def note(_: object, context: dict[str, Any]) -> None:
            told.append(type(context.get("exception")))
            is_told.set()

        loop.set_exception_handler(note)
        process = await spawn(["cat"], stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        put_a_file_on(number_of(process), tmp_path)
        if ended:
            process.stdin.close()
            async with asyncio.timeout(20):
                assert (await process.wait()).returncode == 0
                await is_told.wait()
        else:
            with pytest.raises(PermissionError):
                _ = process.stdout
        assert process.stdout is not None
        with pytest.raises(PermissionError):
            await process.stdout.read()
        with pytest.raises(PermissionError):
            await process.communicate()
        process.stdin.close()
        assert (await process.wait()).returncode == 0
        assert told == [PermissionError] * ended

    run(main())


def test_a_pipe_that_the_loop_cannot_hear_of_once_it_must(run: Run, tmp_path: Path) -> None:
    """The program does not end before it is read from: so whoever collects hears of it then."""

    async def main() -> None:
        async with await spawn(["sleep", "1000"], stdout=PIPE) as process:
            put_a_file_on(number_of(process), tmp_path)
            with pytest.raises(PermissionError):
                await process.communicate()

    run(main())


def test_a_paused_stream_of_which_the_loop_cannot_hear_again(run: Run, tmp_path: Path) -> None:
    """What came until then is given; then every read tells of it, and none waits for ever."""

    async def main() -> None:
        script = "head -c 1000000 /dev/zero; exec sleep 1000"
        async with await spawn(sh(script), stdout=PIPE) as process, asyncio.timeout(20):
            assert process.stdout is not None
            pipe: Any = process.stdout._transport  # type: ignore[attr-defined]
            while pipe.is_reading():  # noqa: ASYNC110 - nobody sets an event for it
                await asyncio.sleep(0.001)
            number = pipe.get_extra_info("fileno")
            put_a_file_on(number, tmp_path)
            came = 0
            with pytest.raises(PermissionError):  # noqa: PT012 - at one of them, after some that bring data
                while block := await process.stdout.read(65_536):
                    came += len(block)
            assert came >= 65_536
            assert pipe.is_closing()
            assert not pipe.is_reading()
            assert not is_open(number)
            with pytest.raises(PermissionError):
                await process.stdout.read()

    run(main())


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 3_000_000])
def test_more_than_a_pipe_holds(run: Run, size: int) -> None:
    """It waits for its pipe to be emptied, and would never end."""

    async def main() -> None:
        process = await spawn(sh(f"head -c {size} /dev/zero; sleep 0.01; echo end"), stdout=PIPE)
        output, _ = await process.communicate()
        assert output == b"\0" * size + b"end\n"

    run(main())


def test_who_holds_the_pipe_after_the_end(run: Run) -> None:
    async def main() -> None:
        process = await spawn(sh("echo early; (sleep 0.2; echo late) &"), stdout=PIPE)
        assert await process.communicate() == (b"early\nlate\n", None)

    run(main())


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_a_cancelled_collect_loses_nothing(run: Run, after: float) -> None:
    """Neither before nor after it had begun to read along, whoever goes on."""

    async def main() -> None:
        for how in ("communicate", "lines", "stdout"):
            process = await spawn(sh("echo one; sleep 0.3; echo two"), stdout=PIPE)
            task = asyncio.create_task(process.communicate())
            await asyncio.sleep(after)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if how == "communicate":
                assert await process.communicate() == (b"one\ntwo\n", None)
            elif after == 0.0:
                assert process.stdout is not None
                found = [line async for line in process.lines()] if how == "lines" else await process.stdout.read()
                assert found == ([b"one", b"two"] if how == "lines" else b"one\ntwo\n")
            else:
                await process.communicate()
            await process.wait()

    run(main())


def test_unread_output_goes_with_the_process(run: Run) -> None:
    """The descriptor is closed, and what was written is there for who asks later."""

    async def main() -> None:
        process = await spawn(sh("echo kept"), stdout=PIPE, stderr=PIPE)
        number = number_of(process)
        await process.wait()
        async with asyncio.timeout(10):
            while is_open(number):  # noqa: ASYNC110 - nobody sets an event for it
                await asyncio.sleep(0.001)
        assert process.stdout is not None
        assert process.stderr is not None
        assert await process.stdout.read() == b"kept\n"
        assert await process.stderr.read() == b""

    run(main())


def test_a_stream_that_is_asked_for_is_read_at_once(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("head -c 100000 /dev/zero; sleep 100"), stdout=PIPE) as process:
            assert process.stdout is not None
            assert process.stdout is process.stdout
            assert len(await process.stdout.readexactly(100_000)) == 100_000

    run(main())


def test_dropped_unread(run: Run) -> None:
    """As with everything else that is dropped open, it is closed, and said."""

    async def main() -> None:
        process = await spawn(["sleep", "100"], stdout=PIPE)
        outlet = Outlet(asyncio.get_running_loop(), os.dup(number_of(process)))
        number = outlet.get_extra_info("fileno")
        held = [outlet]
        del outlet
        with pytest.warns(ResourceWarning, match="unclosed <Outlet descriptor"):
            held.clear()
        assert not is_open(number)
        async with process:
            process.kill()

    run(main())


def test_many_at_once_have_one_timer(run: Run) -> None:
    async def main() -> None:
        async def one(number: int) -> None:
            process = await spawn(sh(f"sleep 0.0{number % 3}; echo {number}"), stdout=PIPE)
            assert await process.communicate() == (b"%d\n" % number, None)

        began = time.monotonic()
        await asyncio.gather(*map(one, range(40)))
        assert time.monotonic() - began < 20

    run(main())

"""communicate() and wait() with their limits: broken off, gone on with, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import ProcessTimeoutError, TextModeError
from loopwright.process import PIPE, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

MIB = 1 << 20


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_wait_in_time_and_not(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["cat"], stdin=PIPE) as process:
            with pytest.raises(ProcessTimeoutError, match=rf"`cat` \(process {process.pid}\) still ran after 0.05 s"):
                await process.wait(0.05)
            with pytest.raises(TimeoutError):
                await process.wait(timeout=0)
            assert process.status is None
            assert process.stdin is not None
            process.stdin.close()
            assert (await process.wait(timeout=20)).success
            assert (await process.wait(timeout=0)).success

    run(main())


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"text": True}])
def test_a_timeout_breaks_off_and_the_next_goes_on(run: Run, options: dict[str, Any]) -> None:
    async def main() -> None:
        script = "echo begun; read x; cat; read y < $0; echo $y >&2"
        read_end, write_end = os.pipe()
        try:
            args = ["/bin/sh", "-c", script, f"/dev/fd/{read_end}"]
            pipes: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
            async with await spawn(args, pass_fds=[read_end], **pipes, **options) as process:
                rest = "line\n" * MIB
                given: Any = "x\n" + rest if options else ("x\n" + rest).encode()
                with pytest.raises(ProcessTimeoutError) as caught:
                    await process.communicate(given, timeout=1)
                assert isinstance(caught.value, subprocess.TimeoutExpired)
                assert "was not done after 1 s" in str(caught.value)
                so_far = caught.value.stdout
                with pytest.raises(ValueError, match="without one"):
                    await process.communicate(given)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(process.communicate(), 0.05)
                os.write(write_end, b"end\n")
                output, errors = await process.communicate()
                whole: Any = "begun\n" + rest if options else ("begun\n" + rest).encode()
                assert output == whole
                assert whole.startswith(so_far)
                assert errors == ("end\n" if options else b"end\n")
        finally:
            os.close(read_end)
            os.close(write_end)

    run(main())


def test_wrong_types(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
            with pytest.raises(TextModeError, match="written bytes, not str"):
                await process.communicate("text")
            with pytest.raises(TypeError, match="written bytes, not int"):
                await process.communicate(3)  # type: ignore[arg-type]
            assert await process.communicate(bytearray(b"bytes")) == (b"bytes", None)
        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, text=True) as process:
            with pytest.raises(TextModeError, match="written str, not bytes"):
                await process.communicate(b"bytes")
            assert await process.communicate("text") == ("text", None)

    run(main())


def test_a_descendant_that_holds_the_pipes(run: Run) -> None:
    async def main() -> None:
        script = "exec 3<&0; sleep 100 <&3 & echo $!"
        async with await spawn(sh(script), stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            output, errors = await process.communicate(bytes(MIB), linger=0.05)
            assert process.returncode == 0
            assert errors == b""
            assert output is not None
            os.kill(int(output), signal.SIGKILL)

    run(main())


def test_linger_after_the_end(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("sleep 100 & echo $!"), stdout=PIPE) as process:
            await process.wait()
            output, _ = await process.communicate(linger=0.05)
            os.kill(int(output), signal.SIGKILL)
        async with await spawn(sh("echo whole"), stdout=PIPE) as process:
            assert await process.communicate(linger=30) == (b"whole\n", None)

    run(main())


def test_what_was_read_before_is_not_read_again(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("echo one; echo two; echo three"), stdout=PIPE, text=True) as process:
            assert process.stdout is not None
            assert await process.stdout.readline() == "one\n"
            assert await process.communicate() == ("two\nthree\n", None)

    run(main())


def test_a_child_that_closes_its_input_and_goes_on(run: Run) -> None:
    async def main() -> None:
        script = "exec 0<&-; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"
        async with await spawn(sh(script), stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            output, errors = await process.communicate(bytes(5 * MIB))
            assert (len(output), len(errors)) == (3_000_000, 3_000_000)

    run(main())


@pytest.mark.long
def test_what_came_in_the_moment_the_clock_ran_out(run: Run) -> None:
    """The loop stands still meanwhile, so that the news of data, of the exit and of the time come to it at once."""

    async def main() -> None:
        async with await spawn(sh("read x; sleep 100 & echo $!"), stdin=PIPE, stdout=PIPE) as process:
            talk = asyncio.create_task(process.communicate(b"go\n", linger=0))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251 - that is what is tried
            output, _ = await talk
            assert process.returncode == 0
            os.kill(int(output), signal.SIGKILL)

    run(main())


def test_the_end_of_the_pipe_comes_together_with_the_exit(run: Run) -> None:
    """The clock of `linger` is gone when the news of the exit is heard that was on its way already."""

    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        for _ in range(20):
            reading, writing = os.pipe()
            async with await spawn(["cat"], stdin=reading, stdout=PIPE) as process:
                os.close(reading)
                talk = asyncio.create_task(process.communicate(linger=30))
                await asyncio.sleep(0)
                os.close(writing)
                # The loop stands still meanwhile, and then hears of both at once.
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - that is what is tried
                assert await talk == (b"", None)
            await asyncio.sleep(0)
        assert told == []

    run(main())


def test_a_timeout_while_the_input_is_flushed(run: Run) -> None:
    """The next goes on waiting for that, and is not told of a cancellation."""

    async def main() -> None:
        reading, writing = os.pipe()
        try:
            args = ["/bin/sh", "-c", "read x < $0; cat > /dev/null", f"/dev/fd/{reading}"]
            async with await spawn(args, stdin=PIPE, pass_fds=[reading]) as process:
                with pytest.raises(ProcessTimeoutError):
                    await process.communicate(bytes(100_000), timeout=0.3)
                with pytest.raises(ProcessTimeoutError):
                    await process.communicate(timeout=0.05)
                os.write(writing, b"go\n")
                assert await process.communicate() == (None, None)
                assert process.returncode == 0
        finally:
            os.close(reading)
            os.close(writing)

    run(main())

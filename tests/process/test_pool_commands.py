"""What a pool is given to run: lists, strings, and `cmd()`s with options of their own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import PIPE, ProcessPool, check, cmd, run, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, None]], None]


def test_a_cmd_with_its_options_between_the_pool_s_and_the_call_s(run: Run) -> None:
    tell = cmd("sh", "-c", "echo $A $B $C; exit 3", ok=(3,), env={"A": "cmd", "PATH": "/bin:/usr/bin"}, text=True)

    async def main() -> None:
        async with ProcessPool(2, env={"A": "pool", "B": "pool"}, text=False) as pool:
            assert (await pool.check(tell)).stdout == "cmd\n"
            assert (await pool.run(tell, env={"C": "call", "PATH": "/bin:/usr/bin"})).stdout == "call\n"
            done = [each.stdout async for each in pool.map([tell, ["echo", "x"], tell], ok=(0, 3))]
            assert sorted(done, key=str) == [b"x\n", "cmd\n", "cmd\n"]
            line = cmd("echo one; echo two", shell=True)
            assert (await pool.check(line)).stdout == b"one\ntwo\n"
            assert (await pool.check(cmd("echo", "a b"))).args == ("echo", "a b")

    run(main())


def test_a_cmd_is_started_in_the_pool_with_what_a_start_takes(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1, timeout=30) as pool:
            async with pool.spawn(cmd("cat", ok=(0, 1), stdin=PIPE), stdout=PIPE) as process:
                assert await process.communicate(b"x") == (b"x", None)
                assert process.send_signal(signal.SIGTERM) is False
            with pytest.raises(TypeError, match=r"spawn\(\) takes no keyword argument 'timeout'"):
                async with pool.spawn(cmd("cat", timeout=3)):
                    raise AssertionError
            assert (pool.running, pool.waiting) == (0, 0)

    run(main())


def test_what_is_no_command_is_refused_before_it_has_a_place(run: Run) -> None:
    async def main() -> None:
        async with ProcessPool(1) as pool:
            for call in (pool.run, pool.check):
                with pytest.raises(
                    TypeError, match=r"a place in a pool is for one process, and `a \| b` is a pipeline of"
                ):
                    await call(cmd("a") | cmd("b"))  # type: ignore[arg-type]
                with pytest.raises(TypeError, match="args is a list of the program and its arguments"):
                    await call(7)  # type: ignore[arg-type]
            for commands in ("ls", cmd("ls"), 7):
                with pytest.raises(TypeError, match=r"map\(\) takes commands, a list or iterator of them"):
                    await anext(pool.map(commands))  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="args is a list of the program and its arguments"):
                async for _ in pool.map(["ls", cmd("ls"), None]):  # type: ignore[list-item]
                    pass
            assert (pool.running, pool.waiting) == (0, 0)

    run(main())


@pytest.mark.parametrize("function", [run, check, spawn])
def test_who_gives_a_cmd_to_a_function_is_told_that_it_runs_itself(run: Run, function: Any) -> None:
    async def main() -> None:
        for given in (cmd("ls"), cmd("ls") | cmd("cat"), None, 7, object()):
            with pytest.raises(
                TypeError, match=r"a list of the program.*cmd\(\) and pipeline\(\) give is run by its own"
            ):
                await function(given)

    run(main())


@pytest.mark.parametrize("function", [run, check])
def test_what_can_be_gone_through_once_only_is_a_command_too(run: Run, function: Any) -> None:
    async def main() -> None:
        done = await function(word for word in ("echo", "a b"))
        assert (done.stdout, done.args) == (b"a b\n", ["echo", "a b"])

    run(main())

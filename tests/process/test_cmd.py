"""Commands as values, and every way to run one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import ProcessFailedError
from loopwright.process import PIPE, STDOUT, Cmd, Pipeline, cmd, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Runs = Callable[[int], bool]
    Descriptors = Callable[[], set[tuple[int, str]]]


def test_a_command_is_a_value() -> None:
    git = cmd("git", cwd="/")
    log = git("log", "-1", cwd=Path("/tmp"))
    assert git == cmd("git", cwd="/")
    assert hash(git) == hash(cmd("git"))
    assert git != cmd("git")
    assert (log.args, dict(log.options)) == (("git", "log", "-1"), {"cwd": Path("/tmp")})
    assert git.args == ("git",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        git.args = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        git.options["cwd"] = ""  # type: ignore[index]
    assert repr(git("a b")) == "cmd('git', 'a b', cwd='/')"
    assert str(git("a b")) == "git 'a b'"


def test_bars() -> None:
    one, two, three = cmd("a"), cmd("b"), cmd("c")
    assert (one | two | three) == (one | (two | three)) == pipeline(one, ["b"], ("c",))
    assert isinstance(one | two, Pipeline)
    assert repr(one | two) == "cmd('a') | cmd('b')"
    assert str(one("x y") | two) == "a 'x y' | b"
    assert repr(pipeline(one, two, cwd="/")) == "pipeline(cmd('a'), cmd('b'), cwd='/')"
    both = pipeline(one, cwd="/", text=True) | pipeline(two, cwd="/tmp")
    assert dict(both.options) == {"cwd": "/tmp", "text": True}
    with pytest.raises(TypeError):
        one | ["b"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: cmd(), ValueError, "begins with the program"),
        (lambda: cmd(["a", "b"]), TypeError, r"cmd\(\*arguments\)"),
        (lambda: cmd("a", 3), TypeError, "not 3"),
        (lambda: pipeline(), ValueError, "needs a command"),
        (lambda: pipeline("ls"), TypeError, "not 'ls'"),
        (lambda: pipeline(3), TypeError, "not 3"),
    ],
)
def test_what_is_no_command(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_ways_to_run(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        pwd = cmd("pwd", text=True)(cwd=tmp_path)
        assert (await pwd).stdout == (await pwd.run()).stdout == (await pwd.check()).stdout == f"{tmp_path}\n"
        assert (await pwd.run(cwd="/")).stdout == "/\n"
        assert not (await cmd("false").run()).success
        assert (await cmd("false", ok=(0, 1))).success
        with pytest.raises(ProcessFailedError, match="`false` exited with status 1"):
            await cmd("false")
        with pytest.raises(ProcessFailedError, match=r"stage 2 of `true \| false`"):
            await (cmd("true") | cmd("false"))
        async with await cmd("cat", stdout=PIPE, ok=(0, 1)).spawn(stdin=PIPE) as process:
            assert await process.communicate(b"x") == (b"x", None)
        with pytest.raises(TypeError, match="timeout"):
            await cmd("cat", timeout=3).spawn()
        assert (await cmd("echo $0", shell=True)).stdout == b"/bin/sh\n"
        assert (await (cmd("echo a b", shell=True) | cmd("tr a-z A-Z", shell=True))).stdout == b"A B\n"
        assert (await pipeline(cmd("echo a"), cmd("cat"), shell=True)).stdout == b"a\n"

    run(main())


def test_lines(run: Run) -> None:
    async def main() -> None:
        async with cmd("seq", "3", text=True).lines() as lines:
            assert [line async for line in lines] == ["1", "2", "3"]
        async with (cmd("seq", "3") | cmd("sed", "s/^/x/")).lines() as lines:
            assert [line async for line in lines] == [b"x1", b"x2", b"x3"]
        async with cmd("/bin/sh", "-c", "echo a; echo b >&2").lines(stderr=STDOUT) as lines:
            assert [line async for line in lines] == [b"a", b"b"]

    run(main())


async def gather_lines(command: Cmd | Pipeline, found: list[Any]) -> None:
    async with command.lines() as lines:
        async for line in lines:
            found.append(line)  # noqa: PERF401 - what came before an error is wanted


def test_lines_that_end_in_failure(run: Run) -> None:
    async def main() -> None:
        found: list[Any] = []
        fails = cmd("/bin/sh", "-c", "echo one; echo why >&2; exit 3", text=True)
        with pytest.raises(ProcessFailedError, match=r"(?s)exited with status 3 after .* s:\n    why$"):
            await gather_lines(fails, found)
        assert found == ["one"]
        async with fails.lines(ok=(0, 3)) as lines:
            assert [line async for line in lines] == ["one"]
        with pytest.raises(ProcessFailedError, match="stage 1 of"):
            await gather_lines(fails | cmd("cat"), [])

    run(main())


def test_lines_left_early(run: Run, runs: Runs, descriptors: Descriptors) -> None:
    async def main() -> None:
        before = descriptors()
        async with cmd("/bin/sh", "-c", "echo $$; exec yes").lines() as lines:
            async for line in lines:
                pid = int(line)
                break
        assert not runs(pid)
        async with (cmd("yes") | cmd("cat")).lines() as lines:
            assert await anext(lines) == b"y"
        assert descriptors() == before

    run(main())

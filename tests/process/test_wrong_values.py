"""Options that have a wrong value: named before anything is started, with what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import Cmd, ProcessPool, check, cmd, run, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, None]], None]

OF_STARTS = [
    ({"umask": "022"}, TypeError, "umask is a whole number"),
    ({"env": 3}, TypeError, "env is a dict"),
    ({"env": {"A": 3}}, TypeError, r"env\['A'\] takes str, bytes or os.PathLike, not 3"),
    ({"env": {3: "A"}}, TypeError, "env takes str, bytes or os.PathLike, not 3"),
    ({"cwd": 3}, TypeError, "cwd takes str, bytes or os.PathLike, not 3"),
    ({"cgroup": 3}, TypeError, "cgroup takes str, bytes or os.PathLike, not 3"),
    ({"executable": 3}, TypeError, "executable takes str, bytes or os.PathLike, not 3"),
    ({"pipesize": "4096"}, TypeError, "pipesize is a number of bytes"),
    ({"pty": "x"}, TypeError, r"pty is True, or \(rows, columns\), not 'x'"),
    ({"pty": (24,)}, TypeError, r"pty is True, or \(rows, columns\)"),
    ({"pty": (24, 1 << 16)}, ValueError, "pty is .* from 0 to 65535"),
    ({"watcher": object()}, TypeError, "watcher is a child watcher of loopwright.watchers"),
]
OF_RUNS = [
    ({"ok": 3}, TypeError, "ok is a collection of exit codes"),
    ({"ok": "0"}, TypeError, "ok is a collection of exit codes"),
    ({"ok": ["a"]}, TypeError, "ok is a collection of exit codes"),
    ({"limit": "1"}, TypeError, "limit is a number of bytes"),
]


@pytest.mark.parametrize(("options", "error", "message"), OF_STARTS)
def test_of_a_start(run: Run, options: dict[str, Any], error: type[Exception], message: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=message):
            await spawn(["sleep", "1000"], **options)

    run(main())


@pytest.mark.parametrize(("options", "error", "message"), OF_STARTS + OF_RUNS)
@pytest.mark.parametrize("function", [run, check])
def test_of_a_run(function: Any, run: Run, options: dict[str, Any], error: type[Exception], message: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=message):
            await function(["sleep", "1000"], **options)

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "message"), [each for each in OF_STARTS if "executable" not in each[0]] + OF_RUNS
)
def test_of_a_pool(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ProcessPool(1, **options)


def test_of_a_command_that_is_run_later() -> None:
    with pytest.raises(TypeError, match="ok is a collection of exit codes"):
        cmd("true", ok=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("args", [["sleep", 1000], [None], [["sleep"]]])
def test_of_an_argument(run: Run, args: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"args takes str, bytes or os\.PathLike, not "):
            await spawn(args)

    run(main())


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"grace": "5"}, TypeError, "grace is a number of seconds, not '5'"),
        ({"grace": None}, TypeError, "grace is a number of seconds, not None"),
        ({"grace": float("nan")}, TypeError, "grace is a number of seconds, not nan"),
        ({"signal": "TERM"}, ValueError, "signal is one to ask it to end by, .* not 'TERM'"),
        ({"signal": 0}, ValueError, "signal is one to ask it to end by"),
        ({"signal": 999}, ValueError, "signal is one to ask it to end by"),
    ],
)
def test_of_an_ending(run: Run, how: dict[str, Any], error: type[Exception], message: str) -> None:
    """Before anything of it is done: the process has not been asked, and runs on."""

    async def main() -> None:
        async with await spawn(["sleep", "1000"], start_new_session=True) as process:
            with pytest.raises(error, match=message):
                await process.end(**how)
            assert process.send_signal(0)

    run(main())


def test_no_exit_codes_in_particular_are_the_usual_one(run: Run) -> None:
    async def main() -> None:
        assert (await check(["true"], ok=None)).success  # type: ignore[arg-type]
        assert not (await Cmd(("false",)).run(ok=None)).success  # type: ignore[arg-type]

    run(main())

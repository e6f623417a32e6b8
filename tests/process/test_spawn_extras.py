"""What `spawn()` takes beyond Popen's arguments, seen from inside the child and from the kernel."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._spawning import compiled_obstacle
from loopwright.errors import ArgumentsConflictError
from loopwright.process import PIPE, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs privileges that root has")
compiled = pytest.mark.skipif(compiled_obstacle() is not None, reason=str(compiled_obstacle()))


async def output(args: Any, **options: Any) -> str:
    async with await spawn(args, stdout=PIPE, **options) as process:
        written, _ = await process.communicate()
        assert (await process.wait()).success
    return written.decode()


def sh(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


@pytest.mark.parametrize("pure", [False, True])
def test_limits_niceness_and_affinity(run: Run, pure: bool) -> None:
    options: dict[str, Any] = {"preexec_fn": (lambda: None) if pure else None}
    cpu = max(os.sched_getaffinity(0))
    line = "ulimit -Sn; ulimit -Hn; ulimit -t; ulimit -c; nice; grep Cpus_allowed_list /proc/self/status"
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    written = run(
        output(
            sh(line),
            rlimits={
                resource.RLIMIT_NOFILE: (50, 60),
                resource.RLIMIT_CPU: 100,
                resource.RLIMIT_CORE: (0, hard),
            },
            nice=7,
            affinity=iter([cpu]),
            **options,
        )
    )
    assert written.split() == ["50", "60", "100", "0", "7", "Cpus_allowed_list:", str(cpu)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"affinity": [8191]}, "CPU affinity"),
        ({"process_group": 1}, "process group"),
        ({"cgroup": "/"}, "in cgroup /"),
    ],
)
@compiled
def test_what_the_kernel_refuses_is_named(run: Run, options: dict[str, Any], told: str) -> None:
    with pytest.raises(OSError, match=told):
        run(spawn(["true"], **options))


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"rlimits": {"RLIMIT_CPU": 1}}, TypeError, r"has 'RLIMIT_CPU' where it takes resource\.RLIMIT_CPU$"),
        ({"rlimits": {"nofile": 1}}, TypeError, r"has 'nofile' where it takes resource\.RLIMIT_NOFILE$"),
        ({"rlimits": {"speed": 1}}, TypeError, r"has 'speed' where .* such as RLIMIT_CPU"),
        ({"rlimits": {999: 1}}, ValueError, "has 999, and there is no such limit"),
        ({"rlimits": {-1: 1}}, ValueError, "has -1, and there is no such limit"),
        ({"rlimits": {resource.RLIMIT_CPU: (2, 1)}}, ValueError, r"has \(2, 1\) for RLIMIT_CPU: the soft limit"),
        ({"rlimits": {resource.RLIMIT_CPU: (-1, 1)}}, ValueError, "the soft limit"),
        ({"rlimits": {resource.RLIMIT_CPU: (1, 2, 3)}}, ValueError, r"takes a number or \(soft, hard\)"),
        ({"rlimits": {resource.RLIMIT_CPU: "1"}}, ValueError, "has '1' for RLIMIT_CPU, where a limit is"),
        ({"nice": "7"}, TypeError, "nice is a niceness, a whole number .* not '7'"),
    ],
)
def test_what_is_wrong_by_itself_is_named(run: Run, options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        run(spawn(["true"], **options))


def test_a_cgroup_that_is_not_there(run: Run) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        run(spawn(["true"], cgroup="/no/such/cgroup"))
    assert caught.value.filename == "/no/such/cgroup"


@pytest.mark.parametrize("pure", [False, True])
def test_a_cgroup(run: Run, ice: Any, pure: bool) -> None:
    ice.thaw()
    options: dict[str, Any] = {"preexec_fn": (lambda: None) if pure else None}
    written = run(output(["cat", "/proc/self/cgroup"], cgroup=ice.path, **options))
    assert f"0::/{ice.path.name}\n" in written


@compiled
@as_root
def test_a_pid_namespace(run: Run, soon: Soon, runs: Callable[[int], bool]) -> None:
    async def main() -> None:
        async with await spawn(sh("echo $$; sleep 1000 & sleep 1000"), stdout=PIPE, pid_namespace=True) as process:
            assert await process.stdout.readline() == b"1\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            soon(lambda: len(children.read_text().split()) == 2)
            inside = [int(pid) for pid in children.read_text().split()]  # noqa: ASYNC240
            process.kill()
            await process.wait()
            soon(lambda: not any(map(runs, inside)), "all in it have ended with it")

    run(main())


@compiled
@pytest.mark.parametrize("options", [{}, pytest.param({"user": 54321, "group": 54321}, marks=as_root)], ids=str)
def test_the_parent_death_signal(options: dict[str, Any], soon: Soon, runs: Callable[[int], bool]) -> None:
    """It comes when the program is killed, and not when the thread ends that asked for the child."""
    code = f"""
        import asyncio, os, signal, threading
        from loopwright.process import spawn
        async def main():
            process = await spawn(["sleep", "1000"], parent_death_signal=signal.SIGTERM, cwd="/", **{options!r})
            print(process.pid, flush=True)
        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        thread.join()
        print("the thread has ended", flush=True)
        input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert program.stdout.readline() == "the thread has ended\n"
        threading.Event().wait(0.1)
        assert runs(pid)
        program.kill()
        soon(lambda: not runs(pid), "it ended with the program")


def test_a_terminal(run: Run) -> None:
    async def main() -> None:
        line = "test -t 0 && test -t 1 && test -t 2 && stty size && ps -o tty= -p $$ >&2; trap 'stty size' WINCH; "
        async with await spawn(sh(line + "while :; do read x && echo got $x; done"), pty=(40, 100)) as process:
            assert await process.stdout.readline() == b"40 100\r\n"
            assert b"pts/" in await process.stdout.readline()
            assert process.leads_group
            process.stdin.write(b"hello\n")
            assert await process.stdout.readline() == b"hello\r\n"  # the terminal's echo
            assert await process.stdout.readline() == b"got hello\r\n"
            process.resize_terminal(20, 30)
            process.stdin.write(b"\n")
            written = b""
            while b"20 30" not in written:
                written += await process.stdout.readline()
            process.stdin.write(b"\x03")  # Ctrl-C
            status = await process.wait()
            assert status.signal == signal.SIGINT

    run(main())


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_terminal_and_a_stream(run: Run, stream: str) -> None:
    with pytest.raises(ArgumentsConflictError, match=f"{stream}=-1"):
        run(spawn(["true"], pty=True, **{stream: PIPE}))


def test_the_size_of_its_pipes(run: Run) -> None:
    async def main() -> None:
        import fcntl

        async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, pipesize=8192) as process:
            for stream in (process.stdin, process.stdout._transport):
                number = stream.get_extra_info("fileno")
                assert fcntl.fcntl(number, fcntl.F_GETPIPE_SZ) == 8192

    run(main())


def test_memory_of_a_watched_child(run: Run) -> None:
    async def main() -> None:
        first = [await spawn(["sleep", "1000"]) for _ in range(20)]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        more = [await spawn(["sleep", "1000"]) for _ in range(100)]
        each = (tracemalloc.get_traced_memory()[0] - before) / 100
        tracemalloc.stop()
        for process in first + more:
            process.kill()
        await asyncio.gather(*(process.wait() for process in first + more))
        sizes.append(each)

    sizes: list[float] = []
    run(main())
    assert sizes[-1] < 1100  # measured: 960 bytes, with the list of words it was started with

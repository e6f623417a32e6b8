"""Subprocesses of the native loop: what is seen of them is what is seen of asyncio's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from loopwright import _native, _spawning

if _native.LoopCore is None:
    pytest.skip(str(_native.MISSING), allow_module_level=True)

from loopwright.loops import _native_popen
from loopwright.loops._asyncio_private import serve_subprocesses
from loopwright.loops._native_loop import NativeEventLoop
from loopwright.watchers import ThreadedChildWatcher
from loopwright.watchers._hub import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPE, STDOUT, DEVNULL = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT, asyncio.subprocess.DEVNULL
ENOUGH = 10.0  # seconds

by_workers = pytest.mark.skipif(_spawning.compiled_obstacle() is not None, reason=str(_spawning.compiled_obstacle()))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        yield runner


async def outcome(*args: Any, given: bytes | None = None, **options: Any) -> Any:
    try:
        if isinstance(args[0], tuple):
            process = await asyncio.create_subprocess_exec(*args[0], **options)
        else:
            process = await asyncio.create_subprocess_shell(args[0], **options)
    except BaseException as error:
        return type(error), getattr(error, "errno", None), getattr(error, "filename", None)
    streams = await process.communicate(given)
    return streams, process.returncode


SHELL = "/bin/sh"
EVERYTHING: dict[str, tuple[Any, dict[str, Any]]] = {
    "words": (("true",), {}),
    "a path": ((sys.executable, "-c", "print('here')"), {"stdout": PIPE}),
    "bytes": ((b"echo", b"\xff"), {"stdout": PIPE}),
    "a line": ("echo out; echo err >&2; exit 3", {"stdout": PIPE, "stderr": PIPE}),
    "one stream for two": ("echo out; echo err >&2", {"stdout": PIPE, "stderr": STDOUT}),
    "input": (("cat",), {"stdin": PIPE, "stdout": PIPE, "given": b"a" * 300_000}),
    "input that nobody reads": (("true",), {"stdin": PIPE, "given": b"a" * 300_000}),
    "nothing": (("cat",), {"stdin": DEVNULL, "stdout": PIPE, "stderr": DEVNULL}),
    "a folder": ("pwd", {"stdout": PIPE, "cwd": "/"}),
    "an environment": ("echo $HERE; echo $HOME", {"stdout": PIPE, "env": {"HERE": "here", b"HOME": b"there"}}),
    "another program": (("not this", "-c", "echo $0"), {"stdout": PIPE, "executable": SHELL}),
    "a session": ("test $(ps -o sid= -p $$) -eq $$", {"start_new_session": True}),
    "a group": ("test $(ps -o pgid= -p $$) -eq $$", {"process_group": 0}),
    "a mask": ("umask", {"stdout": PIPE, "umask": 0o027}),
    "a user": ("id -u; id -g; id -G", {"stdout": PIPE, "user": os.getuid(), "group": os.getgid(), "extra_groups": []}),
    "no signals restored": (("grep", "SigIgn", "/proc/self/status"), {"stdout": PIPE, "restore_signals": False}),
    "preexec_fn": ("echo $MARK", {"stdout": PIPE, "preexec_fn": lambda: os.putenv("MARK", "x")}),
    "a signal": ("kill -9 $$", {}),
    "no such program": (("no such program",), {}),
    "no such path": (("/no/such/program",), {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}),
    "no such folder": (("true",), {"cwd": "/no/such/folder", "stdout": PIPE}),
    "no program": (("/etc/passwd",), {"stdout": PIPE}),
    "a null": (("tr\0ue",), {"stdout": PIPE}),
    "a number": ((1,), {"stdout": PIPE}),
    "an equals sign": (("true",), {"env": {"A=B": "C"}, "stdout": PIPE}),
    "a mask that is none": (("true",), {"umask": "no"}),
    "text": (("true",), {"text": True}),
    "a wrong word": (("true",), {"nonsense": True}),
    "startupinfo": (("true",), {"startupinfo": object()}),
    "a group that is none": (("true",), {"group": "no such group"}),
}


@pytest.mark.filterwarnings("ignore:.*preexec_fn:DeprecationWarning")
@pytest.mark.parametrize("name", EVERYTHING)
def test_is_as_on_asyncio(name: str, runner: asyncio.Runner) -> None:
    args, options = EVERYTHING[name]
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as theirs:
        expected = theirs.run(asyncio.wait_for(outcome(args, **options), ENOUGH))
    assert runner.run(asyncio.wait_for(outcome(args, **options), ENOUGH)) == expected


def test_descriptors_that_are_passed_on(runner: asyncio.Runner) -> None:
    reading, writing = os.pipe()
    try:
        program = sys.executable, "-c", f"import os; os.write({writing}, b'passed')"
        assert runner.run(outcome(program, pass_fds=[writing])) == ((None, None), 0)
        assert os.read(reading, 10) == b"passed"
        assert runner.run(outcome(program, stderr=DEVNULL)) == ((None, None), 1)
    finally:
        os.close(reading)
        os.close(writing)


def test_is_a_popen_in_every_respect(runner: asyncio.Runner) -> None:
    async def look() -> None:
        transport: Any
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            asyncio.SubprocessProtocol, "cat", stdin=PIPE, stdout=PIPE, stderr=None
        )
        popen: Any = transport.get_extra_info("subprocess")
        assert isinstance(popen, subprocess.Popen)
        assert (popen.pid, popen.returncode, popen.poll(), popen.args) == (transport.get_pid(), None, None, ("cat",))
        assert repr(popen) == "<Popen: returncode: None args: ('cat',)>"
        assert popen.stdin is not None
        assert popen.stdin.fileno() == transport.get_pipe_transport(0).get_extra_info("pipe").fileno()
        assert (popen.stdout is not None, popen.stderr) == (True, None)
        popen.send_signal(signal.SIGTERM)
        assert await transport._wait() == -signal.SIGTERM
        assert popen.returncode == -signal.SIGTERM
        transport.close()

    runner.run(look())


@by_workers
def test_starts_by_a_worker(runner: asyncio.Runner) -> None:
    with mock.patch.object(_native_popen._Popen, "_execute_child", side_effect=AssertionError("not this way")):
        assert runner.run(outcome("exit 5")) == ((None, None), 5)


@by_workers
def test_does_not_hold_the_loop_while_a_program_is_started(runner: asyncio.Runner) -> None:
    """What is asked for comes back at once, before the program runs: as a future, which a worker's answer ends."""
    done_at_once: list[bool] = []
    start = Hub.start

    def watched_start(hub: Hub, order: Any) -> asyncio.Future[None]:
        future = start(hub, order)
        done_at_once.append(future.done())
        return future

    async def begin() -> list[Any]:
        return await asyncio.gather(*(outcome(("true",)) for _ in range(10)))

    with mock.patch.object(Hub, "start", watched_start):
        assert runner.run(asyncio.wait_for(begin(), ENOUGH)) == [((None, None), 0)] * 10
    assert done_at_once == [False] * 10


@by_workers
def test_starts_by_a_worker_for_another_watcher(runner: asyncio.Runner) -> None:
    """As a policy with a watcher of its own has it."""
    watcher = ThreadedChildWatcher()
    loop = runner.get_loop()
    assert serve_subprocesses(loop, lambda: watcher)
    with (
        mock.patch.object(_native_popen._Popen, "_execute_child", side_effect=AssertionError("not this way")),
        mock.patch.object(watcher, "add_child_handler", wraps=watcher.add_child_handler) as add,
    ):
        assert runner.run(outcome("exit 5")) == ((None, None), 5)
    assert add.called


def test_leaves_it_to_somebody_elses_popen(runner: asyncio.Runner) -> None:
    async def start() -> None:
        with (
            mock.patch("subprocess.Popen", side_effect=ZeroDivisionError) as popen,
            pytest.raises(ZeroDivisionError),
        ):
            await asyncio.create_subprocess_exec("true")
        assert popen.called

    runner.run(start())


def test_popens_way_where_clone_is_refused(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spawning, "numbers_taken", lambda start, _request: start.abandon())
    assert runner.run(outcome(("cat",), stdin=PIPE, stdout=PIPE, given=b"here")) == ((b"here", None), 0)


@pytest.mark.parametrize("streams", [{}, {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}])
def test_a_start_that_is_cancelled_leaves_nothing(runner: asyncio.Runner, streams: dict[str, Any]) -> None:
    async def cancel() -> None:
        for rounds in range(12):
            starting = asyncio.ensure_future(asyncio.create_subprocess_exec("sleep", "60", **streams))
            for _ in range(rounds):
                await asyncio.sleep(0)
            time.sleep(0.001)  # noqa: ASYNC251 - for the worker to get on, and not the loop
            starting.cancel()
            try:
                process = await starting
            except asyncio.CancelledError:
                continue
            process.kill()
            await process.wait()

    runner.run(cancel())
    deadline = time.monotonic() + ENOUGH
    while _native.busy() and time.monotonic() < deadline:
        time.sleep(0.001)


def test_tells_the_audit_hooks(runner: asyncio.Runner) -> None:
    """In a program of its own, for a hook is there for ever."""
    program = """
import asyncio, sys
from loopwright.loops._native_loop import NativeEventLoop
sys.addaudithook(lambda event, args: event == "subprocess.Popen" and print(args))
async def start():
    for process in (
        await asyncio.create_subprocess_exec("true", "a"),
        await asyncio.create_subprocess_shell("true", cwd="/", env={}),
    ):
        await process.wait()
with asyncio.Runner(loop_factory=eval(sys.argv[1])) as runner:
    runner.run(start())
"""
    texts = [
        subprocess.run([sys.executable, "-c", program, factory], check=True, capture_output=True).stdout
        for factory in ("asyncio.SelectorEventLoop", "NativeEventLoop")
    ]
    assert texts[0] == texts[1] != b""


def test_many_at_once_from_several_loops() -> None:
    failed: list[Any] = []

    async def start() -> None:
        seen = await asyncio.gather(*(outcome(f"exit {number}") for number in range(20)))
        failed.extend(each for number, each in enumerate(seen) if each[1] != number)

    def run() -> None:
        with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
            runner.run(asyncio.wait_for(start(), ENOUGH))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("debug", [False, True])
def test_closing_the_transport_kills_it(runner: asyncio.Runner, debug: bool) -> None:
    async def close() -> int | None:
        asyncio.get_running_loop().set_debug(debug)
        transport: Any
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
        )
        assert "running" in repr(transport)
        transport.close()
        returncode: int | None = await transport._wait()
        return returncode

    assert runner.run(asyncio.wait_for(close(), ENOUGH)) == -signal.SIGKILL

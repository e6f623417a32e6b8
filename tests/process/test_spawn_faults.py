"""Starts that are cut off: by a shortage, a cancellation, a loop that closes, a fork, the end of the program."""

from __future__ import annotations

import asyncio
import codecs
import gc
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native
from loopwright._spawning import Child
from loopwright.process import PIPE, spawn
from loopwright.process._streams import Streams
from tests.kin import childless

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Runs = Callable[[int], bool]
    Factory = Callable[[], asyncio.AbstractEventLoop]
    Descriptors = Callable[[], set[tuple[int, str]]]

ALL_PIPES: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}


@pytest.mark.long
@pytest.mark.parametrize("program", ["sleep", "no-such-program-anywhere"])
@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_midway(run: Run, soon: Soon, descriptors: Descriptors, program: str, times: int) -> None:
    """At whichever await it is: either there is a process, or nothing is left."""

    async def main() -> None:
        before = descriptors()
        for passes in range(40):
            task = asyncio.ensure_future(spawn([program, "1000"], **ALL_PIPES))
            for count in range(passes):
                await asyncio.sleep(0 if count < 6 else 0.0003)
            if passes == 39:  # however slow the machine, one is cancelled too late
                await asyncio.wait([task])
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            try:
                process = await task
            except asyncio.CancelledError:
                outcomes.add("cancelled")
            except FileNotFoundError:
                outcomes.add("failed")
            else:
                outcomes.add("started")
                async with process:
                    assert process.status is None
            soon(lambda: _native.busy() == 0, "the worker is done")
            await asyncio.sleep(0)
            soon(lambda: descriptors() == before and childless(), f"nothing is left after {passes} passes")

    outcomes: set[str] = set()
    run(main())
    assert outcomes == {"cancelled", "started" if program == "sleep" else "failed"}


def test_cancelling_returns_at_once_though_the_start_hangs(run: Run, soon: Soon, ice: Any) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(spawn(["sleep", "1000"], cgroup=ice.path, **ALL_PIPES))
        while not ice.members():  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.001)
        began = time.monotonic()
        async with await spawn(["true"]) as other:
            assert (await other.wait()).success
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 10
        assert len(ice.members()) == 1
        ice.thaw()
        soon(lambda: _native.busy() == 0 and childless(), "it is killed and reaped once it can be")
        ice.freeze()

    run(main())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of processes that were started by then
@pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning")  # as asyncio's StreamWriter says it
@pytest.mark.parametrize("passes", range(6))
def test_a_loop_closed_with_starts_under_way(
    loop_factory: Factory, soon: Soon, descriptors: Descriptors, passes: int
) -> None:
    before = descriptors()
    loop = loop_factory()

    async def main() -> None:
        tasks.extend(asyncio.ensure_future(spawn(["sleep", "1000"], stdin=PIPE)) for _ in range(10))
        for _ in range(passes):
            await asyncio.sleep(0)

    tasks: list[Any] = []
    loop.run_until_complete(main())
    for task in tasks:
        task._log_destroy_pending = False  # what is tried here is just that
    del task
    loop.close()
    started = [task.result() for task in tasks if task.done()]
    tasks.clear()
    gc.collect()

    async def other() -> None:  # makes a hub, which looks after those of closed loops
        async with await spawn(["true"]) as process:
            await process.wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(other())
        for process in started:
            process.kill()
            soon(lambda pid=process.pid: _zombie(pid), "it has ended")
            del process
        runner.run(other())
    del started
    gc.collect()
    soon(lambda: _native.busy() == 0 and childless(), "no child is left")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(other())
    gc.collect()
    soon(lambda: descriptors() == before, "no descriptor is left")


def _zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] == b"Z"
    except FileNotFoundError:
        return True


@pytest.mark.long
def test_many_at_once(run: Run, descriptors: Descriptors, soon: Soon) -> None:
    async def one(number: int) -> int | None:
        process = await spawn(["/bin/sh", "-c", f"exit {number % 256}"], stdin=PIPE if number % 7 == 0 else None)
        async with process:
            await process.wait()
        return process.returncode

    async def main() -> None:
        for _ in range(2):
            assert await asyncio.gather(*map(one, range(500))) == [number % 256 for number in range(500)]

    run(main())
    soon(childless)


@pytest.mark.long
def test_two_loops_in_two_threads(loop_factory: Factory) -> None:
    async def main() -> None:
        for count in range(100):
            async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
                assert await process.communicate(b"%d" % count) == (b"%d" % count, None)

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(asyncio.wait_for(main(), 60))
            outcomes.append("done")
        except BaseException as error:
            outcomes.append(repr(error))

    outcomes: list[str] = []
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["done"] * 2


def test_one_that_is_cancelled_once_it_runs_is_ended_with_its_group(
    run: Run, soon: Soon, runs: Runs, tmp_path: Path
) -> None:
    """Its loop is held up meanwhile, and has not heard yet that it runs."""

    async def main() -> None:
        async with await spawn(["sleep", "1000"]):  # beside which a worker starts the next
            script = f"sleep 1000 & echo $! >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
            task = asyncio.ensure_future(spawn(["sh", "-c", script], start_new_session=True))
            await asyncio.sleep(0)
            soon((tmp_path / "pid").exists)
            task.cancel()
            try:
                process = await task
            except asyncio.CancelledError:
                pid = int((tmp_path / "pid").read_text())
                soon(lambda: not runs(pid), "its group is ended")
            else:  # by the plain way: it is there at once
                await process.end(grace=0)

    run(main())


def whole_strings(name: str) -> codecs.CodecInfo | None:
    """A codec that somebody has registered, and that is good for whole strings alone: spawn() fails of it late."""
    utf_8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf_8.encode, utf_8.decode, name=name) if name == "whole_strings" else None


@pytest.fixture
def late_failure() -> Iterator[dict[str, Any]]:
    codecs.register(whole_strings)
    yield {"stdin": PIPE, "encoding": "whole_strings"}
    codecs.unregister(whole_strings)


@pytest.mark.parametrize("group", [False, True])
def test_what_fails_once_it_runs_leaves_nothing(
    run: Run, soon: Soon, late_failure: dict[str, Any], *, group: bool
) -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            await spawn(["sleep", "1000"], start_new_session=group, **late_failure)
        soon(childless)

    run(main())


def test_one_that_may_not_be_killed_is_reaped_when_it_ends(
    run: Run, soon: Soon, monkeypatch: pytest.MonkeyPatch, late_failure: dict[str, Any]
) -> None:
    """As after sudo; whoever runs as root may kill that, too, and so it is refused here by hand."""

    def refuse(*_: object) -> bool:
        raise PermissionError

    async def main() -> None:
        monkeypatch.setattr(Child, "send_signal", refuse)
        with pytest.raises(LookupError):
            await spawn(["sleep", "0.5"], **late_failure)
        assert not childless()
        soon(childless)

    run(main())


def test_one_whose_pipes_were_closed_by_somebody_else(run: Run, soon: Soon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double close elsewhere; in the short time in which it could hit these numbers nobody can be made to do it."""

    close = Streams.close_theirs

    def close_twice(streams: Streams) -> None:
        number = streams._theirs[-1]
        monkeypatch.undo()
        os.close(number)
        close(streams)

    async def main() -> None:
        monkeypatch.setattr(Streams, "close_theirs", close_twice)
        with pytest.raises(OSError, match="Bad file descriptor"):
            await spawn(["sleep", "1000"], **ALL_PIPES)
        soon(childless)

    run(main())

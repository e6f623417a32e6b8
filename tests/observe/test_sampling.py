"""Told when a real process uses too much; on every loop."""

# ruff: noqa: ASYNC220 - a loop that stands still for a moment is no harm here

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from loopwright.observe import ProcessWatcher, UsageEvent, _usage
from loopwright.observe._usage import Reading, UsageReader, usage_between
from loopwright.process import PIPE, _proc

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

MIB = 1 << 20
GROWS = "import sys; print('small', flush=True); sys.stdin.readline(); kept = b'x' * (200 << 20); sys.stdin.readline()"
#: In a child of its own.
DEEPER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_arithmetic() -> None:
    before = Reading(10.0, 1000.0, 5, {(1, 900.0): 1.0, (2, 900.0): 7.0})
    after = Reading(12.0, 1002.0, 6, {(1, 900.0): 1.5, (3, 1001.0): 0.5, (4, 900.0): 99.0})
    usage = usage_between(before, after)
    assert (usage.memory, usage.cpu, usage.processes) == (6, 50.0, 3)
    assert usage_between(before, before).cpu == 0


@pytest.mark.long
@pytest.mark.parametrize("tree", [True, False])
def test_memory(run: Run, tree: bool) -> None:
    command = [sys.executable, "-c", DEEPER, GROWS] if tree else [sys.executable, "-c", GROWS]

    async def main() -> None:
        called: list[UsageEvent] = []
        async with ProcessWatcher(command, stdin=PIPE, start_new_session=True) as watcher:
            events = watcher.when_above(memory=150 * MIB, interval=0.02, for_=0.05, tree=tree, callback=called.append)
            while "small" not in await watcher.read_output():
                pass
            await asyncio.sleep(0.1)
            assert called == []
            watcher.process.stdin.write(b"\n")  # type: ignore[union-attr]
            event = await anext(events)
            assert (event.pid, event.what, event.limit) == (watcher.pid, "memory", 150 * MIB)
            assert event.value == event.usage.memory > 150 * MIB
            assert event.usage.processes == (2 if tree else 1)
            assert str(watcher.pid) in str(event)
            watcher.process.stdin.write(b"\n")  # type: ignore[union-attr]
            assert [event async for event in events] == []
            assert called == [event]

    run(main())


def test_cpu_of_a_process_that_something_else_started(run: Run) -> None:
    async def main() -> None:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as popen:
            async with ProcessWatcher(popen.pid) as watcher:
                with watcher.when_above(cpu=5, interval=0.1, tree=False) as events:
                    event = await anext(events)
                assert event.what == "cpu"
                assert event.value == event.usage.cpu > 5
                popen.kill()
                await watcher.wait()

    run(main())


@pytest.mark.long
def test_idle_process_raises_no_alarm(run: Run) -> None:
    async def main() -> None:
        async with ProcessWatcher(["sleep", "0.5"]) as watcher:
            events = watcher.when_above(cpu=90, memory=1 << 40, interval=0.02)
            assert [event async for event in events] == []
            assert (await watcher.wait()).success

    run(main())


def test_refused_look_names_the_pid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux lets everybody see this much, macOS does not."""

    async def main() -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        async with ProcessWatcher(["sleep", "100"]) as watcher:
            later = watcher.when_above(memory=1 << 40, interval=0.01, tree=False)

            def refused(process: psutil.Process) -> None:
                raise psutil.AccessDenied(process.pid)

            monkeypatch.setattr(psutil.Process, "create_time", refused)
            with pytest.raises(PermissionError, match=str(watcher.pid)):
                watcher.when_above(memory=1)
            with pytest.raises(PermissionError, match=str(watcher.pid)):
                await anext(later)
            assert [type(each) for each in complaints] == [PermissionError]

    run(main())


def test_misuse(run: Run) -> None:
    async def main() -> None:
        async with ProcessWatcher(["sleep", "100"]) as watcher:
            with pytest.raises(TypeError, match="memory="):
                watcher.when_above()
            for bad in ({"memory": 0}, {"cpu": -1}, {"cpu": 1, "interval": 0}, {"cpu": 1, "for_": -1}):
                with pytest.raises(ValueError, match="must be"):
                    watcher.when_above(**bad)  # type: ignore[arg-type]

    run(main())


@pytest.mark.long
@pytest.mark.parametrize("listed", [True, False], ids=["children-listed", "psutil"])
def test_what_it_uses_now(run: Run, monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    if not listed:  # as on a kernel without CONFIG_PROC_CHILDREN
        monkeypatch.setattr(_usage, "children", lambda _pid: None)
    busy = "print('ready', flush=True)\nwhile True: pass"

    async def main() -> None:
        async with ProcessWatcher([sys.executable, "-c", DEEPER, busy], start_new_session=True) as watcher:
            while "ready" not in await watcher.read_output():
                pass
            alone = await watcher.usage(tree=False)
            both = await watcher.usage(over=0.3)
            assert (alone.processes, both.processes) == (1, 2)
            assert both.memory > alone.memory > MIB
            assert both.cpu > 1
            with pytest.raises(ValueError, match="above 0, not 0"):
                await watcher.usage(over=0)
            watcher.process.kill()  # type: ignore[union-attr]
            await watcher.wait()
            with pytest.raises(ProcessLookupError, match=f"process {watcher.pid} has ended"):
                await watcher.usage()

    run(main())


def test_a_tree_is_read_without_the_rest_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    if _proc.children(os.getpid()) is None:
        pytest.skip("this kernel does not list children (CONFIG_PROC_CHILDREN)")
    monkeypatch.setattr(psutil, "pids", lambda: pytest.fail("all processes were asked for"))
    with subprocess.Popen([sys.executable, "-c", DEEPER, "input()"], stdin=subprocess.PIPE) as popen:
        reader = UsageReader(popen.pid)
        deadline = time.monotonic() + 30
        while (reading := reader.read(tree=True)) is None or len(reading.cpu_times) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert popen.pid in {pid for pid, _ in reading.cpu_times}

"""Every kind of leak is caught and named, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.errors import CallerError, LeakError
from loopwright.testing import Leak, LeakCheck
from loopwright.watchers import PidfdChildWatcher, _reaper

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], asyncio.AbstractEventLoop]


def quick() -> LeakCheck:
    return LeakCheck(grace=0.05)


def begun(child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Once its command line can be read: the kernel sets that a moment after it has told Popen of the program."""
    while not Path(f"/proc/{child.pid}/cmdline").read_bytes():
        time.sleep(0.001)
    return child


def the_leak(check: LeakCheck) -> Leak:
    (leak,) = check.leaks()
    return leak


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


# What is caught


def test_descriptor(tmp_path: Path) -> None:
    with quick() as check:
        with (tmp_path / "left open").open("w") as file:
            assert the_leak(check) == Leak("descriptor", f"{file.fileno()}: {tmp_path}/left open")
        assert check.leaks() == ()


def test_descriptor_opened_again_under_its_number_for_another_file(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / "two").touch()
    number = os.open(tmp_path / "one", os.O_RDONLY)
    with quick() as check:
        os.close(number)
        again = os.open(tmp_path / "two", os.O_RDONLY)
        assert again == number
        assert the_leak(check).what.endswith("two")
        os.close(again)


def test_descriptor_without_a_file() -> None:
    with quick() as check:
        number = os.pidfd_open(os.getpid())
        assert the_leak(check).kind == "descriptor"
        assert "pidfd" in the_leak(check).what
        os.close(number)


@pytest.mark.parametrize("daemon", [False, True])
def test_thread(daemon: bool) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="lingerer", daemon=daemon)
    with quick() as check:
        thread.start()
        assert the_leak(check) == Leak("thread", "'lingerer' (daemon)" if daemon else "'lingerer'")
        done.set()
        thread.join()
        assert check.leaks() == ()


def test_child_of_a_closed_loop_is_reported_and_who_reaps_it_is_not() -> None:
    watcher, child = PidfdChildWatcher(), os.posix_spawn("/bin/sleep", ["sleep", "1000"], os.environ)

    async def main() -> None:
        watcher.add_child_handler(child, print)

    with quick() as check:
        asyncio.run(main())
        while not any(thread.name == _reaper.NAME for thread in threading.enumerate()):
            time.sleep(0.001)
        assert {leak.kind for leak in check.leaks()} == {"descriptor"}  # its pidfd; the child was there before
        os.kill(child, 9)
        os.waitpid(child, 0)
        while check.leaks():
            time.sleep(0.001)
    watcher.close()


def test_loop(loop_factory: Factory) -> None:
    with quick() as check:
        loop = loop_factory()
        found = check.leaks()
        assert [leak.kind for leak in found].count("loop") == 1
        assert any(type(loop).__name__ in leak.what or "uvloop" in leak.what for leak in found)
        loop.close()
        assert check.leaks() == ()


def test_task(loop_factory: Factory) -> None:
    loop = loop_factory()
    with quick() as check:
        task = loop.create_task(for_ever(), name="forgotten")
        loop.run_until_complete(asyncio.sleep(0))
        assert any(leak.kind == "task" and "forgotten" in leak.what for leak in check.leaks())
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
        assert [leak for leak in check.leaks() if leak.kind == "task"] == []
        loop.close()


def test_child() -> None:
    with quick() as check:
        child = begun(subprocess.Popen(["sleep", "60"]))
        assert the_leak(check) == Leak("child", f"{child.pid}: sleep 60")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        leak = the_leak(check)
        assert leak.what.startswith(f"{child.pid}: ")
        assert "zombie" in leak.what
        child.wait()
        assert check.leaks() == ()


def test_child_whose_name_looks_like_the_end_of_a_name(tmp_path: Path) -> None:
    odd = tmp_path / "odd) R 1 ("
    odd.symlink_to(Path("/bin/sleep").resolve())
    with quick() as check:
        child = begun(subprocess.Popen([odd, "60"]))
        assert "odd) R 1 (" in the_leak(check).what
        child.kill()
        child.wait()


BURIED = """
    import asyncio, gc
    from loopwright.testing import LeakCheck

    async def for_ever():
        await asyncio.get_running_loop().create_future()

    gc.disable()
    with LeakCheck(grace=0.05):
        loop = asyncio.SelectorEventLoop()
        loop.create_task(for_ever(), name="buried")
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        {then}
"""


@pytest.mark.parametrize("then", ["pass", "gc.collect()"], ids=["still there", "collected"])
def test_pending_task_of_a_loop_that_was_closed(then: str) -> None:
    script = textwrap.dedent(BURIED).format(then=then)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 1
    assert "LeakError: left behind: 1\n  task " in ran.stderr
    assert "name='buried'" in ran.stderr.partition("LeakError")[2]


# What is not


def test_nothing_is_left(loop_factory: Factory) -> None:
    async def work() -> None:
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
        await asyncio.to_thread(time.sleep, 0)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))

    with LeakCheck(), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work())


def test_what_was_there_before(loop_factory: Factory, tmp_path: Path) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    loop = loop_factory()
    task = loop.create_task(for_ever())
    loop.run_until_complete(asyncio.sleep(0))
    child = subprocess.Popen(["sleep", "60"])
    with (tmp_path / "file").open("w"), LeakCheck(grace=0):
        (tmp_path / "file").rename(tmp_path / "renamed")
        child.kill()  # it is a zombie at the end, and was there at the beginning
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    child.wait()
    done.set()
    thread.join()


def test_what_ends_within_the_grace_period() -> None:
    thread = threading.Thread(target=time.sleep, args=(0.2,))
    with LeakCheck(grace=10):
        began = time.monotonic()
        thread.start()
    assert time.monotonic() - began < 5


def test_sketch_of_a_loop_that_cannot_say_whether_it_is_closed() -> None:
    class Sketch(asyncio.AbstractEventLoop):
        pass

    with LeakCheck(grace=0):
        kept = Sketch(), asyncio.SelectorEventLoop.__new__(asyncio.SelectorEventLoop)
    # The second never had an __init__, whose attributes its __del__ asks for.
    kept[1]._closed = True  # type: ignore[attr-defined]  # BaseEventLoop's own attribute, in no stub


# How it is told


def test_everything_left_is_named_in_one_error() -> None:
    here, there = socket.socketpair()
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="lingerer")

    def leak_both() -> None:
        with quick():
            opened.append(os.dup(here.fileno()))
            thread.start()

    opened: list[int] = []
    with pytest.raises(LeakError) as caught:
        leak_both()
    (again,) = opened
    os.close(again)
    done.set()
    thread.join()
    here.close()
    there.close()
    first, *others = str(caught.value).splitlines()
    assert first == "left behind: 2"
    assert others[0].startswith(f"  descriptor {again}: socket:[")
    assert others[1] == "  thread 'lingerer'"
    assert isinstance(caught.value, CallerError)
    assert isinstance(caught.value, AssertionError)


def test_error_of_the_block_stands_and_the_leaks_are_noted_on_it() -> None:
    opened: list[int] = []

    def leak_and_fail() -> None:
        with quick():
            opened.append(os.dup(0))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        leak_and_fail()
    (number,) = opened
    os.close(number)
    (note,) = caught.value.__notes__
    assert f"  descriptor {number}: " in note


def test_one_object_serves_block_after_block() -> None:
    check = quick()
    with pytest.raises(LeakError), check:
        number = os.dup(0)
    with check:
        pass
    os.close(number)


def test_asking_outside_a_block_is_refused() -> None:
    with pytest.raises(RuntimeError, match="inside"):
        LeakCheck().leaks()


@pytest.mark.parametrize("grace", [-1.0, float("nan")])
def test_grace_that_is_no_time_is_refused(grace: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        LeakCheck(grace=grace)

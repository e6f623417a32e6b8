"""Starts in programs of their own: short of something, under a storm of signals, cut off by the program's end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from loopwright import _native
from tests.conftest import UVLOOP, factory_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Soon = Callable[..., None]


def script(code: str, *args: str, options: tuple[str, ...] = (), timeout: float = 90) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd="/",
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_that_runs_one_loop_by_hand_leaves_nothing() -> None:
    code = """
        import asyncio, os
        from loopwright.process import PIPE, spawn
        from loopwright.testing import LeakCheck
        async def main(program, cut_off):
            task = asyncio.ensure_future(spawn([program], stdin=PIPE))
            if cut_off:
                await asyncio.sleep(0)
                task.cancel()
            try:
                async with await task as process:
                    await process.wait()
            except (FileNotFoundError, asyncio.CancelledError):
                pass
        def once(*args):
            loop = asyncio.new_event_loop()
            loop.set_debug(True)
            loop.run_until_complete(main(*args))
            loop.close()
        once("true", False)
        for args in (("true", False), ("no-such-program", False)):
            with LeakCheck():
                once(*args)
        print("done")
    """
    assert script(code, options=("-X", "dev")) == (0, "done\n", "")


SCARCE = """
import asyncio, errno, os, resource, sys
from loopwright.loops import loop_factory
from loopwright.process import PIPE, spawn

new_loop = loop_factory(sys.argv[1])

def opened():
    return {number: os.fstat(number).st_ino for number in range(LIMIT) if is_open(number)}

def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

def childless():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False

async def once():
    async with await spawn(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert await process.communicate(b"hello") == (b"hello", b"")

async def settle():
    for _ in range(4):  # the set that tells of children goes when there have been none for a moment
        await asyncio.sleep(0)

LIMIT = 80
async def main():
    await once()  # what is imported or opened at the first use is there from now on
    await settle()
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    outcomes = []
    for free in range(25):
        taken = []
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for number in taken[:free]:
            os.close(number)
        before = opened()
        assert len(before) == LIMIT - free
        try:
            await once()
        except OSError as error:
            assert error.errno == errno.EMFILE, error
            outcomes.append("refused")
        else:
            outcomes.append("worked")
        await settle()
        assert opened() == before, (free, opened().keys() ^ before.keys())
        assert childless(), free
        for number in taken[free:]:
            os.close(number)
        await once()
        await settle()
    first = outcomes.index("worked")
    assert set(outcomes[first:]) == {"worked"}, outcomes
    print(first)

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("loop_name", ["asyncio", "native", UVLOOP])
def test_without_descriptors_left(loop_name: str) -> None:
    """Descriptors run out at every step on the way in turn; each time nothing is left, and later it works again."""
    factory_of(loop_name)  # skips, or fails on CI, where there is none
    code, written, errors = script(SCARCE, loop_name)
    assert (code, errors) == (0, "")
    # Six for the pipes, one in which subprocess hears of a failed exec or an eventfd, a pidfd, a set of them.
    # One less on loops that are kept, with their set, from what was started before.
    assert (8 if loop_name == "uvloop" else 7) <= int(written) <= 12


@pytest.mark.parametrize("what", ["processes", "threads"])
def test_without_processes_or_threads_left(what: str) -> None:
    """The kernel says EAGAIN for everybody but root, so it is asked by somebody else."""
    if os.geteuid() != 0:
        pytest.skip("changes the user, which only root may")
    code = """
        import asyncio, errno, os, resource, signal, sys
        from loopwright import _native
        from loopwright.process import PIPE, spawn
        async def main():
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            before = os.listdir("/proc/self/fd")
            for options in ({}, {"parent_death_signal": signal.SIGKILL}):
                try:
                    await spawn(["true"], stdin=PIPE, stdout=PIPE, stderr=PIPE, **options)
                except BlockingIOError as error:
                    assert error.errno == errno.EAGAIN
                    assert ("thread" in str(error)) == (sys.argv[1] == "threads" and bool(options)), error
                else:
                    raise AssertionError("it was started all the same")
            for _ in range(4):
                await asyncio.sleep(0)
            left = [each for each in os.listdir("/proc/self/fd") if each not in before]
            kinds = {os.readlink(f"/proc/self/fd/{each}") for each in left if os.path.exists(f"/proc/self/fd/{each}")}
            of_the_loop = ("loopwright-slot", "[eventpoll]", "[eventfd]")
            assert all(any(each in kind for each in of_the_loop) for kind in kinds), kinds
            print("done")
        async def once():
            async with await spawn(["true"], nice=0) as process:  # not as plain as those that need no worker
                await process.wait()
        if sys.argv[1] == "processes":
            asyncio.run(once())  # so that there is a worker
        os.setgid(54321)
        os.setuid(54321)
        asyncio.run(main())
    """
    if _native.MISSING is not None and what == "threads":
        pytest.skip(_native.MISSING)
    assert script(code, what) == (0, "done\n", "")


@pytest.mark.parametrize("starting", [True, False])
def test_the_program_ends_with_starts_under_way(soon: Soon, starting: bool) -> None:
    """What nobody has taken must not outlive it."""
    code = """
        import asyncio, os, sys
        from loopwright.process import spawn
        async def main():
            tasks = [asyncio.ensure_future(spawn(["sleep", sys.argv[1]], nice=0)) for _ in range(20)]
            await asyncio.sleep(0)
            if sys.argv[2] == "True":
                os.write(1, b"x")
                for task in tasks:
                    task._log_destroy_pending = False
                sys.exit(3)
            for task in tasks:
                task.cancel()
        loop = asyncio.SelectorEventLoop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
            loop = None
    """
    number = f"1000.{os.getpid()}{time.monotonic_ns()}"
    code_, _, errors = script(code, number, str(starting))
    assert code_ == (3 if starting else 0), errors
    argument = number.encode()
    soon(lambda: not any(argument in _cmdline(pid) for pid in os.listdir("/proc") if pid.isdigit()), "none is left")


def _cmdline(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_storm_of_signals() -> None:
    """They go to a handler in Python; none is delivered on a worker, and no child gets one that was not sent to it."""
    code = """
        import asyncio, os, signal, threading, time
        from loopwright.process import PIPE, spawn
        heard = 0
        def count(*_):
            global heard
            heard += 1
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, count)
        stop = threading.Event()
        def storm():
            while not stop.is_set():
                for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
                    os.kill(os.getpid(), number)
                time.sleep(0.0002)
        async def main():
            for count in range(200):
                async with await spawn(["cat"], stdin=PIPE, stdout=PIPE) as process:
                    assert await process.communicate(b"x") == (b"x", None)
                    assert process.returncode == 0
        thread = threading.Thread(target=storm)
        thread.start()
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(main())
        stop.set()
        thread.join()
        loop.close()
        assert heard > 100
        print("done")
    """
    assert script(code) == (0, "done\n", "")

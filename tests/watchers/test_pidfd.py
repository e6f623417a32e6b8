"""What PidfdChildWatcher promises beyond the contract: descriptors, the ledger, tracers, and clear refusals."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _spawning
from loopwright.errors import WatcherClosedError
from loopwright.watchers import PidfdChildWatcher, probe
from loopwright.watchers._probe import try_pidfd
from tests.watchers.children import await_exit, heard, ours, reap, start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, None]], None]

pytestmark = pytest.mark.usefixtures("pidfd_set")


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    """Leaves room for so many more descriptors only, until the test ends or asks for -1."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave(room: int) -> None:
        limit = soft if room < 0 else lowest_free() + room
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))

    yield leave
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def lowest_free() -> int:
    number = os.dup(0)
    os.close(number)
    taken = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    assert not [other for other in taken if other > number + 1], "the test needs descriptors without gaps"
    return number


def fill_gaps() -> list[int]:
    """Open descriptors until none is free below the highest in use."""
    made: list[int] = []
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    while not made or made[-1] < highest:
        made.append(os.dup(0))
    return made


def waiting() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("loopwright-waitid")}


def pidfds_after_a_fork() -> str:
    report, told = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: the test runner's own thread is enough for it
        pid = os.fork()
    if pid == 0:
        os.write(told, repr(ours("pidfd")).encode())
        os._exit(0)
    os.close(told)
    os.waitpid(pid, 0)
    with os.fdopen(report) as file:
        return file.read()


# Descriptors


def test_one_a_child_one_a_loop_and_none_when_idle(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        sets = len(ours("eventpoll"))
        pids = [start("read _ < /dev/zero") for _ in range(3)]
        results = [heard() for _ in pids]
        for pid, result in zip(pids, results, strict=True):
            pidfd_watcher.add_child_handler(pid, result)
            pidfd_watcher.add_child_handler(pid, result)
        assert len(ours("pidfd")) == 3
        assert len(ours("eventpoll")) == sets + 1
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*results) == [(pid, -9) for pid in pids]
        assert ours("pidfd") == []
        assert len(ours("eventpoll")) == sets

    run(play())


@pytest.mark.parametrize("probed", [True, False])
@pytest.mark.parametrize("room", [0, 1], ids=["none for the pidfd", "none for the set"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another thread"])
def test_no_descriptor_left(
    elsewhere: bool,
    room: int,
    probed: bool,
    run: Run,
    pidfd_watcher: PidfdChildWatcher,
    few_descriptors: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thread watches that child, and nothing is left open; the next ones have descriptors again."""

    async def play() -> None:
        pidfd_watcher.attach_loop(asyncio.get_running_loop())
        back, held = os.pipe()
        pids = [start("read _; exit 3", back) for _ in range(2)]
        os.close(back)
        results = [heard() for _ in pids]
        try_pidfd.cache_clear()
        if probed:
            probe()
        filled = fill_gaps()
        few_descriptors(room)
        for pid, result in zip(pids, results, strict=True):
            if elsewhere:
                thread = threading.Thread(target=pidfd_watcher.add_child_handler, args=(pid, result))
                thread.start()
                thread.join()
            else:
                pidfd_watcher.add_child_handler(pid, result)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        few_descriptors(-1)
        for number in filled:
            os.close(number)
        assert waiting() == {f"loopwright-waitid-{pid}" for pid in pids}
        assert ours("pidfd") == []
        pid, result = start("exit 4"), heard()
        pidfd_watcher.add_child_handler(pid, result)
        assert f"loopwright-waitid-{pid}" not in waiting()
        assert await result == (pid, 4)
        os.close(held)
        assert await asyncio.gather(*results) == [(pid, 3) for pid in pids]
        assert ours("pidfd") == []
        for pid in pids:
            with pytest.raises(ChildProcessError):
                await_exit(pid)

    run(play())
    (warned,) = caplog.messages
    assert "Too many open files): a thread watches it" in warned


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_refused_after_it_had_worked(
    number: int, run: Run, pidfd_watcher: PidfdChildWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program does that puts itself under a seccomp filter later."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    async def play() -> None:
        assert pidfd_watcher.is_active()
        monkeypatch.setattr(os, "pidfd_open", refuse)
        pid, result = start("exit 3"), heard()
        pidfd_watcher.add_child_handler(pid, result)
        assert await result == (pid, 3)
        pid = start("sleep 60")
        pidfd_watcher.add_child_handler(pid, result)
        assert pidfd_watcher.remove_child_handler(pid) is True
        os.kill(pid, signal.SIGKILL)
        reap(pid)

    run(play())


def test_error_that_is_no_refusal_is_raised(
    run: Run, pidfd_watcher: PidfdChildWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EINVAL, "what no kernel says")

    async def play() -> None:
        assert pidfd_watcher.is_active()
        monkeypatch.setattr(os, "pidfd_open", fail)
        with pytest.raises(OSError, match="what no kernel says"):
            pidfd_watcher.add_child_handler(1, print)
        assert pidfd_watcher.children == ()

    run(play())


def test_forked_child_gives_its_copies_back(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        child = _spawning.launch(_spawning.Request(["sleep", "60"]))
        ended = heard()
        pidfd_watcher.watch_child(child, ended)
        pid, result = start("exit 0"), heard()
        pidfd_watcher.add_child_handler(pid, result)
        pidfd_watcher.add_child_handler(child.pid, result)
        assert len(ours("pidfd")) == 3
        assert pidfds_after_a_fork() == "[]"
        assert len(ours("pidfd")) == 3
        pidfd_watcher.remove_child_handler(child.pid)
        child.send_signal(signal.SIGKILL)
        assert await result == (pid, 0)
        assert (await ended)[0].signal == signal.SIGKILL

    run(play())


# Refusals


@pytest.mark.parametrize(
    ("pid", "error", "message"),
    [
        (0, ValueError, "1 or more, not 0"),
        (-1, ValueError, "1 or more, not -1"),
        (True, TypeError, "is an int, not True"),
        ("12", TypeError, "is an int, not '12'"),
        (None, TypeError, "is an int, not None"),
    ],
)
def test_pid_that_is_none(pid: Any, error: type[Exception], message: str, pidfd_watcher: PidfdChildWatcher) -> None:
    with pytest.raises(error, match=message):
        pidfd_watcher.add_child_handler(pid, print)


def test_callback_that_is_none(pidfd_watcher: PidfdChildWatcher) -> None:
    with pytest.raises(TypeError, match="callback for process 1 must be callable, not 'print'"):
        pidfd_watcher.add_child_handler(1, "print")  # type: ignore[arg-type]


def test_loop_that_is_none(pidfd_watcher: PidfdChildWatcher) -> None:
    with pytest.raises(TypeError, match="takes an event loop or None"):
        pidfd_watcher.attach_loop("asyncio")  # type: ignore[arg-type]


def test_use_after_closing_names_what_was_asked(run: Run, pidfd_watcher: PidfdChildWatcher) -> None:
    async def play() -> None:
        with pytest.raises(WatcherClosedError, match="cannot watch process 1: this PidfdChildWatcher is closed"):
            pidfd_watcher.add_child_handler(1, print)

    pidfd_watcher.close()
    assert repr(pidfd_watcher) == "<PidfdChildWatcher closed>"
    run(play())

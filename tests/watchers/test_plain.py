"""One suite for both sets of pidfds: the one without a compiler is held to all that the compiled one does."""

from __future__ import annotations

import os
import select
import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ResourceUsage
from loopwright._native import PidfdSet
from loopwright.watchers._plain import PlainPidfdSet
from tests.watchers.shells import Children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    AnySet = PidfdSet | PlainPidfdSet

HIGHEST_KEY = 2**32 - 1


@pytest.fixture(params=["plain"] if PidfdSet is None else ["compiled", "plain"])
def pidfds(request: pytest.FixtureRequest) -> Iterator[AnySet]:
    """An empty set, of each kind."""
    made = PidfdSet() if request.param == "compiled" else PlainPidfdSet()
    yield made
    made.close()


@pytest.fixture
def start() -> Iterator[Children]:
    """Starts shells that begin when told to."""
    children = Children()
    yield children
    children.drop()


def is_readable(pidfds: AnySet) -> bool:
    return bool(select.select([pidfds], [], [], 0)[0])


def test_told_when_it_has_ended_and_only_once(pidfds: AnySet, start: Children) -> None:
    child = start("exit 7")
    pidfds.add(child.pidfd, 42)
    assert not is_readable(pidfds)
    assert pidfds.drain() == []
    child.end()
    assert is_readable(pidfds)
    ((key, pid, code, value, _),) = pidfds.drain()
    assert (key, pid, code, value) == (42, child.pid, os.CLD_EXITED, 7)
    assert not is_readable(pidfds)
    assert pidfds.drain() == []


def heard(pidfds: AnySet, children: dict[int, tuple[SimpleNamespace, Any]]) -> list[SimpleNamespace]:
    """Those that are told of as a loop does it; the plain set leaves that to its caller."""
    told: list[SimpleNamespace] = []
    rest: list[Any] = []
    pidfds.hear(children, told, rest)
    for key, pid, *_ in rest:
        assert pid > 0
        told.append(children.pop(key)[0])
    return told


def test_one_that_has_ended_before_it_is_added(pidfds: AnySet, start: Children) -> None:
    """Heard of all the same, once, and beside one that lives until later; the compiled set asks first."""
    ended, living = start("exit 7"), start("exit 8")
    ended.end()
    entries = {1: SimpleNamespace(pid=ended.pid, status=None), 2: SimpleNamespace(pid=living.pid, status=None)}
    statuses: list[Any] = []
    children = {key: (entry, statuses.append) for key, entry in entries.items()}
    assert pidfds.add_or_hear(ended.pidfd, 1) is isinstance(pidfds, PlainPidfdSet)
    assert pidfds.add_or_hear(living.pidfd, 2)
    assert is_readable(pidfds) is isinstance(pidfds, PlainPidfdSet)
    assert pidfds.is_left() is not isinstance(pidfds, PlainPidfdSet)
    assert heard(pidfds, children) == [entries[1]]
    assert not pidfds.is_left()
    assert heard(pidfds, children) == []
    living.end()
    assert heard(pidfds, children) == [entries[2]]
    assert heard(pidfds, children) == []
    assert children == {}
    if not isinstance(pidfds, PlainPidfdSet):
        assert [status.code for status in statuses] == [7, 8]


def test_nothing_is_reaped(pidfds: AnySet, start: Children) -> None:
    child = start("exit 7")
    pidfds.add(child.pidfd, 1)
    child.end()
    pidfds.drain()
    assert child.reap()[0] == 7 << 8


def test_signal(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    pidfds.add(child.pidfd, 1)
    os.kill(child.pid, signal.SIGRTMIN + 2)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ((_, pid, code, value, _),) = pidfds.drain()
    assert (pid, code, value) == (child.pid, os.CLD_KILLED, signal.SIGRTMIN + 2)


def test_core_dump_is_told_as_the_kernel_tells_it(pidfds: AnySet, start: Children, tmp_path: Path) -> None:
    child = start(f"cd {tmp_path}; ulimit -c unlimited; kill -QUIT $$")
    pidfds.add(child.pidfd, 1)
    child.end()
    ((_, _, code, value, _),) = pidfds.drain()
    status, _ = child.reap()
    assert value == signal.SIGQUIT
    assert code == (os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED)


def test_stopped_and_continued_is_not_ended(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    pidfds.add(child.pidfd, 1)
    for number, event in ((signal.SIGSTOP, os.WSTOPPED), (signal.SIGCONT, os.WCONTINUED)):
        os.kill(child.pid, number)
        os.waitid(os.P_PID, child.pid, event | os.WNOWAIT)
        assert pidfds.drain() == []


def test_usage_is_what_wait4_says(pidfds: AnySet, start: Children) -> None:
    program = "import time; block = b'x' * (40 << 20)\nwhile time.process_time() < 0.1: pass"
    child = start(f'exec {sys.executable} -S -c "{program}"')
    pidfds.add(child.pidfd, 1)
    child.end()
    ((_, _, code, value, usage),) = pidfds.drain()
    assert (code, value) == (os.CLD_EXITED, 0)
    assert usage is not None
    told = ResourceUsage(*usage)
    assert told == child.reap()[1]
    assert told.cpu_time > 0.09
    assert told.max_rss > 40 << 20


def test_keys_tell_entries_apart(pidfds: AnySet, start: Children) -> None:
    keys = (1, 2, 2**31, HIGHEST_KEY)
    children = {key: start(f"exit {index}") for index, key in enumerate(keys)}
    for key, child in children.items():
        pidfds.add(child.pidfd, key)
    for child in children.values():
        child.end()
    told = {key: (pid, value) for key, pid, _, value, _ in pidfds.drain()}
    assert told == {key: (child.pid, index) for index, (key, child) in enumerate(children.items())}


def test_more_than_one_batch(pidfds: AnySet, start: Children) -> None:
    """A descriptor each for one child will do: what is asked for is many that are readable at once."""
    child = start("exit 0")
    copies = [os.dup(child.pidfd) for _ in range(600)]
    try:
        for key, copy in enumerate(copies):
            pidfds.add(copy, key)
        child.end()
        assert sorted(key for key, *_ in pidfds.drain()) == list(range(600))
    finally:
        for copy in copies:
            pidfds.discard(copy)
            os.close(copy)


def test_discarded_is_not_told(pidfds: AnySet, start: Children) -> None:
    before, after = start("exit 0"), start("exit 0")
    pidfds.add(before.pidfd, 1)
    pidfds.add(after.pidfd, 2)
    pidfds.discard(before.pidfd)
    before.end()
    after.end()
    pidfds.discard(after.pidfd)
    assert not is_readable(pidfds)
    assert pidfds.drain() == []


def test_discarding_what_is_not_in_it(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    pidfds.discard(child.pidfd)
    pidfds.add(child.pidfd, 1)
    pidfds.discard(child.pidfd)
    pidfds.discard(child.pidfd)


def test_number_of_a_descriptor_used_again(pidfds: AnySet, start: Children) -> None:
    first, second = start("exit 1"), start("exit 2")
    number = os.dup(first.pidfd)
    pidfds.add(number, 1)
    first.end()
    pidfds.discard(number)
    os.dup2(second.pidfd, number)
    pidfds.add(number, 2)
    second.end()
    assert [(key, value) for key, _, _, value, _ in pidfds.drain()] == [(2, 2)]
    pidfds.discard(number)
    os.close(number)


def test_rearmed_is_told_again(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    pidfds.add(child.pidfd, 1)
    child.end()
    assert [key for key, *_ in pidfds.drain()] == [1]
    pidfds.rearm(child.pidfd, 5)
    assert [key for key, *_ in pidfds.drain()] == [5]


def test_rearming_what_is_not_in_it(pidfds: AnySet, start: Children) -> None:
    with pytest.raises(FileNotFoundError):
        pidfds.rearm(start("exit 0").pidfd, 1)


def test_added_twice(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    pidfds.add(child.pidfd, 1)
    with pytest.raises(FileExistsError):
        pidfds.add(child.pidfd, 2)


def test_closed(pidfds: AnySet, start: Children) -> None:
    child = start("exit 0")
    number = pidfds.fileno()
    assert not os.get_inheritable(number)
    pidfds.add(child.pidfd, 1)
    pidfds.close()
    pidfds.close()
    pidfds.discard(child.pidfd)
    for use in (
        pidfds.fileno,
        pidfds.drain,
        lambda: pidfds.add(child.pidfd, 1),
        lambda: pidfds.rearm(child.pidfd, 1),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(OSError):
        os.fstat(number)
    os.fstat(child.pidfd)


def test_dropped_unclosed(pidfds: AnySet) -> None:
    made = type(pidfds)()
    number = made.fileno()
    del made
    with pytest.raises(OSError):
        os.fstat(number)

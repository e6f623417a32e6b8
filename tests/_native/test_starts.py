"""The workers that start programs: what hangs, what is not wanted any more, what a fork leaves of them."""

from __future__ import annotations

import gc
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import _native
from tests._native.starts import a_start, come_back, end, port, settle, until
from tests.kin import childless, exit_code_of_copy

if _native.MISSING is None:
    from loopwright._native import Start, StartPort, _starts

if TYPE_CHECKING:
    from tests._native.ice import Ice

__all__ = ["port"]


def test_it_comes_back_through_its_port(port: StartPort) -> None:
    starts = [a_start("/bin/sh", "-c", f"exit {code}") for code in range(50)]
    assert all(start.submit(port) for start in starts)
    done = come_back(port, 50)
    assert set(map(id, done)) == set(map(id, starts))
    assert [end(start) for start in starts] == list(range(50))


def test_what_fails_says_at_what_and_leaves_no_child(port: StartPort) -> None:
    start = a_start("/no/such/program")
    assert start.submit(port)
    assert come_back(port, 1) == [start]
    assert (start.error, _starts.STAGES[start.stage]) == (2, "execute the program")
    assert start.take() == (-1, -1, None)
    assert childless()


def test_it_is_begun_once(port: StartPort) -> None:
    start = a_start("/bin/true")
    assert start.run()
    for again in (start.run, lambda: start.submit(port)):
        with pytest.raises(ValueError, match="begun already"):
            again()
    assert end(start) == 0
    port.close()
    with pytest.raises(ValueError, match="closed"):
        a_start("/bin/true").submit(port)
    assert port.fileno() == -1
    port.close()


@pytest.mark.parametrize("by", ["dropping it", "abandoning it"])
def test_a_child_that_nobody_took_is_killed_and_reaped(by: str) -> None:
    start = a_start("/bin/sleep", "1000")
    start.run()
    if by == "dropping it":
        del start
        gc.collect()
    else:
        start.abandon()
        start.abandon()
        assert start.take()[1] == -1
    assert childless()


def test_one_that_hangs_holds_up_the_others_for_a_moment_only(port: StartPort, ice: Ice) -> None:
    """All in one go: the second is queued while the worker that is signalled for the first still counts as idle."""
    come_and_go(port)
    hung = a_start("/bin/true", cgroup=ice.number)
    others = [a_start("/bin/true")]  # no more, or one of them would be queued when the worker has gone to work
    for start in (hung, *others):
        assert start.submit(port)
    assert come_back(port, 1) == others
    assert end(others[0]) == 0
    assert _native.busy() == 1
    ice.thaw()
    assert come_back(port, 1) == [hung]
    assert end(hung) == 0


def test_what_is_done_before_one_that_hangs_is_told_of(port: StartPort, ice: Ice) -> None:
    """The worker keeps it for itself at first, as others wait; then it cannot tell."""
    come_and_go(port)
    done, hung, last = a_start("/bin/true"), a_start("/bin/true", cgroup=ice.number), a_start("/bin/true")
    for start in (done, hung, last, *(more := [a_start("/bin/true") for _ in range(5)])):
        assert start.submit(port)
    assert set(come_back(port, 7)) == {done, last, *more}
    assert [end(start) for start in (done, last, *more)] == [0] * 7
    assert _native.busy() == 1
    ice.thaw()
    assert come_back(port, 1) == [hung]
    assert end(hung) == 0


def test_what_two_ports_are_told_of(port: StartPort) -> None:
    """One worker for both, in turn; each is told of its own, and there is something whenever one is told."""
    other = StartPort()
    starts = {each: [a_start("/bin/true") for _ in range(100)] for each in (port, other)}
    for pair in zip(*starts.values(), strict=True):
        assert all(start.submit(each) for start, each in zip(pair, starts, strict=True))
    back: dict[StartPort, list[Start]] = {port: [], other: []}
    while any(len(back[each]) < len(starts[each]) for each in back):
        told = select.select([each.fileno() for each in back], [], [], 20.0)[0]
        assert told, "nobody is told of what is left"
        for each in back:
            if each.fileno() in told:
                assert each.has_done()
                back[each] += each.drain()
    assert {each: set(done) for each, done in back.items()} == {each: set(all_) for each, all_ in starts.items()}
    assert not port.has_done()
    assert [end(start) for all_ in starts.values() for start in all_] == [0] * 200
    other.close()


def come_and_go(port: StartPort) -> None:
    """So that there is a worker, and it waits for work."""
    start = a_start("/bin/true")
    assert start.submit(port)
    come_back(port, 1)
    assert end(start) == 0
    time.sleep(0.01)


def test_several_that_hang(port: StartPort, ice: Ice) -> None:
    hung = [a_start("/bin/true", cgroup=ice.number) for _ in range(4)]
    for start in hung:
        assert start.submit(port)
    until(lambda: len(ice.members()) == 4, "each has a worker of its own")
    come_and_go(port)
    ice.thaw()
    come_back(port, 4)
    assert [end(start) for start in hung] == [0] * 4


@pytest.mark.parametrize("how", ["abandoned", "port closed"])
def test_one_that_hung_and_is_not_wanted_runs_no_program(port: StartPort, ice: Ice, tmp_path: Any, how: str) -> None:
    """Its descriptors were closed when it was given up, and their numbers are other files' by the time it goes on."""
    reading, writing = os.pipe()
    mark = tmp_path / "mark"
    hung = a_start("/bin/sh", "-c", f"echo ran > {mark}; echo theirs", streams=(-1, writing, -1), cgroup=ice.number)
    assert hung.submit(port)
    until(ice.members, "it hangs")
    hung.abandon()
    if how == "port closed":
        port.close()
    os.close(writing)
    others, innocent = os.pipe()
    if innocent != writing and others != writing:
        os.dup2(innocent, writing)
    assert _native.busy() == 1
    ice.thaw()
    settle()
    assert not mark.exists()
    assert childless()
    for number in {innocent, writing}:
        os.close(number)
    if others != writing:
        assert os.read(others, 100) == b""
        os.close(others)
    os.close(reading)


def test_queued_behind_one_that_hangs_and_given_up(port: StartPort, ice: Ice) -> None:
    hung = a_start("/bin/true", cgroup=ice.number)
    assert hung.submit(port)
    queued = a_start("/bin/sleep", "1000")
    assert queued.submit(port)
    queued.abandon()
    hung.abandon()
    port.close()
    ice.thaw()
    settle()
    assert childless()
    assert (queued.take()[1], hung.take()[1]) == (-1, -1)


def test_a_port_that_is_closed_while_starts_come_back() -> None:
    for count in range(30):
        port = StartPort()
        starts = [a_start("/bin/sleep", "1000") for _ in range(3)]
        for start in starts:
            start.submit(port)
        if count % 2:
            time.sleep(count * 0.0001)
        port.close()
        del starts, start
        settle()
        StartPort().close()  # somebody with the GIL lets go of what nobody wanted
        other = StartPort()
        other.drain()
        other.close()
        gc.collect()
        assert childless()


def test_memory_does_not_grow(port: StartPort) -> None:
    def rss() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def churn(times: int) -> None:
        for count in range(times):
            start = a_start("/no/such/program", "x" * 10_000, keep=(0, 1, 2))
            if count % 3 == 0:
                start.submit(port)
                start.abandon()
            elif count % 3 == 1:
                start.submit(port)
                come_back(port, 1)
            else:
                start.run()
        settle()
        port.drain()

    churn(300)
    before = rss()
    churn(1500)
    assert rss() - before < 4 << 20  # it is 15 MB where one of three is not let go


FORKED = """
import os, signal, sys, time
from loopwright import _native
from loopwright._native import Start, StartPort, _starts
import loopwright._spawning
port = StartPort()
def a_start(*argv):
    words = tuple(word.encode() for word in argv)
    return Start((words[0],), words, None, None, (-1, -1, -1), _starts.CLOSE_FDS, (), None)
kept = a_start("/bin/sleep", "1000")
kept.run()
starts = [a_start("/bin/sleep", "1000") for _ in range(100)]
for start in starts:
    assert start.submit(port)
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    pid = os.fork()
if pid == 0:
    assert _native.busy() == 0
    port.close()
    del kept, starts, start
    mine = StartPort()
    one = a_start("/bin/sh", "-c", "exit 7")
    assert one.submit(mine)
    deadline = time.monotonic() + 20
    while not mine.drain():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    child, pidfd, _ = one.take()
    assert os.waitpid(child, 0)[1] == 7 << 8
    mine.close()
    sys.stderr.flush()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
done = []
while len(done) < 100:
    done += port.drain()
    time.sleep(0.001)
for start in [kept, *starts]:
    child, pidfd, _ = start.take()
    assert os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None, "the forked child killed it"
    signal.pidfd_send_signal(pidfd, 9)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
port.close()
print("done")
"""


def test_a_forked_child_starts_programs_and_lets_those_of_its_parent_live() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_forked_child_that_gives_up_what_its_parent_starts(port: StartPort, ice: Ice) -> None:
    """As asyncio.run() does on its way out: the mark for the child not to go on lies in memory that both share."""
    hung = a_start("/bin/true", cgroup=ice.number)
    assert hung.submit(port)
    until(ice.members, "it hangs")
    assert exit_code_of_copy(hung.abandon) == 0
    ice.thaw()
    assert come_back(port, 1) == [hung]
    assert hung.error == 0
    assert end(hung) == 0


CREDENTIALS = """
import os, threading
from loopwright._native import Start, StartPort, _starts
import loopwright._spawning
port = StartPort()
for _ in range(200):
    start = Start((b"/bin/true",), (b"true",), None, None, (-1, -1, -1), _starts.CLOSE_FDS, (), None)
    start.submit(port)
    os.setresgid(0, 0, 0)  # waits until every thread has had a signal of the C library's
    os.setgroups([])
    os.setresuid(0, 0, 0)
done = []
while len(done) < 200:
    done += port.drain()
for start in done:
    pid, pidfd, _ = start.take()
    os.waitpid(pid, 0)
port.close()
print("done")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root may")
def test_a_program_that_changes_its_credentials_meanwhile() -> None:
    done = subprocess.run([sys.executable, "-c", CREDENTIALS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")

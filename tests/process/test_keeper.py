"""The keeper above real programs: their status is its own, and of what they leave nothing remains."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import keeper_obstacle
from tests.process.trees import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Runs = Callable[[int], bool]
    Soon = Callable[..., None]
    Start = Callable[..., "Kept"]

BEGINNING = """
import asyncio, os, signal, subprocess, sys, time
from loopwright.process import keep

def say(*words):
    # Also from a signal handler, where print() may be in the middle of itself.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def leave(*command, **options):
    '''Starts something and forgets it.'''
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    child.returncode = 0
    return child.pid

keeper = keep()
say(os.getpid(), keeper.pid)
"""


class Kept:
    """A program that has put a keeper above itself, which `popen` has become."""

    def __init__(self, code: str, beginning: str, args: tuple[str, ...], options: dict[str, Any]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", beginning + textwrap.dedent(code), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.pid = 0
        if beginning == BEGINNING:
            self.pid, keeper = self.numbers()
            assert keeper == self.popen.pid

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().rstrip("\n")

    def numbers(self) -> list[int]:
        return [int(word) for word in self.line().split()]

    def kill(self) -> None:
        """kill -9 of the program, not of its keeper."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[int, str, str]:
        """Its status and what it printed from now on. Its output ends when nothing holds it any more."""
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        # Not communicate(), which does not know of what line() has read ahead.
        out, err = self.popen.stdout.read(), self.popen.stderr.read()
        return self.popen.wait(20), out, err


@pytest.fixture
def start(no_leaks: None) -> Iterator[Start]:
    """Starts a program that calls `keep()` and then runs the code given."""
    started: list[Kept] = []

    def start_one(code: str, *args: str, beginning: str = BEGINNING, **options: Any) -> Kept:
        started.append(Kept(code, beginning, args, options))
        return started[-1]

    yield start_one
    for kept in started:
        if kept.popen.returncode is None:  # the test has failed: end the program, and its keeper ends the rest
            with contextlib.suppress(ProcessLookupError):
                os.kill(kept.pid or kept.popen.pid, signal.SIGKILL)
            kept.end()
        for stream in filter(None, (kept.popen.stdin, kept.popen.stdout, kept.popen.stderr)):
            stream.close()


def test_nothing_stands_in_its_way_here() -> None:
    assert keeper_obstacle() is None


# --- status and signals


@pytest.mark.parametrize("code", [0, 3, 200])
def test_the_status_is_the_programs(start: Start, code: int) -> None:
    assert start(f"sys.exit({code})").end() == (code, "", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV"])
def test_a_program_ended_by_a_signal(start: Start, name: str) -> None:
    number = signal.Signals[name]
    status, _, said = start(f"os.kill(os.getpid(), signal.{name})").end()
    assert status == 128 + number
    if name == "SIGTERM":  # as it was asked to
        assert said == ""
    else:
        assert re.fullmatch(rf"loopwright keeper: the program .* was ended by {name}; it left nothing\n", said)


def test_it_is_the_parent_and_in_another_group(start: Start) -> None:
    kept = start("say(os.getppid(), os.getpgrp(), os.getpgid(os.getppid()))")
    parent, group, parents_group = kept.numbers()
    assert parent == kept.popen.pid
    assert (group, parents_group) == (kept.pid, os.getpgrp())
    assert kept.end()[0] == 0


def peak_of(pid: int) -> int:
    """The most memory that it has had resident, in KiB."""
    with open(f"/proc/{pid}/status") as file:
        peak = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert peak is not None
    return int(peak[1])


def test_it_is_small(start: Start) -> None:
    kept = start("say('ready')\nsys.stdin.read()", stdin=subprocess.PIPE)
    assert kept.line() == "ready"
    deadline = time.monotonic() + 20
    while (peak := peak_of(kept.popen.pid)) >= 16 << 10 and time.monotonic() < deadline:
        time.sleep(0.01)  # it becomes the keeper by an exec, which the program does not wait for
    assert peak < 16 << 10
    assert kept.end()[0] == 0


def test_signals_that_would_only_kill_it_are_not_passed_on(start: Start) -> None:
    code = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    say("ready")
    while True:
        time.sleep(0.005)
    """
    kept = start(code)
    assert kept.line() == "ready"
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):  # the keeper takes the lowest number first
        kept.popen.send_signal(number)
    assert kept.end() == (7, "", "")


@pytest.mark.parametrize("ignored", [False, True], ids=["default", "ignored-at-the-start"])
def test_signals_are_passed_on(start: Start, ignored: bool) -> None:
    """Also those that a shell, for what it puts in the background, or nohup has set to be ignored."""
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]
    code = """
    heard = []

    def on_signal(number, _):
        heard.append(number)
        say(signal.Signals(number).name)

    for name in sys.argv[1:]:
        signal.signal(signal.Signals[name], on_signal)
    say("ready")
    while len(heard) < len(sys.argv) - 1:
        time.sleep(0.005)
    """

    def ignore_them() -> None:
        for name in names:
            signal.signal(signal.Signals[name], signal.SIG_IGN)

    kept = start(code, *names, preexec_fn=ignore_them if ignored else None)
    assert kept.line() == "ready"
    for name in names:
        kept.popen.send_signal(signal.Signals[name])
        assert kept.line() == name
    assert kept.end() == (0, "", "")


def test_a_signal_that_the_program_does_not_handle(start: Start) -> None:
    kept = start("say(leave('sleep', '100')); signal.pause()")
    kept.line()
    kept.popen.send_signal(signal.SIGTERM)
    status, _, said = kept.end()
    assert status == 128 + signal.SIGTERM
    assert said.endswith("was ended by SIGTERM; 1 process it left was killed\n")


# --- what is left


LEAVES = """
double = os.fork()
if not double:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execlp("sh", "sh", "-c", "echo $$; exec sleep 100 >&- 2>&-")
os.waitpid(double, 0)
say(
    leave("sleep", "100"),
    leave("sleep", "100", start_new_session=True),
    leave("setsid", "--fork", "sh", "-c", "exec sleep 101"),
    leave("sh", "-c", "trap '' TERM INT HUP; sleep 100 & sleep 100; true"),
    leave("sh", "-c", "kill -STOP $$"),
)
"""


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_nothing_it_leaves_remains(start: Start, soon: Soon, runs: Runs, how: str) -> None:
    """Children, groups and sessions of their own, daemons by double fork, the stopped, those that ignore signals."""
    kept = start(LEAVES + "\nsys.stdin.read()\nsys.exit(3)", stdin=subprocess.PIPE)
    daemon, others = sorted([kept.numbers(), kept.numbers()], key=len)
    assert (len(daemon), len(others)) == (1, 5)

    def all_are_there() -> bool:
        # The supervisor, the six but for setsid, which has ended, what that one left, and two of the shell.
        there = set(filter(runs, descendants(kept.popen.pid)))
        return others[2] not in there and len(there) == 9

    soon(all_are_there, "all that it starts")
    below = descendants(kept.popen.pid)
    if how == "killed":
        kept.kill()
    status, _, said = kept.end()
    assert status == (128 + signal.SIGKILL if how == "killed" else 3)
    assert ("was ended by SIGKILL; 8 " if how == "killed" else "ended with status 3; 8 ") in said
    assert list(filter(runs, below)) == []


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_a_process_whose_first_thread_has_ended(start: Start, soon: Soon, how: str) -> None:
    """It shows as a zombie, and runs."""
    code = """
    import ctypes, platform, threading
    if not os.fork():
        threading.Thread(target=time.sleep, args=[1000]).start()
        say(os.getpid())
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)  # exit(2): of this thread
    sys.stdin.read()
    """
    kept = start(code, stdin=subprocess.PIPE)
    [pid] = kept.numbers()
    soon(lambda: " Z " in Path(f"/proc/{pid}/stat").read_text())
    if how == "killed":
        kept.kill()
    assert kept.end()[2].endswith("; 1 process it left was killed\n")
    assert not Path(f"/proc/{pid}").exists()


def test_two_hundred_in_a_burst(start: Start, runs: Runs) -> None:
    code = """
    for _ in range(200):
        if not os.fork():
            os.setsid()
            signal.pause()
    say("done")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    kept = start(code)
    status, _, said = kept.end()
    assert status == 128 + signal.SIGKILL
    assert "; 200 processes it left were killed" in said


def test_those_that_breed_while_they_are_killed(start: Start) -> None:
    """Each forks on, in a session of its own, until it is killed; children of the killed are the next to be."""
    # Not for ever, and none that has slept forks on: when these tests are killed, nobody may be there to end them.
    code = """
    reading, writing = os.pipe()
    for _ in range(3):
        if not os.fork():
            for _ in range(1000):
                if not os.fork():
                    os.setsid()
                    time.sleep(100)
                    os._exit(0)
                os.write(writing, b"x")
                time.sleep(0.002)
            os._exit(0)
    for _ in range(20):
        os.read(reading, 1)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    status, _, said = start(code).end()  # which reads until nobody has the output any more
    assert status == 128 + signal.SIGKILL
    killed = re.search(r"(\d+) processes it left were killed", said)
    assert killed is not None
    assert int(killed[1]) > 3


def test_orphans_are_reaped_while_the_program_runs(start: Start, soon: Soon) -> None:
    code = """
    for _ in range(50):
        child = os.fork()
        if not child:
            if not os.fork():
                time.sleep(0.01)
            os._exit(0)
        os.waitpid(child, 0)
    say("done")
    sys.stdin.read()
    """
    kept = start(code, stdin=subprocess.PIPE)
    assert kept.line() == "done"
    soon(lambda: descendants(kept.popen.pid) == {kept.pid}, "only the program is left below its keeper")
    assert kept.end() == (0, "", "")


def test_a_parent_that_ignores_its_children(start: Start) -> None:
    """SIGCHLD ignored is inherited, and would have the kernel throw all statuses away."""
    code = "sys.exit(subprocess.run(['sh', '-c', 'exit 5']).returncode)"
    assert start(code, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)).end() == (5, "", "")


def test_without_an_interpreter_to_become(start: Start) -> None:
    """Its file was removed, as by an update: the keeper goes on as the program it was."""
    beginning = BEGINNING.replace("keeper = keep()", "sys.executable = '/no/such/python'; keeper = keep()")
    kept = start("leave('sleep', '100'); sys.exit(4)", beginning=beginning)
    status, _, said = kept.end()
    assert status == 4
    assert "No such file or directory" in said
    assert "1 process it left was killed" in said

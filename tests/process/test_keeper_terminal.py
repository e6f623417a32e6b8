"""A kept program at a real pseudo-terminal: it reads there, and Ctrl-C, Ctrl-Z and `fg` mean what they mean."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.terminal import SOON, Screen, take_the_terminal, until_it_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., "Terminal"]

BASH = shutil.which("bash")
PROGRAM = """
import os, signal, sys, time
from loopwright.process import keep

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def catch(number, _frame):
    say("caught", number)

keep(cgroup=False)
say("program", os.getpid(), os.getppid(), os.tcgetpgrp(0) == os.getpgrp())
"""
READS = "while True: say('got', sys.stdin.readline().strip())"
COUNTS = """
signal.signal(signal.SIGINT, catch)
say("ready")
while True: say('got', sys.stdin.readline().strip())
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM + code]


class Terminal(Screen):
    """A terminal, and a command that leads its session."""

    def __init__(self, *command: str) -> None:
        super().__init__()
        try:
            self.popen = subprocess.Popen(
                command,
                stdin=self.slave,
                stdout=self.slave,
                stderr=self.slave,
                preexec_fn=take_the_terminal,
                env={**os.environ, "PS1": "$ ", "TERM": "dumb"},
            )
        finally:
            os.close(self.slave)

    def gives_the_terminal_to(self, group: int) -> None:
        until(lambda: os.tcgetpgrp(self.master) == group and state(group) != "T")

    def program(self) -> tuple[int, int, bool]:
        """Pids of the program and its keeper, and whether it had the foreground."""
        pid, keeper, foreground = self.shows(r"\bprogram (\d+) (\d+) (True|False)$").groups()
        return int(pid), int(keeper), foreground == "True"

    def end(self) -> int:
        return self.popen.wait(SOON)

    def close(self) -> None:
        os.close(self.master)  # hangs up: whatever is left of the session is told to end
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


@pytest.fixture
def terminal(no_leaks: None) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*command: str) -> Terminal:
        opened.append(Terminal(*command))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def shell(terminal: Open) -> Terminal:
    """A person's bash, with job control and a short prompt."""
    if BASH is None:
        if os.environ.get("CI"):
            pytest.fail("bash is not installed: on CI a keeper must be tested below a shell with job control")
        pytest.skip("bash is not installed")
    opened = terminal(BASH, "--norc", "--noprofile", "-i")
    opened.shows(r"\$ $")
    return opened


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_it_reads_from_the_terminal_and_hears_ctrl_c_once(terminal: Open) -> None:
    tty = terminal(*python(COUNTS))
    pid, keeper, foreground = tty.program()
    assert foreground
    assert keeper == tty.popen.pid
    tty.shows("^ready$")
    for number in range(3):
        # Python looks for signals before it reads: one that comes in the microsecond between is heard only by the next.
        until_it_reads(pid)
        tty.type("\x03")
        tty.shows("caught 2")
        tty.type(f"line {number}\n")
        tty.shows(f"^got line {number}$")
    assert tty.screen.count("caught 2") == 3
    os.kill(pid, signal.SIGKILL)
    assert tty.end() == 128 + signal.SIGKILL


def test_ctrl_c_ends_what_does_not_handle_it(terminal: Open) -> None:
    tty = terminal(*python("signal.signal(2, signal.SIG_DFL); say('ready'); " + "time.sleep(1000)"))
    tty.shows("^ready$")
    tty.type("\x03")
    assert tty.end() == 128 + signal.SIGINT


def test_ctrl_z_does_not_stop_for_ever_what_nobody_could_continue(terminal: Open) -> None:
    tty = terminal(*python("signal.signal(signal.SIGCONT, catch)\nsay('ready')\n" + READS))
    pid = tty.program()[0]
    tty.shows("^ready$")
    until_it_reads(pid)  # a signal just before that is caught only when there is a line
    tty.type("\x1a")
    tty.shows(rf"caught {int(signal.SIGCONT)}$")
    tty.type("this\n")
    tty.shows("^got this$")


@pytest.mark.parametrize("in_a_script", [False, True])
def test_ctrl_z_and_fg_below_a_shell(shell: Terminal, in_a_script: bool) -> None:
    command = shlex.join(python(READS))
    shell.type(f"sh -c {shlex.quote(command + '; exit $?')}\n" if in_a_script else f"{command}\n")
    assert shell.program()[2]
    shell.type("\x1a")
    shell.shows("Stopped")
    shell.type("echo the shell has it\n")
    shell.shows("^the shell has it$")
    shell.type("fg\n")
    shell.type("this\n")
    shell.shows("^got this$")
    shell.type("\x03")
    shell.shows(r"\$ $")
    shell.type("echo was $?\n")
    shell.shows(r"^was \d+$")  # the shell has the terminal again


def test_started_in_the_background_it_does_not_take_the_terminal(shell: Terminal) -> None:
    shell.type(shlex.join(python(READS)) + " &\n")
    assert not shell.program()[2]
    shell.type("echo still here\n")
    shell.shows("^still here$")
    shell.type("fg\n")
    shell.type("this\n")
    shell.shows("^got this$")


def test_with_its_output_in_a_pipe_it_gets_the_terminal_when_it_reads(shell: Terminal) -> None:
    shell.type(shlex.join(python(READS)) + " | cat\n")
    assert not shell.program()[2]
    shell.type("this\n")
    shell.shows("^got this$")


def test_ctrl_z_stops_a_supervisor_with_its_keeper(shell: Terminal, tmp_path: Path) -> None:
    """And `fg` continues both. The services are not on the terminal, and go on."""
    (tmp_path / "loopwright.toml").write_text('[services.one]\ncommand = ["sh", "-c", "echo ready; exec sleep 1000"]\n')
    shell.type(shlex.join([sys.executable, "-m", "loopwright", "up", "--color=never", str(tmp_path)]) + "\n")
    pids = shell.shows(r"process (\d+), kept by process (\d+)")
    supervisor, keeper = int(pids[1]), int(pids[2])
    shell.shows("ready$")
    for _ in range(2):
        shell.type("\x1a")
        shell.shows("Stopped")
        assert (state(supervisor), state(keeper)) == ("T", "T")
        shell.type("echo the shell has it\n")
        shell.shows("^the shell has it$")
        shell.type("fg\n")
        # Before that, bash itself has the terminal, and ignores Ctrl-Z.
        shell.gives_the_terminal_to(supervisor)
    shell.type("\x03")
    shell.shows("stopped as asked")
    shell.type("echo was $?\n")
    shell.shows("^was 0$")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_stopped_program_hears_that_it_is_to_end(terminal: Open, name: str) -> None:
    tty = terminal(*python("say('ready')\ntime.sleep(1000)"))
    pid, keeper, _ = tty.program()
    tty.shows("^ready$")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state(pid) == "T")
    os.kill(keeper, signal.Signals[name])
    assert tty.end() == 128 + signal.Signals[name]


def test_a_terminal_that_hangs_up(terminal: Open) -> None:
    tty = terminal(*python("say('ready')\ntime.sleep(1000)"))
    tty.shows("^ready$")
    master, tty.master = tty.master, os.open(os.devnull, os.O_RDONLY)
    os.close(master)
    assert tty.end() == 128 + signal.SIGHUP

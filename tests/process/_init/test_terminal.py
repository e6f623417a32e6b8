"""Init on a real pseudo-terminal: the command gets it, Ctrl-C and Ctrl-Z mean what they mean without init."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.process._init.conftest import INIT, Started, children, python, unshare
from tests.process.terminal import Screen, take_the_terminal, until_it_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Open = Callable[..., "Terminal"]

BASH = shutil.which("bash")
#: What a person would type it as.
TYPED = shlex.join(INIT)
ASK = """
say("foreground" if os.tcgetpgrp(0) == os.getpgrp() else "background", os.getsid(0) == os.getsid(os.getppid()))
"""


class Terminal(Screen):
    """A terminal, and a command that leads its session: init by itself, or what is put in its place."""

    def __init__(self, *arguments: str, before: Sequence[str] = (), **popen: Any) -> None:
        super().__init__()
        sides = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave)
        # What is put before init takes the terminal itself.
        begin = os.setsid if before else take_the_terminal
        try:
            self.init = Started(before, arguments, **sides, preexec_fn=begin, **popen)
        finally:
            os.close(self.slave)

    def close(self) -> None:
        self.init.clean_up()
        os.close(self.master)


@pytest.fixture
def terminal(no_leaks: None) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*arguments: str, **how: Any) -> Terminal:
        opened.append(Terminal(*arguments, **how))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture(params=["process-1", "session-leader"])
def leader(request: pytest.FixtureRequest, terminal: Open, no_namespace: str | None) -> Open:
    """Starts init on a terminal with no shell above it, as a container's engine does."""
    if request.param == "session-leader":
        return lambda *arguments: terminal("-s", *arguments)
    if no_namespace is not None:
        if os.environ.get("CI"):
            pytest.fail(f"on CI init must be tested as process 1, and no PID namespace can be made: {no_namespace}")
        pytest.skip(f"no PID namespace can be made here: {no_namespace}")
    # Not by unshare's session: process 1 of a container leads one of its own.
    return lambda *arguments: terminal(*arguments, before=(*unshare(), "setsid", "--ctty"))


@pytest.fixture
def shell(terminal: Open) -> Terminal:
    """A person's bash, at a terminal, with a short prompt."""
    if BASH is None:
        if os.environ.get("CI"):
            pytest.fail("bash is not installed: on CI init must be tested below a shell with job control")
        pytest.skip("bash is not installed")
    opened = terminal("-q", "-s", BASH, "--norc", "--noprofile", "-i", env={**os.environ, "PS1": "$ ", "TERM": "dumb"})
    opened.shows(r"\$ $")
    return opened


def test_the_command_has_the_terminal_and_ctrl_c(leader: Open) -> None:
    tty = leader("--", *python(ASK + "pause()"))
    tty.shows("foreground True")
    tty.type("\x03")
    assert tty.init.end() == 130


def test_ctrl_c_can_be_caught(leader: Open) -> None:
    tty = leader("--", *python("signal.signal(2, lambda *_: os._exit(7))\nsay('ready')\npause()"))
    tty.shows("ready")
    tty.type("\x03")
    assert tty.init.end() == 7


def test_ctrl_z_does_not_stop_for_ever_what_nobody_could_continue(leader: Open) -> None:
    tty = leader("--", *python("signal.signal(signal.SIGCONT, catch)\nsay('ready')\nsay('got', input())\nos._exit(3)"))
    tty.shows("ready")
    until_it_reads(children(tty.init.pid)[0])  # a signal just before that is caught only when there is a line
    tty.type("\x1a")
    tty.shows(r"^\S*18 \d+$")
    tty.type("this\n")
    tty.shows("got this")
    assert tty.init.end() == 3


def test_an_interactive_shell_has_job_control(shell: Terminal) -> None:
    assert "job control" not in shell.screen
    shell.type(shlex.join(python("signal.signal(signal.SIGCONT, catch)\nsay('ready')\npause()")) + "\n")
    shell.shows("^ready$")
    shell.type("\x1a")
    shell.shows("Stopped")
    shell.type("fg\n")
    shell.shows(r"^18 \d+$")
    shell.type("\x03")
    shell.shows(r"^\$ $")
    shell.type("echo was $?; exit 9\n")
    shell.shows("^was 130$")
    assert shell.init.end() == 9


def test_ctrl_z_and_fg_below_a_shell(shell: Terminal) -> None:
    code = "say('ready')\nsay('got', input())\npause()"  # a Ctrl-C as input() begins may be lost (seen on 3.13)
    shell.type(f"{TYPED} -q -s -- {shlex.join(python(code))}\n")
    shell.shows("^ready$")
    shell.type("\x1a")
    shell.shows("Stopped")
    shell.type("echo the shell has it\n")
    shell.shows("^the shell has it$")
    shell.type("fg\n")
    shell.shows("^/")  # the command, as fg shows it
    shell.type("this\n")
    shell.shows("^got this$")
    shell.type("\x03")
    shell.shows(r"^\$ $")
    shell.type("echo was $?\n")
    shell.shows("^was 130$")  # the shell has the terminal again
    shell.type("exit 0\n")
    assert shell.init.end() == 0


def test_below_a_shell_in_the_background(shell: Terminal) -> None:
    """It does not take the terminal away from the shell."""
    shell.type(f"{TYPED} -q -s -- {shlex.join(python(ASK))} & wait\n")
    shell.shows("^background True$")
    shell.type("echo still here\n")
    shell.shows("^still here$")
    shell.type("exit 0\n")
    assert shell.init.end() == 0


def test_what_is_left_can_be_hurried_by_ctrl_c(leader: Open) -> None:
    code = """
    leave(lambda: (signal.signal(15, lambda *_: say("asked")), say("daemon"), pause()))
    input()
    os._exit(6)
    """
    tty = leader("--grace", "1000", "--", *python(code))
    tty.shows("daemon")
    tty.type("\n")
    tty.shows("asked")
    time.sleep(0.2)  # less would be one wish with what ended the command
    tty.type("\x03")
    assert tty.init.end() == 6


def test_a_terminal_that_hangs_up(leader: Open) -> None:
    tty = leader("--", *python("say('ready')\npause()"))
    tty.shows("ready")
    master, tty.master = tty.master, os.open(os.devnull, os.O_RDONLY)
    os.close(master)
    assert tty.init.end() == 128 + signal.SIGHUP

"""`loopwright init` as a real process 1, in a PID namespace made by unshare(1), and as an ordinary process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import _init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Long enough for a busy machine; nothing waits for it to pass.
SOON = 30.0
PROGRAM = str(Path(_init.__file__).with_name("__main__.py"))
#: As `become()` starts it.
INIT = (sys.executable, "-I", "-S", PROGRAM)


def python(code: str) -> tuple[str, ...]:
    """The command that runs this code."""
    return (sys.executable, "-I", "-S", "-c", BEGINNING + textwrap.dedent(code))


BEGINNING = """
import os, signal, sys, time

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def pause(condition=lambda: False):
    while not condition():
        time.sleep(0.005)

def leave(do, daemon=True):
    '''Has an orphan do something; returns when there is nobody between it and init any more.'''
    reading, writing = os.pipe()
    if os.fork() == 0:
        if daemon:
            os.setsid()
        if os.fork() == 0:
            os.write(writing, b"x")
            pause(lambda: os.getppid() == MOTHER)
            do()
        os._exit(0)
    os.wait()
    os.read(reading, 1)
    os.close(reading), os.close(writing)

def catch(number, _):
    say(int(number), os.getpid())

MOTHER = os.getppid()
"""


def unshare() -> tuple[str, ...]:
    """The command that gives another one a PID namespace and a /proc of its own."""
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ("unshare", *as_root, "--pid", "--fork", "--kill-child", "--mount-proc")


def obstacle() -> str | None:
    """Why there is no PID namespace to be had here."""
    try:
        tried = subprocess.run([*unshare(), "true"], stderr=subprocess.PIPE, text=True, timeout=SOON)
    except OSError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else None


class Started:
    """A running init. `pid` is its process id as seen from here."""

    def __init__(self, before: Sequence[str], arguments: Sequence[str], **popen: Any) -> None:
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
        self.popen = subprocess.Popen([*before, *INIT, *arguments], **popen)
        self.pid = self.popen.pid
        self.output = ""
        if before:
            found: list[int] = []

            def is_there() -> bool:
                found[:] = children(self.popen.pid)
                return bool(found) or self.popen.poll() is not None

            until(is_there)
            self.pid = found[0] if found else 0

    def line(self) -> str:
        """The next line of its output."""
        assert self.popen.stdout is not None
        deadline = time.monotonic() + SOON
        while "\n" not in self.output:
            ready, _, _ = select.select([self.popen.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line after {self.output!r}"
            piece = os.read(self.popen.stdout.fileno(), 1 << 16)
            assert piece, f"ended after {self.output!r}: {self.errors()}"
            self.output += piece.decode()
        line, _, self.output = self.output.partition("\n")
        return line

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def errors(self) -> str:
        """What it wrote to standard error; waits for its end."""
        assert self.popen.stderr is not None
        return self.popen.stderr.read().decode()

    def end(self) -> int:
        """Its exit status."""
        return self.popen.wait(SOON)

    def clean_up(self) -> None:
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid or self.popen.pid, signal.SIGKILL)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(SOON)
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def no_namespace() -> str | None:
    return obstacle()


@pytest.fixture
def started(no_leaks: None) -> Iterator[Callable[..., Started]]:
    """Starts init with those arguments as an ordinary process, or by way of a command that is put before it."""
    all_started: list[Started] = []

    def start(*arguments: str, before: Sequence[str] = (), **popen: Any) -> Started:
        all_started.append(Started(before, arguments, **popen))
        return all_started[-1]

    yield start
    for each in all_started:
        each.clean_up()


@pytest.fixture
def first(started: Callable[..., Started], no_namespace: str | None) -> Callable[..., Started]:
    """Starts init with those arguments as process 1 of a PID namespace."""
    if no_namespace is not None:
        if os.environ.get("CI"):
            pytest.fail(f"on CI init must be tested as process 1, and no PID namespace can be made: {no_namespace}")
        pytest.skip(f"no PID namespace can be made here: {no_namespace}")
    return lambda *arguments, **popen: started(*arguments, before=unshare(), **popen)

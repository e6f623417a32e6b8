"""Runs `loopwright up` as a person would: a file, a command, and a look at what it says."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

COMMAND = [sys.executable, "-m", "loopwright", "up"]
#: The environment of the tests must not decide on colours.
ABOUT_COLOR = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS")
LINE = re.compile(r"(?P<time>\S+) (?P<name>\S+) +(?P<glyph>[|+*])(?: (?P<text>.*))?")


@dataclass(frozen=True)
class Line:
    """One line that is not of the summary."""

    time: str
    name: str
    glyph: str
    text: str


class Up:
    """The command as a child process; what it prints goes to a file, in which the test looks."""

    def __init__(
        self, folder: Path, args: tuple[str, ...], environment: dict[str, str], options: dict[str, Any]
    ) -> None:
        self.folder = folder
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.popen = subprocess.Popen(
                [*COMMAND, *args],
                cwd=folder,
                env={name: text for name, text in os.environ.items() if name not in ABOUT_COLOR} | environment,
                **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "process_group": 0, **options},
            )

    @property
    def out(self) -> str:
        """What it has written to its standard output so far."""
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8")

    @property
    def lines(self) -> list[Line]:
        """The whole lines so far, up to the summary."""
        whole = self.out.rpartition("\n")[0].partition("\n\n")[0]
        found = [LINE.fullmatch(line) for line in whole.splitlines()]
        assert all(found), whole
        return [Line(one["time"], one["name"], one["glyph"], one["text"] or "") for one in found if one]

    @property
    def summary(self) -> str:
        return self.out.partition("\n\n")[2]

    def said(self, *names: str, glyph: str = "*") -> list[str]:
        """The texts said so far of those instances, or of all, with the name before each then."""
        return [
            line.text if len(names) == 1 else f"{line.name}: {line.text}"
            for line in self.lines
            if line.glyph == glyph and (line.name in names or not names)
        ]

    def until(self, look: Callable[[], T], what: str = "", seconds: float = 20.0) -> T:
        """Waits until `look` gives something, and gives that."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:g} s: {what}; the command said:\n{self.out}{self.err}")
            time.sleep(0.01)
        return found

    def says(self, pattern: str, times: int = 1) -> str:
        """Waits until its output matches so many times; the last match's first group, if there is one."""
        found = self.until(
            lambda: hits if len(hits := re.findall(pattern, self.out, re.MULTILINE)) >= times else None, pattern
        )
        return str(found[-1])

    @property
    def pid(self) -> int:
        """The supervisor's process; the one that was started is its keeper."""
        return int(self.says(r"\* process (\d+), kept by process"))

    def pids(self) -> dict[str, int]:
        """The newest process of each instance so far."""
        return {
            line.name: int(found[1])
            for line in self.lines
            if line.glyph == "*" and (found := re.match(r"started(?: again)?, process (\d+)", line.text))
        }

    def ctrl_c(self) -> None:
        """As a terminal would, but only to the process that was started, which is what `kill -INT` does."""
        self.popen.send_signal(signal.SIGINT)

    def end(self, seconds: float = 20.0) -> int:
        """Waits for its end; the returncode as Popen has it."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it has not ended within {seconds:g} s; it said:\n{self.out}{self.err}")

    def clear(self) -> None:
        """Ends what a failed test has left."""
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                found = re.search(r"\* process (\d+), kept by process", self.out)
                os.kill(int(found[1]) if found else self.popen.pid, signal.SIGKILL)
            self.popen.wait(20)


@pytest.fixture
def up(tmp_path: Path, no_leaks: None) -> Iterator[Callable[..., Up]]:
    """Starts the command with that text as its loopwright.toml; options are Popen's."""
    started: list[Up] = []

    def start(toml: str, *args: str, environment: dict[str, str] | None = None, **options: Any) -> Up:
        (tmp_path / "loopwright.toml").write_text(toml)
        started.append(Up(tmp_path, args, environment or {}, options))
        return started[-1]

    yield start
    for each in started:
        each.clear()


class Terminal:
    """A terminal with the command on it, the leader of its session, as a login would start it."""

    def __init__(self, start: Callable[..., Up], toml: str, args: tuple[str, ...], options: dict[str, Any]) -> None:
        self.master, slave = pty.openpty()

        def take_the_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        try:
            termios.tcsetwinsize(slave, (24, 100))
            os.set_blocking(self.master, False)
            self.up = start(
                toml,
                *args,
                **{"environment": {"TERM": "xterm-256color"}, **options},
                stdin=slave,
                stdout=slave,
                stderr=slave,
                process_group=None,
                preexec_fn=take_the_terminal,
            )
        finally:
            os.close(slave)
        self.screen = ""

    def read(self) -> bool:
        """What there is; False if nothing will come any more."""
        try:
            self.screen += os.read(self.master, 65_536).decode().replace("\r\n", "\n")
        except BlockingIOError:
            pass
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        return True

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def shows(self, pattern: str) -> str:
        def look() -> re.Match[str] | None:
            self.read()
            return re.search(pattern, self.screen)

        found = self.up.until(look, f"{pattern} in {self.screen}")
        return found[1] if found.groups() else found[0]

    def end(self) -> int:
        """Reads until the end; the returncode."""
        self.up.until(lambda: not self.read(), f"the end of {self.screen}")
        return self.up.end()

    def hang_up(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def terminal(up: Callable[..., Up]) -> Iterator[Callable[..., Terminal]]:
    """Starts the command on a terminal of its own."""
    opened: list[Terminal] = []

    def start(toml: str, *args: str, **options: Any) -> Terminal:
        opened.append(Terminal(up, toml, args, options))
        return opened[-1]

    yield start
    for each in opened:
        if each.up.popen.poll() is None and (found := re.search(r"process (\d+), kept by", each.screen)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(found[1]), signal.SIGKILL)
        each.hang_up()


@pytest.fixture
def members() -> Callable[..., set[int]]:
    """The processes that run in those process groups; zombies do not run."""

    def look(*groups: int) -> set[int]:
        found = set()
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b") ")[2].split()
                if int(fields[2]) in groups and fields[0] not in (b"Z", b"X"):
                    found.add(int(name))
        return found

    return look

"""`loopwright up` at a terminal: what is typed there, what the terminal does, and colours."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.up_session import Up

    Open = Callable[..., "Terminal"]

SIMPLE = """
[services.simple]
command = ["sh", "-c", "echo ready; exec sleep 1000"]
"""
STUBBORN = """
[services.stubborn]
command = ["sh", "-c", "trap 'echo never' TERM; echo ready; while :; do sleep 0.02; done"]
grace_period = "1h"
"""
BRIEF = """
[services.brief]
command = "echo hello"
restart = "never"
"""


class Terminal:
    """A terminal with the command as the leader of its session, as a login would start it."""

    def __init__(self, up: Callable[..., Up], services: str, *options: str, tostop: bool = False, **popen: Any) -> None:
        def take_the_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.screen = ""
        self._shown = b""
        self.master, slave = pty.openpty()
        try:
            if tostop:
                attributes = termios.tcgetattr(slave)
                attributes[3] |= termios.TOSTOP
                termios.tcsetattr(slave, termios.TCSANOW, attributes)
            environment = {"TERM": "xterm-256color", **popen.pop("environment", {})}
            self.session = up(
                services, *options, tty=slave, environment=environment, preexec_fn=take_the_terminal, **popen
            )
        finally:
            os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, seconds: float = 30.0) -> bool:
        """Reads on; False if nobody has the terminal open any more, which Linux tells as EIO."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        assert ready, f"nothing more than\n{self.screen}"
        try:
            piece = os.read(self.master, 1 << 16)
        except OSError:
            return False
        # Anew from the beginning: a letter may come in two pieces, as may the end of a line.
        self._shown += piece
        self.screen = self._shown.decode(errors="replace").replace("\r\n", "\n")
        return True

    def shows(self, pattern: str, times: int = 1) -> None:
        while len(re.findall(pattern, self.screen)) < times:
            assert self.read(), f"ended without {pattern!r}:\n{self.screen}"

    def end(self) -> int:
        while self.read():
            pass
        return self.session.end()

    def hang_up(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def terminal(up: Callable[..., Up], monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Starts the command on a terminal of its own; the environment of the tests does not decide on colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    opened: list[Terminal] = []

    def start(services: str, *options: str, **how: Any) -> Terminal:
        opened.append(Terminal(up, services, *options, **how))
        return opened[-1]

    yield start
    for each in opened:
        each.hang_up()


def test_ctrl_c_typed_once_and_the_summary_is_shown(terminal: Open) -> None:
    tty = terminal(SIMPLE)
    tty.shows("ready")
    tty.type("\x03")
    assert tty.end() == 0
    assert "sent SIGTERM: Ctrl-C; SIGKILL follows in 10 s unless it ends" in tty.screen
    assert re.search(r"stopped as asked, after .*s", tty.screen)
    assert tty.session.errors() == ""


def test_ctrl_c_typed_twice_ends_everything_at_once(terminal: Open) -> None:
    tty = terminal(STUBBORN)
    tty.shows("ready")
    tty.type("\x03")
    tty.shows("never")
    time.sleep(0.4)  # less apart would be one wish
    tty.type("\x03")
    assert tty.end() == 0
    assert "sent SIGKILL: Ctrl-C again" in tty.screen


def test_a_terminal_that_stops_writers_in_the_background(terminal: Open) -> None:
    """`stty tostop`: the supervisor, which is not in the terminal's foreground group, writes all the same."""
    tty = terminal(SIMPLE, tostop=True)
    tty.shows("ready")
    tty.type("\x03")
    assert tty.end() == 0
    assert "stopped as asked" in tty.screen


def test_a_terminal_that_is_closed_ends_everything(terminal: Open) -> None:
    tty = terminal(SIMPLE.replace("simple", "one") + SIMPLE.replace("simple", "two"))
    tty.shows("ready", times=2)
    tty.hang_up()
    assert tty.session.end() == 0


@pytest.mark.slow
def test_a_paused_terminal_holds_up_the_end_no_longer_than_its_patience(terminal: Open) -> None:
    """Ctrl-S, and nobody ever types Ctrl-Q: asked twice, the command ends without its last lines."""
    tty = terminal('[services.floods]\ncommand = "yes"\ngrace_period = "1h"\n')
    tty.shows("started")
    time.sleep(0.5)  # the terminal, and all the queues behind it, fill up
    tty.session.popen.terminate()
    tty.session.until_ended("yes")
    time.sleep(0.4)  # less apart would be one wish
    tty.session.popen.terminate()
    assert tty.session.popen.wait(20) == 0
    tty.session.nothing_is_left()


def test_colours_and_a_short_time(terminal: Open) -> None:
    tty = terminal(BRIEF + BRIEF.replace("brief", "other"))
    assert tty.end() == 0
    times = re.findall(r"^\x1b\[38;5;\d+m(\S+)\x1b\[0m \S*(?:loopwright|brief|other)", tty.screen, re.MULTILINE)
    assert len(times) >= 8
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", one) for one in times)
    colours = set(re.findall(r"\x1b\[(38;5;\d+)m(brief|other)\s", tty.screen))
    assert len(colours) == len({name for _, name in colours}) == len({colour for colour, _ in colours}) == 2


@pytest.mark.parametrize(
    ("options", "environment"), [((), {"NO_COLOR": "1"}), (("--color", "never"), {}), ((), {"TERM": "dumb"})]
)
def test_no_colours_if_unwanted(terminal: Open, options: tuple[str, ...], environment: dict[str, str]) -> None:
    tty = terminal(BRIEF, *options, environment=environment)
    assert tty.end() == 0
    assert "| hello" in tty.screen
    assert "\x1b" not in tty.screen


def test_colours_elsewhere_if_wanted(up: Callable[..., Up]) -> None:
    session = up(BRIEF, "--color", "always")
    assert session.end() == 0
    assert "\x1b[38;5;" in session.output

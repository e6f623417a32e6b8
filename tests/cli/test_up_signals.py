"""How `loopwright up` ends: asked, asked twice, killed, or because of what its services did."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.up_session import Up

    Start = Callable[..., Up]

CHAIN = """
[services.database]
command = ["sh", "-c", "trap 'echo database ends; exit 0' TERM; echo ready; >database; while :; do sleep 0.05; done"]
[services.shop]
command = ["sh", "-c", "trap 'sleep 0.3; echo shop ends; exit 0' TERM; echo ready; >shop; while :; do sleep 0.05; done"]
depends_on = ["database"]
"""
STUBBORN = """
[services.stubborn]
command = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]
grace_period = "GRACE"
"""
#: A leader with somebody else in its group, who ignores SIGTERM.
FAMILY = """
[services.family]
instances = 2
command = ["sh", "-c", "(trap '' TERM; while :; do sleep 0.05; done) & echo born; wait"]
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_ends_everything_in_reverse_order_and_exits_with_0(up: Start, number: signal.Signals) -> None:
    session = up(CHAIN)
    session.read_until(r"database +\| ready")
    session.read_until(r"shop +\| ready")
    assert session.output.index("database   * started") < session.output.index("shop       * started")
    session.signal(number)
    assert session.end() == 0
    assert session.output.index("shop ends") < session.output.index("database   * sent SIGTERM")
    assert session.output.index("shop       * stopped") < session.output.index("database   | database ends")
    assert re.search(r"^database +1 +0 +status 0, as asked", session.output, re.MULTILINE)
    assert re.search(r"stopped as asked, after [\d.]+ s\n$", session.output)
    assert session.errors() == ""


def test_what_ignores_the_stop_signal_is_killed_after_its_grace_period(up: Start) -> None:
    session = up(STUBBORN.replace("GRACE", "300ms"))
    session.read_until(r"\| deaf")
    assert session.stop() == 0
    assert "sent SIGTERM: Ctrl-C; SIGKILL follows in 0.3 s unless it ends" in session.output
    assert "sent SIGKILL: it still runs after a grace period of 0.3 s" in session.output
    assert "was ended by SIGKILL as asked" in session.output


def test_asked_twice_it_ends_everything_at_once(up: Start) -> None:
    session = up(STUBBORN.replace("GRACE", "1h"))
    session.read_until(r"\| deaf")
    session.signal(signal.SIGINT)
    session.read_until("sent SIGTERM")
    time.sleep(0.4)  # less apart would be one wish
    assert session.stop() == 0
    assert "sent SIGKILL: Ctrl-C again" in session.output


def test_two_signals_of_one_wish_are_one(up: Start) -> None:
    session = up(CHAIN)
    session.read_until(r"shop +\| ready")
    supervisor = session.supervisor()
    for _ in range(2):  # as `timeout -s INT` does: to the process and to its group
        os.kill(supervisor, signal.SIGINT)
    assert session.end() == 0
    assert "SIGKILL:" not in session.output


@pytest.mark.parametrize("who", ["supervisor", "keeper"])
def test_killed_it_leaves_nothing_of_any_process_group(up: Start, who: str) -> None:
    session = up(FAMILY)
    for instance in (1, 2):
        session.read_until(rf"family.{instance} +\| born")
    assert len(session.processes()) >= 2 + 2 * 2
    os.kill(session.supervisor() if who == "supervisor" else session.popen.pid, signal.SIGKILL)
    assert session.end() == (128 + signal.SIGKILL if who == "supervisor" else -signal.SIGKILL)
    if who == "supervisor":
        assert re.search(r"keeper: the program \(process \d+\) was ended by SIGKILL; \d+ .* killed", session.errors())
    else:
        assert "its keeper was killed" in session.output
        assert re.search(
            r"was ended to level [bc] \(\w+\), and is to no level .* the keeper was killed", session.output
        )


def test_what_left_its_group_goes_with_its_service(up: Start) -> None:
    session = up(
        '''
        [services.daemon]
        restart = "never"
        command = ["sh", "-c", """
            setsid sh -c 'touch away; while :; do sleep 0.05; done' >/dev/null 2>&1 &
            while [ ! -e away ]; do sleep 0.02; done
        """]
        [services.other]
        command = ["sleep", "1000"]
        '''
    )
    session.read_until(r"daemon +\* finished")
    assert not any("while" in command for command in session.processes().values())
    assert re.search(r"with what has left its process group: level [bc] ", session.output)
    assert session.stop() == 0


def test_an_essential_service_that_fails_ends_everything_with_status_1(up: Start) -> None:
    session = up(
        CHAIN
        + """
        [services.core]
        command = ["sh", "-c", "until [ -e database ] && [ -e shop ]; do sleep 0.02; done; exit 7"]
        essential = true
        restart = "never"
        depends_on = ["shop"]
        """
    )
    assert session.end() == 1
    reason = "essential service core failed: exited with status 7; its restart rule is never"
    assert f"ending everything: {reason}" in session.output
    assert session.output.index("shop ends") < session.output.index("database ends")
    assert re.search(rf"ended: {reason}, after [\d.]+ s\n$", session.output)


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("false", 1)])
def test_with_nothing_left_to_run_it_ends_and_tells_how_it_went(up: Start, command: str, status: int) -> None:
    session = up(f'[services.job]\ncommand = "{command}"\nrestart = "never"\n')
    assert session.end() == status


def test_started_in_the_background_by_a_shell_it_can_still_be_stopped(up: Start) -> None:
    # A shell without job control gives what it puts in the background SIGINT and SIGQUIT ignored (POSIX, 2.11).
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    show = "import signal; print(signal.getsignal(signal.SIGQUIT).name); import time; time.sleep(1000)"
    session = up(f'[services.show]\ncommand = ["@python", "-c", "{show}"]\n', preexec_fn=ignore)
    assert "SIG_DFL" in session.read_until(r"show +\| (.*)")[1]
    assert session.stop() == 0


def test_under_nohup_a_lost_terminal_ends_nothing(up: Start) -> None:
    session = up(CHAIN, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None)
    session.read_until(r"shop +\| ready")
    session.signal(signal.SIGHUP)
    time.sleep(0.2)
    assert "ending everything" not in session.output
    assert session.stop() == 0
    assert "ending everything: Ctrl-C" in session.output


def test_at_a_terminal_control_c_once_and_colours(up: Start, tmp_path: object) -> None:
    master, terminal = pty.openpty()
    # A session of its own with the terminal as its controlling one, as a login has: then ^C is typed, not sent.
    login = "import os, fcntl, termios, sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    (tmp_path / "loopwright.toml").write_text(CHAIN)  # type: ignore[operator]
    program = subprocess.Popen(
        [sys.executable, "-c", login + "os.execv(sys.executable, [sys.executable, '-m', 'loopwright', 'up'])"],
        cwd=str(tmp_path),
        env={key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    output = b""
    try:
        while b"shop" not in output or output.count(b"ready") < 2:
            output += read_some(master)
        os.write(master, b"\x03")
        while (piece := read_some(master)) != b"":
            output += piece
        assert program.wait(30) == 0
    finally:
        os.close(master)
        program.kill()
        program.wait(30)
    assert output.index(b"shop ends") < output.index(b"database ends")
    # The short time, dim; then the name in its colour.
    assert re.search(rb"^\x1b\[[\d;]+m\d\d:\d\d:\d\d\.\d{3}\x1b\[0m \x1b\[38;5;\d+mshop", output, re.MULTILINE)


def read_some(master: int) -> bytes:
    """What a terminal shows next; nothing once the last program has closed it (then Linux says EIO)."""
    ready, _, _ = select.select([master], [], [], 30)
    assert ready
    try:
        return os.read(master, 1 << 16)
    except OSError:
        return b""

"""`loopwright up` started oddly, steered rudely, or given nowhere to write."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.up_session import Up

    Start = Callable[..., Up]

SIMPLE = """
[services.simple]
command = ["sh", "-c", "echo ready; exec sleep 1000"]
"""
STUBBORN = """
[services.stubborn]
command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]
grace_period = "1h"
"""
BRIEF = """
[services.brief]
command = ["sh", "-c", "echo hello; echo done > done"]
restart = "never"
"""


# --- signals


def test_asked_again_and_again_it_ends_without_a_traceback(up: Start) -> None:
    """Somebody hammers on Ctrl-C until it has gone; there must be no moment at which that hits the interpreter."""
    session = up(STUBBORN)
    session.read_until(r"\| ready")
    while session.popen.poll() is None:
        session.signal(signal.SIGINT)
        time.sleep(0.005)
    assert session.end() == 0
    assert session.errors() == ""
    assert "stopped as asked" in session.output


@pytest.mark.parametrize("delay", [0.03, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
def test_ctrl_c_at_any_moment_of_the_start(up: Start, delay: float) -> None:
    """Whatever had begun by then: it ends, nothing stays, and if it had said hello it says goodbye."""
    session = up(SIMPLE)
    time.sleep(delay)
    session.signal(signal.SIGINT)
    if session.has_said_something_on_stderr():
        session.signal(signal.SIGINT)  # Python may have been struck where it drops it, before it had begun with us
    status = session.end()
    if "kept by" in session.output:
        errors = session.errors()
        assert not errors or (errors.startswith("Exception ignored in") and "importlib" in errors)
        assert status == 0
        assert "stopped as asked" in session.output
    else:
        assert session.output == ""
        assert status in (130, -signal.SIGINT, 1)  # before the command was read, this is Python's to answer


OVERHEARD = """
import os, signal, sys

def strike(frame, event, arg):
    # After an import of one of our layers, in the callback by which importlib frees its lock.
    if frame.f_code.co_name == "cb" and event == "call" and "loopwright.process" in sys.modules:
        sys.setprofile(None)
        os.write(1, b"struck\\n")
        signal.raise_signal(signal.SIGINT)

sys.setprofile(strike)
"""


def test_ctrl_c_while_it_is_imported_is_not_lost(up: Start, tmp_path: Path) -> None:
    """A KeyboardInterrupt would be: what is raised in a weak reference's callback is printed and forgotten."""
    (tmp_path / "sitecustomize.py").write_text(OVERHEARD)
    session = up(SIMPLE, environment={"PYTHONPATH": str(tmp_path)})
    assert session.end() == -signal.SIGINT
    assert session.output == "struck\n"


def test_the_supervisor_itself_may_be_asked(up: Start) -> None:
    session = up(SIMPLE)
    session.read_until(r"\| ready")
    os.kill(session.supervisor(), signal.SIGTERM)
    assert session.end() == 0
    assert "stopped as asked" in session.output


def test_a_stop_signal_of_the_services_own_choice(up: Start) -> None:
    session = up(r"""
        [services.own]
        command = ["sh", "-c", "trap 'echo got usr1; exit 7' USR1; echo ready; while :; do sleep 0.02; done"]
        stop_signal = "USR1"
    """)
    session.read_until(r"\| ready")
    assert session.stop() == 0  # it was asked to end, and did, whatever it makes of that
    assert "| got usr1" in session.output
    assert "status 7, as asked" in session.output


def test_what_waits_for_its_restart_is_not_started_for_the_sake_of_an_order(up: Start) -> None:
    session = up("""
        [services.crasher]
        command = "false"
        restart = { initial_delay = "100s", max_delay = "100s", jitter = 0 }
    """)
    session.read_until(r"restart 1, in 1 min 40 s")
    assert session.stop() == 0
    assert session.output.count("* started") == 1


def test_what_stands_still_is_killed_too(up: Start) -> None:
    """SIGSTOP holds up every signal but one."""
    # ready says another, which saw that it stands: before that it would end by SIGTERM
    session = up("""
        [services.still]
        command = ["sh", "-c", "(until grep -q '^State:.T' /proc/$$/status; do :; done; echo ready) & kill -STOP $$"]
        grace_period = "100ms"
    """)
    session.read_until(r"\| ready")
    assert session.stop() == 0
    assert "sent SIGKILL: it still runs after a grace period of 0.1 s" in session.output


def test_started_with_signals_ignored_and_blocked(up: Start) -> None:
    """As by a shell in the background, by a parent that ignores its children, by one that blocks signals."""

    ignored = (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
    blocked = (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)

    def start_deaf() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)

    # Not told by a shell: some unblock at their start what was blocked.
    code = """
import signal, subprocess
print("blocked", sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
ignored = [n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
print("ignored", sorted(set(ignored) - {signal.SIGPIPE, signal.SIGXFSZ}))  # which Python itself ignores
print("false says", subprocess.run(["false"]).returncode)
signal.pause()
"""
    session = up(f"[services.tells]\ncommand = ['@python', '-c', '''{code}''']\n", preexec_fn=start_deaf)
    session.read_until(r"\| blocked \[\]$")
    session.read_until(r"\| ignored \[\]$")
    session.read_until(r"\| false says 1$")
    assert session.stop() == 0
    assert "was ended by SIGTERM as asked" in session.output


# --- output


def test_output_that_acts_is_shown_and_does_not_act(up: Start) -> None:
    """Nothing of it is lost, and nobody can pose as the supervisor."""
    code = r"""
import os
os.write(1, b"\x1b[2J\x1b]0;title\x07 \x1b[31mred\x1b[0m\n")
os.write(1, "\u202eesrever\n".encode())
os.write(1, b"one\rtwo\r\n\n")
os.write(1, b"x\n2026-11-22T22:02:07.404+00:00 loopwright * forged\n")
"""
    session = up(f"[services.odd]\nrestart = 'never'\ncommand = ['@python', '-c', '''{code}''']\n")
    assert session.end() == 0
    assert re.findall(r"odd +\| ?(.*)", session.output) == [
        r"\x1b[2J\x1b]0;title\x07 red",
        r"\u202eesrever",
        r"one\rtwo",
        "",
        "x",
        "2026-11-22T22:02:07.404+00:00 loopwright * forged",
    ]


def test_services_have_a_session_no_input_and_no_descriptor_but_three(up: Start) -> None:
    code = r"""
import os
print(os.readlink("/proc/self/fd/0"), os.getsid(0) == os.getpid())
print([name for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)])
"""
    session = up(f"[services.tells]\nrestart = 'never'\ncommand = ['@python', '-c', '''{code}''']\n")
    assert session.end() == 0
    assert re.findall(r"tells +\| (.*)", session.output) == ["/dev/null True", "['0', '1', '2']"]


@pytest.mark.slow
def test_a_reader_that_never_reads_does_not_keep_it_from_ending(up: Start) -> None:
    """The service is held up by its full pipe; asked twice all of it ends, its last lines unread."""
    reading, writing = os.pipe()
    session = up('[services.floods]\ncommand = "yes"\ngrace_period = "1h"\n', stdout=writing)
    os.close(writing)
    try:
        deadline = time.monotonic() + 20
        while waiting(reading) < 1 << 15:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.5)  # the queues behind the pipe fill up too
        session.signal(signal.SIGINT)
        session.until_ended("yes")
        time.sleep(0.4)  # less apart would be one wish
        session.signal(signal.SIGINT)
        assert session.popen.wait(20) == 0
    finally:
        os.close(reading)
    session.nothing_is_left()
    assert session.errors() == ""


def waiting(pipe: int) -> int:
    """How many bytes are in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_no_wish_to_stop(up: Start) -> None:
    with open("/dev/full", "wb") as full:
        session = up(SIMPLE, stdout=full)
        assert session.end() == 1
    assert session.errors() == "loopwright: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [(1,), (0,), (0, 1, 2)])
def test_started_without_standard_streams(up: Start, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """`>&-`: it does its work, and what it would have said goes nowhere, above all into no other file."""

    def close_them() -> None:
        for number in closed:
            os.close(number)

    session = up(BRIEF, preexec_fn=close_them)
    assert session.end() == 0
    assert (tmp_path / "done").read_text() == "done\n"
    assert ("| hello" in session.output) is (1 not in closed)
    assert session.errors() == ""

"""Being asked to end, in all the ways there are, and being killed."""

from __future__ import annotations

import os
import signal
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]
    Members = Callable[..., set[int]]

CHAIN = """
[services.first]
command = "sleep 100"

[services.second]
command = ["sh", "-c", "trap 'sleep 0.2; echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"]
depends_on = ["first"]
instances = 2

[services.third]
command = "sleep 100"
depends_on = ["second"]
"""

STUBBORN = """
[services.stubborn]
command = ["sh", "-c", "trap 'echo never' TERM; echo ready; while :; do sleep 0.02; done"]
grace_period = "{}"
"""

SIMPLE = """
[services.simple]
command = ["sh", "-c", "echo ready; exec sleep 100"]
"""

#: A leader with children in its group; they write no output, so that nothing but their being killed ends them.
GROUPS = """
[services.group]
command = ["sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"]
instances = 2

[services.deaf]
command = ["sh", "-c", "trap '' TERM INT HUP; (sleep 100; true) & echo ready; while :; do sleep 1; done"]
"""


def order(up: Any, *events: str) -> list[int]:
    """Where in the output these stand, each as `name: beginning`."""
    said = up.said()
    return [next(index for index, line in enumerate(said) if line.startswith(event)) for event in events]


# --- once


def test_ctrl_c_ends_in_the_reverse_order(up: Start) -> None:
    run = up(CHAIN)
    run.says("ready", times=2)
    run.says("third.*started")
    run.ctrl_c()
    assert run.end() == 0
    assert run.err == ""
    events = [
        "third: sent SIGTERM",
        "third: stopped",
        "second.2: sent",
        "second.2: stopped",
        "first: sent",
        "first: stopped",
    ]
    assert order(run, *events) == sorted(order(run, *events))
    assert order(run, "third: stopped", "second.1: sent", "second.1: stopped", "first: sent") == sorted(
        order(run, "third: stopped", "second.1: sent", "second.1: stopped", "first: sent")
    )
    assert run.said("second.1", glyph="|").count("bye") == 1
    assert "sent SIGTERM: Ctrl-C; SIGKILL follows in 10 s unless it ends" in run.said("first")
    assert any(text.startswith("exited with status 0 as asked after") for text in run.said("second.2"))
    assert run.said("loopwright")[-2:] == ["ending everything: Ctrl-C", "once more ends everything at once"]
    assert ": stopped as asked, after" in run.summary.splitlines()[-1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_wishes(up: Start, name: str) -> None:
    run = up(SIMPLE)
    run.says("ready")
    run.popen.send_signal(signal.Signals[name])
    assert run.end() == 0
    assert f"ending everything: {name}" in run.said("loopwright")
    assert "stopped as asked" in run.summary


def test_the_signal_may_go_to_the_supervisor_itself(up: Start) -> None:
    run = up(SIMPLE)
    run.says("ready")
    os.kill(run.pid, signal.SIGTERM)
    assert run.end() == 0
    assert "stopped as asked" in run.summary


def test_a_signal_of_the_services_own_choice(up: Start) -> None:
    run = up("""
        [services.own]
        command = ["sh", "-c", "trap 'echo got usr1; exit 7' USR1; echo ready; while :; do sleep 0.02; done"]
        stop_signal = "USR1"
    """)
    run.says("ready")
    run.ctrl_c()
    assert run.end() == 0  # asked is asked, whatever status it ends with
    assert "got usr1" in run.said("own", glyph="|")
    assert "status 7, as asked" in run.summary


def test_who_does_not_end_is_killed_after_the_grace_period(up: Start) -> None:
    run = up(STUBBORN.format("300ms"))
    run.says("ready")
    run.ctrl_c()
    began = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - began >= 0.25
    assert "sent SIGKILL: it still runs after a grace period of 0.3 s" in run.said("stubborn")
    assert any(text.startswith("was ended by SIGKILL as asked") for text in run.said("stubborn"))


def test_what_waits_for_its_restart_is_not_started_again(up: Start) -> None:
    run = up("""
        [services.crasher]
        command = "false"
        restart = { initial_delay = "100s", max_delay = "100s" }
    """)
    run.says(r"restart 1, in \d+ s|restart 1, in 1 min")
    run.ctrl_c()
    assert run.end() == 0
    assert "sent" not in " ".join(run.said("crasher"))


# --- twice


def test_ctrl_c_twice_ends_everything_at_once(up: Start) -> None:
    run = up(STUBBORN.format("100s"))
    run.says("ready")
    run.ctrl_c()
    run.says("once more ends everything at once")
    run.says("never")
    time.sleep(0.06)  # further apart than what counts as one wish
    run.ctrl_c()
    assert run.end(10) == 0
    assert "sent SIGKILL: Ctrl-C again" in run.said("stubborn")
    assert "stopped as asked" in run.summary


def test_two_signals_in_one_instant_are_one_wish(up: Start) -> None:
    """As `timeout` and some shells send them: to the process, and to its group."""
    run = up(STUBBORN.format("500ms"))
    run.says("ready")
    run.ctrl_c()
    os.kill(run.pid, signal.SIGINT)
    assert run.end() == 0
    assert any("grace period" in text for text in run.said("stubborn"))


def test_hammering_on_ctrl_c(up: Start) -> None:
    """Until it has gone, and with no way to hit it on its way out."""
    run = up(STUBBORN.format("100s"))
    run.says("ready")
    while run.popen.poll() is None:
        run.ctrl_c()
        time.sleep(0.005)
    assert (run.end(), run.err) == (0, "")
    assert "stopped as asked" in run.summary


def test_ctrl_c_at_any_moment_of_the_start(up: Start, members: Members) -> None:
    """Before there is anybody to take the wish, it is Python that ends; from then on it is heard. Nothing stays."""
    heard = 0
    for delay in (0.02, 0.1, 0.15, 0.2, 0.25, 0.3, 0.6):
        run = up(SIMPLE)
        time.sleep(delay)
        run.ctrl_c()
        status = run.end()
        if "kept by" in run.out:
            heard += 1
            assert status == 0
            assert run.err == ""
            assert "stopped as asked" in run.summary
        else:
            assert run.out == ""
            assert status in (-signal.SIGINT, 1, 130)
        assert members(run.popen.pid) == set()
    assert heard > 0


# --- at a terminal


def test_ctrl_c_typed_at_a_terminal(terminal: Start) -> None:
    tty = terminal(CHAIN)
    tty.shows("ready(?s:.*)ready")
    tty.shows("third.*started")
    tty.type("\x03")
    assert tty.end() == 0
    assert tty.screen.index("third") < tty.screen.index("bye")
    assert "sent SIGTERM: Ctrl-C" in tty.screen
    assert "stopped as asked" in tty.screen


def test_ctrl_c_typed_twice(terminal: Start) -> None:
    tty = terminal(STUBBORN.format("100s"))
    tty.shows("ready")
    tty.type("\x03")
    tty.shows("never")
    time.sleep(0.06)  # further apart than what counts as one wish
    tty.type("\x03")
    assert tty.end() == 0
    assert "sent SIGKILL: Ctrl-C again" in tty.screen


def test_a_terminal_that_stops_writers_in_the_background(terminal: Start) -> None:
    """`stty tostop`: the supervisor is not in the terminal's foreground group, and must be able to write."""
    tty = terminal('[services.simple]\ncommand = ["sh", "-c", "stty tostop < /dev/tty; echo ready; exec sleep 100"]\n')
    attributes = termios.tcgetattr(tty.master)
    attributes[3] |= termios.TOSTOP
    termios.tcsetattr(tty.master, termios.TCSANOW, attributes)
    tty.shows("ready")
    tty.type("\x03")
    assert tty.end() == 0
    assert "stopped as asked" in tty.screen


def test_a_terminal_that_goes_away(terminal: Start, members: Members) -> None:
    tty = terminal(GROUPS.replace("TERM INT HUP", "INT HUP"))
    pids = [int(tty.shows(rf"{name} .*started, process (\d+)")) for name in ("group.1", "group.2", "deaf")]
    tty.shows("(?s)ready.*ready.*ready")
    tty.hang_up()
    assert tty.up.end() == 0
    assert members(*pids, tty.up.popen.pid) == set()


# --- how it was started


def test_nohup_is_respected(up: Start) -> None:
    run = up(SIMPLE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    run.says("ready")
    run.popen.send_signal(signal.SIGHUP)
    os.kill(run.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert run.popen.poll() is None
    run.popen.send_signal(signal.SIGTERM)
    assert run.end() == 0
    assert "SIGHUP" not in run.out


TELLS_SIGNALS = """
[services.tells]
command = ["sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo ready; exec sleep 100"]
"""


def start_deaf() -> None:
    """As a shell starts what it puts in the background, and worse."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD])


def test_started_with_signals_ignored_and_blocked(up: Start) -> None:
    run = up(TELLS_SIGNALS, preexec_fn=start_deaf)
    run.says("ready")
    told = dict(line.split(":\t") for line in run.said("tells", glyph="|")[:2])
    assert int(told["SigBlk"], 16) == 0
    assert int(told["SigIgn"], 16) == 0
    run.ctrl_c()
    assert run.end() == 0
    assert any(text.startswith("was ended by SIGTERM as asked") for text in run.said("tells"))


# --- killed


def gone(run: Any, members: Members, groups: list[int]) -> None:
    run.until(lambda: not members(*groups), "nothing is left of the services' process groups")


def test_kill_9_of_the_supervisor(up: Start, members: Members) -> None:
    run = up(GROUPS)
    run.says("ready", times=3)
    groups = list(run.pids().values())
    assert len(groups) == 3
    run.until(lambda: len(members(*groups)) >= 9)
    os.kill(run.pid, signal.SIGKILL)
    assert run.end() == 128 + signal.SIGKILL
    assert members(*groups) == set()  # already: the keeper ends last
    assert f"the supervisor (process {run.pid}) was ended by SIGKILL; " in run.err
    assert run.summary == ""


def test_kill_9_of_the_keeper(up: Start, members: Members) -> None:
    run = up(GROUPS)
    run.says("ready", times=3)
    groups = list(run.pids().values())
    supervisor = run.pid
    os.kill(run.popen.pid, signal.SIGKILL)
    assert run.end() == -signal.SIGKILL
    gone(run, members, [*groups, supervisor])
    run.says("its keeper was killed")
    run.until(lambda: run.summary.endswith("\n"))
    assert run.err == ""


def test_a_stopped_service_is_killed_too(up: Start, members: Members) -> None:
    run = up(SIMPLE.replace("sleep 100", "sh -c 'kill -STOP $$'"))
    run.says("ready")
    groups = list(run.pids().values())
    os.kill(run.pid, signal.SIGKILL)
    run.end()
    assert members(*groups) == set()

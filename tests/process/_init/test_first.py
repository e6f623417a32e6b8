"""Init as process 1 of a real PID namespace."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process._init.conftest import children, python, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process._init.conftest import Started

    First = Callable[..., Started]

#: All but what nobody can catch, what init keeps for itself, and what glibc does.
EVERY = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD})


def facts(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def zombies(pid: int) -> list[int]:
    return [child for child in children(pid) if facts(child)["State"].startswith("Z")]


# --- status


def test_it_is_process_1_and_says_nothing(first: First) -> None:
    init = first("--", *python("say(os.getppid(), os.getpid(), os.getpgrp())"))
    assert init.line() == "1 2 2"
    assert (init.end(), init.errors()) == (0, "")


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_the_status_is_the_commands(first: First, code: int) -> None:
    assert first("sh", "-c", f"exit {code}").end() == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGRTMIN + 4])
def test_a_command_ended_by_a_signal(first: First, number: int) -> None:
    init = first("--", *python("import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                               f"os.kill(os.getpid(), {int(number)})"))  # fmt: skip
    assert init.end() == 128 + number


def test_an_expected_status(first: First) -> None:
    assert first("-e", "143", "--", *python("os.kill(os.getpid(), 15)")).end() == 0


# --- signals


def test_every_signal_is_passed_on(first: First) -> None:
    code = f"for number in {[int(n) for n in EVERY]}: signal.signal(number, catch)\nsay('ready')\npause()"
    init = first("--", *python(code))
    assert init.line() == "ready"
    for number in EVERY:
        init.send(number)
        assert init.line() == f"{int(number)} 2"
    # SIGTSTP and its like do not stop a process 1; it may still be handling the last one.
    until(lambda: facts(init.pid)["State"].startswith("S"))
    os.kill(children(init.pid)[0], signal.SIGKILL)
    assert init.end() == 137


def test_sigterm_with_its_default_disposition(first: First) -> None:
    """As process 1 itself the command would not even notice."""
    init = first("--", *python("say('ready')\npause()"))
    init.line()
    init.send(signal.SIGTERM)
    assert init.end() == 143


def test_a_signal_that_comes_before_the_child_is_there(first: First) -> None:
    """Sent as soon as init has blocked signals, again and again, while it starts."""
    for _ in range(5):
        init = first("sleep", "1000")
        # Not SIGTERM, which unshare blocks before that. While a process is in sigwaitinfo(2), the kernel does not count
        # as blocked what it waits for: then the child is there.
        until(lambda pid=init.pid: int(facts(pid)["SigBlk"], 16) & 1 << signal.SIGUSR1 - 1 or children(pid))
        init.send(signal.SIGTERM)
        assert init.end() == 143


def test_rewritten_signals(first: First) -> None:
    code = "for number in (1, 3, 10, 15): signal.signal(number, catch)\nsay('ready')\npause()"
    init = first("-r", "TERM:QUIT", "-r", "1:0", "--", *python(code))
    init.line()
    init.send(signal.SIGTERM)
    assert init.line() == "3 2"
    init.send(signal.SIGHUP)
    init.send(signal.SIGUSR1)
    assert init.line() == "10 2"
    os.kill(children(init.pid)[0], signal.SIGKILL)
    assert init.end() == 137


@pytest.mark.parametrize("group", [False, True])
def test_to_the_command_alone_or_to_its_group(first: First, group: bool) -> None:
    code = """
    signal.signal(signal.SIGUSR1, catch)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        say("ready")
        os.read(reading, 1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os._exit(0)
    pause()
    """
    init = first(*(["--group"] if group else []), "--", *python(code))
    init.line()
    init.send(signal.SIGUSR1)
    told = {init.line() for _ in range(2 if group else 1)}
    assert told == ({"10 2", "10 3"} if group else {"10 2"})
    init.send(signal.SIGHUP)  # of which the command dies, with it its end of the pipe, and then the other
    assert init.end() == 129
    assert init.output == ""


def test_what_the_command_begins_with(first: First) -> None:
    """Whatever was ignored or blocked where init was started, and whatever Python ignores."""

    def ignore_and_block() -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGRTMIN):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 1})

    init = first("cat", "/proc/self/status", preexec_fn=ignore_and_block)
    assert init.end() == 0
    said = init.popen.stdout.read().decode()
    masks = re.findall(r"^(Sig(?:Blk|Ign|Cgt)|...Pnd):\s+(\w+)", said, re.MULTILINE)
    assert {name for name, _ in masks} == {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"}
    # Signals 32 and 33 are the C library's own: no program can name them, and its posix_spawn() leaves them ignored.
    assert {int(value, 16) & ~(0b11 << 31) for _, value in masks} == {0}


def test_nothing_of_init_is_inherited(first: First) -> None:
    """No descriptor, no LC_CTYPE, which Python adds where there is no locale. What was there before is passed on."""
    code = "say(*sorted(os.listdir('/proc/self/fd')))\nsay(open('/proc/self/environ').read().replace(chr(0), ' '))"
    reading, writing = os.pipe()
    try:
        init = first("-p", "TERM", "--", *python(code), env={"PATH": os.environ["PATH"], "X": "1"}, pass_fds=[reading])
        numbers = {int(word) for word in init.line().split()}
        assert len(numbers - {0, 1, 2, reading}) == 1  # that of the folder itself
        assert reading in numbers
        assert sorted(init.line().split(" ")) == ["", f"PATH={os.environ['PATH']}", "X=1"]
        assert init.end() == 0
    finally:
        os.close(reading)
        os.close(writing)


# --- orphans


def test_orphans_are_reaped(first: First) -> None:
    init = first("--", *python("for _ in range(20): leave(lambda: None)\nsay('left')\npause()"))
    init.line()
    until(lambda: len(children(init.pid)) == 1)
    assert zombies(init.pid) == []
    init.send(signal.SIGTERM)
    assert init.end() == 143


def test_the_status_survives_a_storm_of_orphans(first: First) -> None:
    """500 of them end while the command does, in the middle."""
    code = """
    reading, writing = os.pipe()
    def wait_for_the_start():
        os.close(writing)
        os.read(reading, 1)
    for _ in range(500):
        if os.fork() == 0:
            if os.fork() == 0:
                wait_for_the_start()
            os._exit(0)
        os.wait()
    os.close(reading)
    say('ready')
    sys.stdin.read()
    os.close(writing)
    os._exit(42)
    """
    reading, writing = os.pipe()
    try:
        init = first("-vv", "--", *python(code), stdin=reading)
        assert init.line() == "ready"
        assert len(children(init.pid)) == 501
    finally:
        os.close(reading)
        os.close(writing)  # now
    said = init.errors()
    assert init.end() == 42
    assert len(re.findall("reaped process", said)) == 500
    assert "(process 2) ended with status 42" in said


# --- the end


def test_what_is_left_is_asked_first(first: First) -> None:
    code = """
    def tidy_up(number, _):
        say("tidy", number)
        os._exit(0)
    def daemon():
        signal.signal(signal.SIGTERM, tidy_up)
        say("daemon")
        pause()
    leave(daemon)
    sys.stdin.read()
    os._exit(5)
    """
    reading, writing = os.pipe()
    try:
        init = first("--grace", "1000", "--", *python(code), stdin=reading)
        assert init.line() == "daemon"
    finally:
        os.close(reading)
        os.close(writing)
    assert init.line() == "tidy 15"
    assert init.end() == 5
    assert init.errors() == ""


STUBBORN = """
def daemon():
    signal.signal(signal.SIGTERM, lambda *_: say("never"))
    say("daemon")
    pause()
leave(daemon)
pause()
"""


def test_and_killed_after_the_grace(first: First) -> None:
    init = first("--grace", "0.3", "--", *python(STUBBORN))
    assert init.line() == "daemon"
    began = time.monotonic()
    init.send(signal.SIGTERM)
    assert init.line() == "never"
    assert init.end() == 143
    assert time.monotonic() - began >= 0.3
    assert "not ended within 0.3 s of SIGTERM: 1; killed" in init.errors()


def test_a_second_wish_kills_at_once(first: First) -> None:
    init = first("-v", "--grace", "1000", "--", *python(STUBBORN))
    assert init.line() == "daemon"
    init.send(signal.SIGTERM)
    assert init.line() == "never"

    def ended() -> bool:
        init.send(signal.SIGINT)
        time.sleep(0.05)
        return init.popen.poll() is not None

    until(ended)
    assert init.end() == 143
    assert "SIGINT received: what is left is killed now" in init.errors()


def test_the_orphans_of_those_that_end_have_their_turn(first: First) -> None:
    code = """
    def mother():
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, lambda *_: (say("child asked"), os._exit(0)))
            say("there")
        pause()
    leave(mother)
    pause()
    """
    init = first("--grace", "1000", "--", *python(code))
    assert init.line() == "there"
    init.send(signal.SIGTERM)
    assert init.line() == "child asked"
    assert init.end() == 143


# --- hardships


def test_its_memory(first: First) -> None:
    init = first("sleep", "1000")
    until(lambda: children(init.pid))
    assert int(facts(init.pid)["VmHWM"].split()[0]) < 16 << 10
    init.send(signal.SIGTERM)
    assert init.end() == 143


@pytest.mark.parametrize("where", ["closed", "full"])
def test_without_a_standard_error(first: First, where: str) -> None:
    """-vv has much to say; none of it may end up elsewhere or stop anything."""
    with open("/dev/full", "wb") as full:
        popen = {"stderr": full} if where == "full" else {"preexec_fn": lambda: [os.close(n) for n in (0, 1, 2)]}
        init = first("-vv", "-p", "HUP", "sh", "-c", "exit 9", **{"stdin": None, **popen})
        assert init.end() == 9


def test_a_standard_error_that_nobody_reads_holds_nothing_up(first: First) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        try:
            while os.write(writing, bytes(1 << 16)):
                pass
        except BlockingIOError:
            os.set_blocking(writing, True)
        init = first("-vv", "--", *python("leave(lambda: None)\nos._exit(8)"), stderr=writing)
        assert init.end() == 8
    finally:
        os.close(reading)
        os.close(writing)


def test_a_standard_error_whose_reader_has_gone(first: First) -> None:
    """The SIGPIPE for our own line is not for the command."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        init = first("-vv", "--", *python("leave(lambda: None)\nsay('there')\npause()"), stderr=writing)
        assert init.line() == "there"
        init.send(signal.SIGTERM)
        assert init.end() == 143
    finally:
        os.close(writing)

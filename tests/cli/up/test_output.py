"""What is shown, to a person at a terminal and to a program at the other end of a pipe."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Any]
    Members = Callable[..., set[int]]

MIB = 1 << 20
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")

GREETER = """
[supervisor]
name = "greetings"

[services.greeter]
command = ["sh", "-c", "echo hello; echo trouble >&2; printf 'no newline'"]
restart = "never"

[services.wait]
command = ["sh", "-c", "echo ready; exec sleep 100"]
"""


def python(code: str) -> str:
    """A command, for TOML."""
    return f'[{sys.executable!r}, "-I", "-S", "-c", """{code}"""]'


def grown(pid: int) -> int:
    """The most memory that a process had at once, in bytes."""
    with open(f"/proc/{pid}/status") as file:
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1]) << 10


# --- where it goes


def test_plain_where_it_is_no_terminal(up: Start) -> None:
    run = up(GREETER)
    run.says("ready")
    run.says("it will not be started again")
    run.ctrl_c()
    assert (run.end(), run.err) == (0, "")
    assert "\x1b" not in run.out
    assert all(ISO.fullmatch(line.time) for line in run.lines)
    assert run.said("greeter", glyph="|") == ["hello", "trouble", "no newline"]
    # Names are aligned, so that the eye can follow a column.
    assert len({re.match(r"\S+ \S+ +", line)[0].__len__() for line in run.out.partition("\n\n")[0].splitlines()}) == 1  # type: ignore[index]
    first, second = run.said("loopwright")[:2]
    assert first == "greetings: starting 2 processes of greeter, wait, from loopwright.toml"
    assert re.fullmatch(rf"process \d+, kept by process {run.popen.pid}: should this one be killed, .*", second)
    heading, greeter, wait, result = run.summary.splitlines()
    assert heading.split() == ["service", "starts", "restarts", "last", "end", "ran", "for", "CPU", "memory", "lines"]
    assert greeter.split()[:5] == ["greeter", "1", "0", "status", "0"]
    assert greeter.split()[-1] == "3"
    assert wait.split()[:6] == ["wait", "1", "0", "SIGTERM,", "as", "asked"]
    assert re.fullmatch(r"greetings: stopped as asked, after [\d.]+ m?s", result)


def test_coloured_and_short_at_a_terminal(terminal: Start) -> None:
    tty = terminal(GREETER)
    tty.shows("no newline")
    tty.type("\x03")
    assert tty.end() == 0
    times = re.findall(r"^\x1b\[38;5;244m(\S+?)\x1b\[0m ", tty.screen, re.MULTILINE)
    assert len(times) > 8
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", one) for one in times)
    colours = {name: colour for colour, name in re.findall(r"\x1b\[(38;5;\d+)m(greeter|wait) +\|\x1b\[0m", tty.screen)}
    assert len(set(colours.values())) == 2
    assert "stopped as asked" in tty.screen


@pytest.mark.parametrize(
    ("args", "environment"), [((), {"NO_COLOR": "1"}), (("--color", "never"), {}), ((), {"TERM": "dumb"})]
)
def test_no_colours_if_unwanted(terminal: Start, args: tuple[str, ...], environment: dict[str, str]) -> None:
    tty = terminal('[services.hello]\ncommand = "echo hello"\nrestart = "never"', *args, environment=environment)
    assert tty.end() == 0
    assert "hello" in tty.screen
    assert "\x1b" not in tty.screen


def test_colours_if_wanted(up: Start) -> None:
    run = up('[services.hello]\ncommand = "echo hello"\nrestart = "never"', "--color", "always")
    assert run.end() == 0
    assert "\x1b[38;5;" in run.out


# --- what services write


def test_reasons_of_restarts(up: Start) -> None:
    run = up("""
        [services.crasher]
        command = ["sh", "-c", "echo crashing; exit 3"]
        restart = { initial_delay = "20ms", factor = 3, jitter = 0, max_restarts = 2 }

        [services.killed]
        command = ["sh", "-c", "kill -KILL $$"]
        restart = { rule = "on-failure", initial_delay = 0, max_restarts = 1 }

        [services.done]
        command = "true"
        restart = { rule = "always", initial_delay = "10ms", max_restarts = 1 }
    """)
    assert run.end() == 1
    told = [re.sub(r" after [\d.]+ m?s;.*|process \d+", "", text) for text in run.said("crasher")]
    end = "exited with status 3"
    assert told == [
        "started, ",
        end,
        f"{end}; its restart rule is always; restart 1, in 20 ms",
        "started again,  (restart 1)",
        end,
        f"{end}; its restart rule is always; restart 2 in a row, in 60 ms",
        "started again,  (restart 2 in a row)",
        end,
        f"failed: {end}; crash-looping: 2 restarts in a row did not help, and max_restarts is 2; "
        "it will not be started again",
    ]
    assert "was ended by SIGKILL; its restart rule is on-failure; restart 1, at once" in run.said("killed")
    assert "exited with status 0; its restart rule is always; restart 1, in 10 ms" in run.said("done")
    assert re.search(r"^crasher +3 +2 +status 3 ", run.summary, re.MULTILINE)


def test_output_that_is_no_text_or_acts(up: Start) -> None:
    """Nothing of it is lost, nothing of it acts, and nobody can pose as the supervisor."""
    code = r"""
import os
os.write(1, b"\\xff\\xfe latin: \\xe9 half: \\xe2\\x82\\n")
os.write(1, b"\\x1b[2J\\x1b]0;title\\x07 \\x1b[31mred\\x1b[0m\\n")
os.write(1, "€ 😀 \u202e\n".encode())
os.write(1, b"one\\rtwo\\r\\n\\n")
os.write(1, b"x\\n2026-11-22T22:02:07.404+00:00 loopwright * forged\\n")
"""
    run = up(f"[services.odd]\ncommand = {python(code)}\nrestart = 'never'")
    assert run.end() == 0
    assert run.said("odd", glyph="|") == [
        r"\xff\xfe latin: \xe9 half: \xe2\x82",
        r"\x1b[2J\x1b]0;title\x07 red",
        r"€ 😀 \u202e",
        r"one\rtwo",
        "",
        "x",
        "2026-11-22T22:02:07.404+00:00 loopwright * forged",
    ]
    assert not any("forged" in text for text in run.said("loopwright"))


def test_environment_and_env_files(up: Start, tmp_path: Path) -> None:
    (tmp_path / "one.env").write_text("FROM_FILE='a b'\nOVERRIDDEN=file\nexport QUOTED=\"x\\ty\"\n")
    (tmp_path / "sub").mkdir()
    run = up(
        """
        [services.tells]
        command = ["sh", "-c", 'echo "$FROM_FILE|$OVERRIDDEN|$INHERITED|$LOOPWRIGHT_SERVICE.$LOOPWRIGHT_INSTANCE"; pwd']
        env_files = ["one.env"]
        environment = { OVERRIDDEN = "table" }
        working_directory = "sub"
        instances = 2
        restart = "never"
    """,
        environment={"INHERITED": "yes", "OVERRIDDEN": "no"},
    )
    assert run.end() == 0
    for number in (1, 2):
        assert run.said(f"tells.{number}", glyph="|") == [f"a b|table|yes|tells.{number}", str(tmp_path / "sub")]


def test_services_are_off_the_terminal(up: Start) -> None:
    """No input, a session of their own, and no descriptor but their three."""
    run = up("""
        [services.tells]
        command = ["sh", "-c", "readlink /proc/$$/fd/0; ls /proc/$$/fd | tr '\\n' ' '; cat; ps -o sid= -p $$"]
        restart = "never"
    """)
    assert run.end() == 0
    first, second, sid = run.said("tells", glyph="|")[0], *run.said("tells", glyph="|")[1].split("  ")[:1], ""
    assert first == "/dev/null"
    assert second.split()[:3] == ["0", "1", "2"]
    assert sid == ""


def test_a_line_of_ten_megabytes(up: Start) -> None:
    code = f"""
import os
os.write(1, b"ready\\\\n")
os.read(os.open("go", os.O_RDONLY), 1)
left = memoryview(b"0123456789" * {MIB} + b"\\\\nafter\\\\n")
while left:
    left = left[os.write(1, left):]
os.read(os.open("go", os.O_RDONLY), 1)
"""
    (up.folder if hasattr(up, "folder") else None)
    run = None
    del run, code


def test_two_hundred_services(up: Start, members: Members) -> None:
    services = "".join(
        f'[services.s{number}]\ncommand = ["sh", "-c", "echo hello {number}; exec sleep 100"]\n'
        for number in range(200)
    )
    began = time.monotonic()
    run = up(services)
    run.until(lambda: len(run.said(*(f"s{number}" for number in range(200)), glyph="|")) == 200)
    groups = list(run.pids().values())
    assert len(members(*groups)) == 200
    run.ctrl_c()
    assert (run.end(), run.err) == (0, "")
    assert time.monotonic() - began < 20
    assert members(*groups) == set()
    assert "s0-199" not in run.summary  # other services, not instances of one
    assert run.summary.count("SIGTERM, as asked") == 200

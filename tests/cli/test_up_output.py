"""What `loopwright up` shows of its services, whatever they write and however slowly it is read."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.up_session import Up

    Start = Callable[..., Up]

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"


def one(command: str, rest: str = 'restart = "never"') -> str:
    """A service of the name `s` that a shell runs."""
    return f"[services.s]\ncommand = ['sh', '-c', '''{command}''']\n{rest}\n"


def memory(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_not_at_a_terminal_lines_are_plain_and_say_when_and_who(up: Start) -> None:
    session = up(one("echo out; echo err >&2; printf '\\033[31mred\\033[0m\\n'; printf 'no newline'"))
    assert session.end() == 0
    lines = session.output.splitlines()
    assert all(re.fullmatch(rf"{TIME} (loopwright|s         ) [|*]( .*)?", line) for line in lines[: lines.index("")])
    said = [line.split(" | ", 1)[1] for line in lines if " | " in line]
    assert said == ["out", "err", "red", "no newline"]
    assert "\x1b" not in session.output


def test_the_reason_of_every_restart_is_shown(up: Start) -> None:
    rest = "restart = { initial_delay = '50ms', jitter = 0, max_restarts = 2 }\nessential = true"
    session = up(one("exit 3", rest))
    assert session.end() == 1
    restarts = re.findall(r"s +\* (exited with status 3; its restart rule is always; restart .*)", session.output)
    assert [line.split("; ")[-1] for line in restarts] == ["restart 1, in 50 ms", "restart 2 in a row, in 0.1 s"]
    assert "crash-looping: 2 restarts in a row did not help, and max_restarts is 2" in session.output
    assert re.search(r"^s +3 +2 +status 3", session.output, re.MULTILINE)


def test_bytes_that_are_not_utf8_are_shown_as_what_they_are(up: Start) -> None:
    session = up(one(r"printf 'caf\351 \303\251 \377\n'"))
    assert session.end() == 0
    assert r"| caf\xe9 é \xff" in session.output


def test_a_line_of_ten_megabytes_is_shown_whole_in_bounded_memory(up: Start) -> None:
    session = up(one('head -c 10000000 /dev/zero | tr "\\\\0" x; echo; echo end; read never < /dev/tty; sleep 1000'))
    pid = session.supervisor()
    before = memory(pid)
    session.read_until(r"^\S+ s +\| end")
    assert memory(pid) - before < 40 << 20
    assert sum(len(text) for text in re.findall(r" [|+] (x+)$", session.output, re.MULTILINE)) == 10_000_000
    assert session.stop() == 0


def test_environment_and_its_files_reach_the_service(up: Start, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("# comment\nONE=file\nTWO='from file'\n")
    rest = 'env_files = "a.env"\nenvironment = { ONE = "table", N = 5 }\ninstances = 2\nrestart = "never"'
    session = up(
        one("echo $ONE/$TWO/$N/$OUTSIDE/$LOOPWRIGHT_SERVICE/$LOOPWRIGHT_INSTANCE", rest), environment={"OUTSIDE": "o"}
    )
    assert session.end() == 0
    for number in (1, 2):
        assert f"s.{number}        | table/from file/5/o/s/{number}\n" in session.output


def test_a_grandchild_that_holds_the_output_holds_nothing_up(up: Start) -> None:
    # The shell ends only when the other has left its group, and has only its keeper to be ended by.
    leaves = 'setsid sh -c "echo away; : > away; exec sleep 1000" & while [ ! -e away ]; do sleep 0.02; done'
    session = up(one(leaves))
    session.read_until(r"s +\* finished")
    assert re.search(r"s +\| away$", session.output, re.MULTILINE)
    assert "still holds its output" not in session.output
    assert session.end() == 0


def test_a_slow_reader_slows_the_services_and_nothing_else(up: Start) -> None:
    session = up(one("yes 0123456789012345678901234567890123456789 | head -n 400000; echo all", 'restart = "never"'))
    pid = session.supervisor()
    before = memory(pid)
    time.sleep(1.0)
    assert memory(pid) - before < 40 << 20
    assert session.popen.poll() is None
    session.signal(signal.SIGINT)
    assert session.end() == 0
    assert "ending everything: Ctrl-C" in session.output


def test_nothing_is_lost_to_a_slow_reader(up: Start) -> None:
    session = up(one("seq 100000"))
    time.sleep(0.5)
    assert session.end() == 0
    assert re.findall(r"s +\| (\d+)$", session.output, re.MULTILINE) == [str(number) for number in range(1, 100_001)]


def test_a_reader_that_leaves_ends_it(up: Start) -> None:
    reading, writing = os.pipe()
    session = up(one("while :; do echo line; sleep 0.05; done", ""), stdout=writing)
    os.close(writing)
    subprocess.run(["head", "-n", "3"], stdin=reading, stdout=subprocess.DEVNULL, check=True)
    os.close(reading)
    assert session.end() == 0


@pytest.mark.slow
def test_two_hundred_services_start_and_stop(up: Start) -> None:
    session = up("".join(f'[services.s{number}]\ncommand = "sleep 1000"\n' for number in range(200)))
    session.read_until(r"s199 +\* started")
    assert session.stop() == 0
    assert session.output.count("* started, process") == 200
    assert session.output.count("* stopped, nothing of it is left") == 200

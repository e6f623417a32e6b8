"""What `loopwright up` answers to what cannot be done: clearly, and without trying for ever."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from tests.cli.up_session import Up

    Start = Callable[..., Up]

STOREFRONT = Path(__file__).parents[2] / "examples/storefront"


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("[services.a]\ncommand = 5\n", ["services.a.command: found 5 (a whole number); right would be the program"]),
        ("[services.a]\ncomand = 'x'\n", ["services.a.comand: found an unknown key; right would be command"]),
        ("[services.a]\ncommand = 'x'\ndepends_on = 'a'\n", ["services.a.depends_on", "itself"]),
        (
            "[services.a]\ncommand = 'x'\ndepends_on = 'b'\n[services.b]\ncommand = 'x'\ndepends_on = 'a'\n",
            ["circle", "a -> b -> a"],
        ),
        (
            "[services.a]\ncommand = 'touch started'\ninstances = 'two'\ngrace_period = -1\nrestart = 'often'\n",
            ["instances", "grace_period", "restart", "3 mistakes; nothing was started"],
        ),
    ],
)
def test_a_wrong_file_is_answered_with_every_mistake_and_starts_nothing(
    up: Start, tmp_path: Path, text: str, answers: list[str]
) -> None:
    session = up(text)
    assert session.end() == 2
    errors = session.errors()
    for answer in answers:
        assert answer in errors
    assert "nothing was started" in errors
    assert session.output == ""
    assert not (tmp_path / "started").exists()


def test_a_missing_file_is_named(loopwright: Callable[..., CompletedProcess[str]]) -> None:
    ran = loopwright("up", "nowhere.toml")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("nowhere.toml: found no such file; right would be")


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("command = 'no-such-program'", r"its command 'no-such-program' was not found in any folder of PATH \(.*\)"),
        ("command = './missing'", r"its command './missing' does not exist \(looked for from '.*'\)"),
        ("command = './plain'", r"its command './plain' may not be executed: no permission \(chmod \+x\?\)"),
        (
            "command = './empty'",
            r"its command './empty' is nothing the kernel can run \(a script needs a first line .*\)",
        ),
        ("command = 'true'\nworking_directory = 'nowhere'", r"its working_directory '.*/nowhere' does not exist"),
        ("command = 'true'\nworking_directory = 'plain'", r"its working_directory '.*/plain' is not a directory"),
    ],
)
def test_what_cannot_be_started_is_not_tried_again(up: Start, tmp_path: Path, service: str, reason: str) -> None:
    (tmp_path / "plain").write_text("text")
    (tmp_path / "empty").write_bytes(b"\0\1\2 no program")
    (tmp_path / "empty").chmod(0o755)
    session = up(f"[services.s]\n{service}\nrestart = 'always'\nessential = true\n")
    assert session.end() == 1
    assert re.search(rf"s +\* failed: {reason}; it will not be started again", session.output)
    assert "* started" not in session.output
    assert re.search(r"ended: essential service s failed: its", session.output)


def test_it_does_not_keep_the_others_from_running(up: Start) -> None:
    session = up("[services.missing]\ncommand = 'no-such-program'\n[services.fine]\ncommand = 'sleep 1000'\n")
    session.read_until(r"missing +\* failed: its command")
    session.read_until(r"fine +\* started")
    assert session.stop() == 0


def test_what_depends_on_it_is_not_started_and_says_why(up: Start) -> None:
    session = up("[services.base]\ncommand = 'no-such-program'\n[services.s]\ncommand = 'true'\ndepends_on = 'base'\n")
    assert session.end() == 1
    assert "failed: it depends on base, which failed before it was ever started" in session.output


def test_a_port_already_taken_is_said_in_one_line_by_the_demo_service(up: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        session = up(
            f"""
            [services.web]
            command = ["@python", "{STOREFRONT / "web.py"}"]
            environment = {{ STOREFRONT_PORT = {port}, STOREFRONT_DATA = "{tmp_path / "data"}" }}
            restart = "never"
            essential = true
            """
        )
        assert session.end() == 1
    said = re.findall(r"web +\| (.*)", session.output)
    assert len(said) == 1
    assert str(port) in said[0]
    assert "STOREFRONT_PORT" in said[0]

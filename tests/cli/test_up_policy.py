"""The policy in a file, as the services get it that `loopwright up` starts; and what `check` and `doctor` say of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import factory_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Loopwright
    from tests.cli.up_session import Up

PROGRAM = """
import asyncio, loopwright

async def main():
    loop = asyncio.get_running_loop()
    policy = loopwright.get_event_loop_policy()
    print(type(policy).__name__, "made", type(loop).__module__.partition(".")[0])

loopwright.run(main())
"""

SERVICES = """
[policy]
name = "fair"

[services.all]
command = "@python web.py"
restart = "never"

[services.one]
command = "@python web.py"
restart = "never"
policy = "uvloop; scope=context"

[services.native]
command = "@python web.py"
restart = "never"
policy = { loop = "native", max_tasks = 3 }

[services.own]
command = "@python web.py"
restart = "never"
policy = "uvloop"
environment = { LOOPWRIGHT_POLICY = "threaded" }

[services.wrong]
command = "@python web.py"
restart = "never"
environment = { LOOPWRIGHT_POLICY = "uvlop" }
"""


def test_services_get_the_policy_of_the_file_of_their_own_or_of_their_variables(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    pytest.importorskip("uvloop")
    factory_of("native")  # skips where it cannot run
    (tmp_path / "web.py").write_text(PROGRAM)
    session = up(SERVICES)
    assert session.end() == 1  # the last one's
    assert "| FairEventLoopPolicy made asyncio" in session.output
    assert "| UvloopEventLoopPolicy made uvloop" in session.output
    assert "| ThreadedEventLoopPolicy made asyncio" in session.output
    assert "| EventLoopPolicy made loopwright" in session.output
    told = 'PolicyConfigurationError: LOOPWRIGHT_POLICY: name: found "uvlop"; right would be "uvloop"'
    assert f"| loopwright.errors.{told}" in session.output


def test_the_supervisor_keeps_to_its_own_policy(up: Callable[..., Up], tmp_path: Path) -> None:
    """Also where the variable is wrong: it is the services' to follow, as far as no file says otherwise."""
    (tmp_path / "web.py").write_text(PROGRAM)
    one = '[services.web]\ncommand = "@python web.py"\nrestart = "never"\n'
    session = up(one, environment={"LOOPWRIGHT_POLICY": "loop=no_such_module:Loop; max_tasks=none"})
    assert session.end() == 1
    assert 'LOOPWRIGHT_POLICY: max_tasks: found "none"' in session.output
    session = up(f"policy = 'shared'\n{one}", environment={"LOOPWRIGHT_POLICY": "loop=no_such_module:Loop"})
    assert session.end() == 0
    assert "| SharedEventLoopPolicy made asyncio" in session.output


def test_check_shows_policies_and_all_mistakes_in_them(loopwright: Loopwright, tmp_path: Path) -> None:
    file = tmp_path / "loopwright.toml"
    file.write_text(
        "policy = { max_tasks = 3 }\n[services.web]\ncommand = 'sh'\n[services.db]\ncommand = 'sh'\npolicy = 'fair'"
    )
    done = loopwright("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "\nweb: sh\n  1 instance; always restarted; policy max_tasks=3, "
        "if it asks Loopwright or is run by `loopwright run`\n\n"
        "db: sh\n  1 instance; always restarted; policy fair, if it asks Loopwright or is run by `loopwright run`\n"
    )  # fmt: skip
    file.write_text("policy = { max_tasks = 0 }\n[services.web]\ncommand = 'sh'\npolicy = 'uvlop; scop=thread'")
    done = loopwright("check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "loopwright.toml: policy.max_tasks: found 0 (a whole number); right would be a whole number of 1 or more\n"
        'loopwright.toml: services.web.policy.name: found "uvlop"; right would be "uvloop"\n'
        "loopwright.toml: services.web.policy.scop: found an unknown key; right would be scope\n"
        "3 mistakes; nothing was started\n"
    )


def test_a_policy_in_a_file_cannot_steer_the_terminal(loopwright: Loopwright, tmp_path: Path) -> None:
    file = tmp_path / "loopwright.toml"
    file.write_text('[services.web]\ncommand = "sh"\nenvironment = { LOOPWRIGHT_POLICY = "\\u001b[2J" }')
    assert "\x1b" not in loopwright("check").stdout
    file.write_text('policy = "\\u001b[2J; \\u001b = 1"\n[services.web]\ncommand = "sh"')
    done = loopwright("check")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_doctor_tells_of_a_policy_that_makes_no_loop(loopwright: Loopwright, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import loopwright\nclass Mine(loopwright.EventLoopPolicy):\n    def new_event_loop(self): return None\n"
    )
    done = loopwright("doctor", LOOPWRIGHT_POLICY="mine:Mine", PYTHONPATH=str(tmp_path))
    assert done.stderr == ""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("no  policy "))
    assert "makes no loop: new_event_loop() gave None" in line


def test_doctor_says_what_the_variable_leads_to(loopwright: Loopwright) -> None:
    right = loopwright("doctor", LOOPWRIGHT_POLICY="loop=selector; scope=context")
    assert "ok  policy " in right.stdout
    assert f"which makes {'asyncio.unix_events' if sys.platform != 'win32' else 'asyncio'}" in right.stdout
    wrong = loopwright("doctor", LOOPWRIGHT_POLICY="uvlop; max_tasks=0")
    assert (wrong.returncode, wrong.stderr) == (right.returncode, "")
    (line,) = (line for line in wrong.stdout.splitlines() if line.startswith("no  policy "))
    assert line.endswith(
        'LOOPWRIGHT_POLICY: name: found "uvlop"; right would be "uvloop"; '
        'LOOPWRIGHT_POLICY: max_tasks: found "0"; right would be a whole number of 1 or more'
    )

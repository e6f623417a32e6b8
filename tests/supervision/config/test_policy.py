"""The policy in `loopwright.toml`: for all services, for one, or by a service's own variables."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.supervision.config import Configuration, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Configured = Callable[[str], Configuration]
    Mistakes = Callable[[str], list[Mistake]]

WEB = "[services.web]\ncommand = 'sh'\n"
A_POLICY = 'a policy, as text or as a table: "shared; max_tasks=100", { name = "shared", max_tasks = 100 }'


def policies(configuration: Configuration) -> dict[str, str | None]:
    return {service.name: service.environment.get("LOOPWRIGHT_POLICY") for service in configuration.services}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("policy = 'limited; max_tasks=100'", "limited; max_tasks=100"),
        ("policy = ' limited;max_tasks = 0100 '", "limited; max_tasks=100"),
        ("policy = { name = 'limited', max_tasks = 100 }", "limited; max_tasks=100"),
        (
            "[policy]\nloop = 'selector'\nscope = 'context'\nscheduler = 'fair'\nrules = '3.11'",
            "loop=selector; scope=context; scheduler=fair; rules=3.11",
        ),
        ("[policy]\nloop = 'my.loops:Loop'", "loop=my.loops:Loop"),
        ("[policy]", "default"),
    ],
)
def test_a_policy_for_all_services(configured: Configured, written: str, told: str) -> None:
    configuration = configured(f"{written}\n{WEB}[services.db]\ncommand = 'sh'")
    assert policies(configuration) == {"web": told, "db": told}
    assert configuration.warnings == ()


def test_without_one_nothing_is_said(configured: Configured) -> None:
    assert policies(configured(WEB)) == {"web": None}


def test_the_one_of_a_service_goes_before_that_of_the_file_and_its_own_variables_before_both(
    configured: Configured, tmp_path: Path
) -> None:
    (tmp_path / "own.env").write_text("LOOPWRIGHT_POLICY=shared\n")
    configuration = configured(
        f"""
        policy = "fair"
        {WEB}
        policy = "priority"
        [services.table]
        command = "sh"
        [services.table.policy]
        max_tasks = 3
        [services.file]
        command = "sh"
        [services.own]
        command = "sh"
        policy = "priority"
        environment = {{ LOOPWRIGHT_POLICY = "context", A = "1" }}
        [services.from_file]
        command = "sh"
        env_files = "own.env"
        """
    )
    assert policies(configuration) == {
        "web": "priority",
        "table": "max_tasks=3",
        "file": "fair",
        "own": "context",
        "from_file": "shared",
    }
    (own,) = (service for service in configuration.services if service.name == "own")
    assert own.environment == {"LOOPWRIGHT_POLICY": "context", "A": "1"}


def test_all_mistakes_are_told_with_the_others_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        [policy]
        name = "uvlop"
        max_tasks = "ten"
        max_task = 3
        scheduler = true
        rules = 3.11
        "a b" = 1

        [services.web]
        command = "sh"
        instances = 0
        policy = "limited; ; scop=thread"

        [services.db]
        command = "sh"
        policy = 3
        """
    )
    assert [(each.key, each.found, each.right) for each in found] == [
        ("policy.name", '"uvlop" (a string)', '"uvloop"'),
        ("policy.max_tasks", '"ten" (a string)', "a whole number of 1 or more"),
        ("policy.max_task", "an unknown key", "no such key: max_tasks is there already"),
        (
            "policy.scheduler",
            "true (a boolean)",
            "one of fifo, priority, fair, deadline, or module:attribute for one of your own",
        ),
        ("policy.rules", "3.11 (a number)", '"3.11", in quotes'),
        ('policy."a b"', "an unknown key", "one of name, loop, scope, scheduler, max_tasks, rules"),
        ("services.web.instances", "0 (a whole number)", "a whole number from 1 to 1000"),
        ("services.web.policy.max_tasks", "nothing", 'a whole number of 1 or more, which "limited" is about'),
        ("services.web.policy", "an empty part", 'one semicolon between two parts: "shared; max_tasks=100"'),
        ("services.web.policy.scop", "an unknown key", "scope"),
        ("services.db.policy", "3 (a whole number)", A_POLICY),
    ]


@pytest.mark.parametrize(
    ("text", "found", "right"),
    [
        ("policy = 3", "3 (a whole number)", A_POLICY),
        ("policy = ['uvloop']", '["uvloop"] (a list)', A_POLICY),
        ("policy = true", "true (a boolean)", A_POLICY),
        ("policy = ''", "nothing", 'a name, or key=value: "shared; max_tasks=100"'),
        ("polcy = 'uvloop'", "an unknown key", "policy"),
        ("event_loop = 'uvloop'", "an unknown key", "policy"),
        ("loop = 'uvloop'", "an unknown key", "policy"),
    ],
)
def test_what_is_no_policy(mistakes: Mistakes, text: str, found: str, right: str) -> None:
    (mistake,) = mistakes(f"{text}\n{WEB}")
    assert (mistake.found, mistake.right) == (found, right)
    (mistake,) = mistakes(f"{WEB}{text}")
    assert mistake.key.startswith("services.web.")
    assert (mistake.found, mistake.right) == (found, right)


@pytest.mark.skipif(sys.platform == "win32", reason="there these loops are at home")
def test_a_policy_that_cannot_be_had_here_is_a_warning(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    configuration = configured(
        f"policy = 'proactor'\n{WEB}policy = 'uvloop; scope=shared'\n[services.db]\ncommand='sh'"
    )
    assert policies(configuration) == {"web": "uvloop; scope=shared", "db": "proactor"}
    assert [warning.key for warning in configuration.warnings] == ["policy", "services.web.policy"]
    assert [warning.found.partition(",")[0] for warning in configuration.warnings] == [
        '"proactor"',
        '"uvloop; scope=shared"',
    ]
    assert "pip install uvloop" in configuration.warnings[1].found
    assert configuration.warnings[1].right.startswith("a policy that can be had on the Python of the services")


def test_reading_a_file_imports_nothing_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "loopwright.toml"
    services = "".join(
        f"[services.s{number}]\ncommand='sh'\npolicy='{policy}'\n"
        for number, policy in enumerate(["rloop; scope=shared", "loop=own:Loop", "scheduler=own:Order", "own:Policy"])
    )
    file.write_text(f"policy = 'uvloop'\n{services}")
    (tmp_path / "own.py").write_text("raise SystemExit('imported')")
    program = (
        "import sys; sys.path.insert(0, ''); from loopwright.supervision.config import read; read('loopwright.toml');"
        "assert not {'uvloop', 'rloop', 'own'} & set(sys.modules)"
    )
    ran: Any = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (ran.returncode, ran.stderr) == (0, "")

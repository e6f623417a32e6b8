"""`loopwright check`: reads a configuration file, says what it says, and starts nothing."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from loopwright.cli._file import argument, load
from loopwright.cli._text import safe
from loopwright.policies._config import VARIABLE as POLICY
from loopwright.supervision._spec import RestartRule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loopwright.supervision._spec import RestartPolicy, ServiceSpec

__all__ = ["check"]

RULES = {
    RestartRule.ALWAYS: "always restarted",
    RestartRule.ON_FAILURE: "restarted on failure",
    RestartRule.NEVER: "never restarted",
}


@click.command
@argument
def check(file: Path) -> None:
    """Reads FILE (loopwright.toml if not given; of a folder, the loopwright.toml in it) and starts nothing.

    Prints what services it describes. Exits with 0 if it is right, and with 2 after a list of all its
    mistakes if not. What is right in the file but would not start here, such as a program that is not
    installed, is a warning.
    """
    configuration = load(file)
    services = configuration.services
    processes = sum(service.instances for service in services)
    counts = f"{_count(len(services), 'service')}, {_count(processes, 'process')}"
    click.echo(f"{safe(configuration.name)} ({safe(str(configuration.path))}): {counts}")
    for service in services:
        click.echo()
        click.echo(f"{click.style(service.name, bold=True)}: {safe(shlex.join(service.command))}")
        click.echo(f"  {'; '.join(_traits(service))}")


def _traits(service: ServiceSpec) -> Iterator[str]:
    yield _count(service.instances, "instance")
    yield _restarts(service.restart)
    if service.essential:
        yield "essential"
    if policy := service.environment.get(POLICY):
        yield f"policy {safe(policy)}, if it asks Loopwright or is run by `loopwright run`"
    if service.depends_on:
        yield f"depends on {', '.join(service.depends_on)}"
    if service.restart_on_output:
        yield f"ended as failed on output that matches {_patterns(service.restart_on_output)}"
    if service.tell_on_output:
        yield f"tells of output that matches {_patterns(service.tell_on_output)}"


def _patterns(patterns: tuple[str, ...]) -> str:
    return " or ".join(safe(repr(pattern)) for pattern in patterns)


def _restarts(policy: RestartPolicy) -> str:
    if policy.rule is RestartRule.NEVER or policy.max_restarts is None:
        return RULES[policy.rule]
    return f"{RULES[policy.rule]}, at most {_count(policy.max_restarts, 'time')} in a row"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"

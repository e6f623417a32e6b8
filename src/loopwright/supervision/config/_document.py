"""The schema of `loopwright.toml`: for every key its type, its range, and the words for what would be right.

msgspec checks types and ranges; `Meta.extra["read"]` names the function that first turns what people write
into such a value, and `"each"` and `"name"` those for the values and keys of a free table. No default stands
here: a key that is left out is left out of the dataclass too, whose own default then holds.
"""

from __future__ import annotations

import signal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from loopwright.supervision._spec import RestartRule
from loopwright.supervision.config import _values

__all__ = ["COMMAND", "RULES", "Document", "Policy", "RestartTable", "ServiceTable", "SupervisorTable"]

COMMAND = 'the program and its arguments: ["python", "web.py"] or "python web.py"'

RULES = ", ".join(f'"{rule.value}"' for rule in RestartRule)

Seconds = Annotated[
    float,
    Meta(
        ge=0,
        description='a duration of 0 or more: "10s", "500ms", "1m30s", or a number of seconds',
        extra={"read": _values.seconds},
    ),
]

Patterns = Annotated[
    tuple[str, ...],
    Meta(
        description="a regular expression, as Python has them, or a list of such: ['ERROR|CRITICAL']",
        extra={"read": _values.patterns},
    ),
]

Policy = Annotated[
    str,
    Meta(description='a policy, as text or as a table: "shared; max_tasks=100", { name = "shared", max_tasks = 100 }'),
]


class RestartTable(msgspec.Struct, kw_only=True):
    """`[services.NAME.restart]`; `restart = "…"` is short for a table with only `rule`."""

    rule: Annotated[RestartRule, Meta(description=f"one of {RULES}")] | UnsetType = UNSET
    initial_delay: Seconds | UnsetType = UNSET
    factor: (
        Annotated[float, Meta(ge=1, description="a number of 1 or more, such as 2", extra={"read": _values.number})]
        | UnsetType
    ) = UNSET
    max_delay: Seconds | UnsetType = UNSET
    jitter: (
        Annotated[
            float,
            Meta(ge=0, le=1, description="a number from 0 to 1, such as 0.1", extra={"read": _values.number}),
        ]
        | UnsetType
    ) = UNSET
    healthy_after: Seconds | UnsetType = UNSET
    max_restarts: (
        Annotated[
            int,
            Meta(ge=0, le=1_000_000_000, description="a whole number of 0 or more, or no such key for no limit"),
        ]
        | UnsetType
    ) = UNSET


class ServiceTable(msgspec.Struct, kw_only=True):
    """`[services.NAME]`."""

    command: Annotated[tuple[str, ...], Meta(min_length=1, description=COMMAND, extra={"read": _values.command})]
    working_directory: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description='a path in quotes, from the file\'s own folder: "app"',
                extra={"read": _values.path_text},
            ),
        ]
        | UnsetType
    ) = UNSET
    environment: (
        Annotated[
            dict[str, str],
            Meta(
                description='a table of strings: { PORT = "8080" }',
                extra={"each": _values.text, "name": _values.variable},
            ),
        ]
        | UnsetType
    ) = UNSET
    env_files: (
        Annotated[
            tuple[str, ...],
            Meta(
                description='paths in quotes, from the file\'s own folder: ["web.env"]',
                extra={"read": _values.file_names},
            ),
        ]
        | UnsetType
    ) = UNSET
    instances: Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")] | UnsetType = UNSET
    restart: RestartTable | UnsetType = UNSET
    stop_signal: (
        Annotated[
            signal.Signals,
            Meta(
                description='a signal\'s name or number: "SIGTERM", "INT", 15',
                extra={"read": _values.stop_signal},
            ),
        ]
        | UnsetType
    ) = UNSET
    grace_period: Seconds | UnsetType = UNSET
    essential: Annotated[bool, Meta(description="true or false, without quotes")] | UnsetType = UNSET
    depends_on: (
        Annotated[tuple[str, ...], Meta(description='names of services: ["db"]', extra={"read": _values.names})]
        | UnsetType
    ) = UNSET
    restart_on_output: Patterns | UnsetType = UNSET
    tell_on_output: Patterns | UnsetType = UNSET
    policy: Policy | UnsetType = UNSET


class SupervisorTable(msgspec.Struct, kw_only=True):
    """`[supervisor]`."""

    name: (
        Annotated[str, Meta(description='a name on one line: "storefront"', extra={"read": _values.line})] | UnsetType
    ) = UNSET


class Document(msgspec.Struct, kw_only=True):
    """The whole file."""

    services: dict[str, ServiceTable]
    supervisor: SupervisorTable | UnsetType = UNSET
    policy: Policy | UnsetType = UNSET

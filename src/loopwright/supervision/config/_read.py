"""From a file to a `Configuration`, or to the list of all that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from loopwright._core import Pacing
from loopwright.errors import ConfigurationError
from loopwright.policies._config import VARIABLE as POLICY
from loopwright.supervision._spec import RestartPolicy, ServiceSpec
from loopwright.supervision.config._files import environment_of, text_of
from loopwright.supervision.config._mistakes import LARGEST, Findings, Mistake, Unfit, WrittenFloat, show
from loopwright.supervision.config._relations import check_delays, check_dependencies
from loopwright.supervision.config._startable import check_policy, check_startable
from loopwright.supervision.config._walk import walk

if TYPE_CHECKING:
    import os

__all__ = ["Configuration", "read"]

A_FILE = "a file in TOML with a table [services.NAME] for each service"

#: How tomllib ends its sentences, in every Python there is; `lineno` and `colno` came only with 3.14.
PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)

#: The parts of `[services.NAME.restart]` that are a `Pacing`'s.
PACING = tuple(field.name for field in fields(Pacing))


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration file says."""

    path: Path
    """The file, as it was named."""
    name: str
    """What the whole is called: `name` in `[supervisor]`, else the name of the folder that the file is in."""
    services: tuple[ServiceSpec, ...]
    """In the order of the file; none depends on one that does not exist, and there are no circles. Their
    working directories are absolute, and in their `environment` is what their environment files say, and their
    policy as LOOPWRIGHT_POLICY."""
    warnings: tuple[Mistake, ...] = ()
    """What is no mistake in the file, but would keep a service from starting as things stand on this machine:
    a program or a working directory that is not there, a policy whose loop is not installed."""


def read(path: str | os.PathLike[str]) -> Configuration:
    """Read a configuration file, and the environment files that it names. Starts nothing, changes nothing.

    Raises ConfigurationError with every mistake that was found, each a `Mistake`, in the order of the file;
    nothing else for whatever the file may contain or be. May be called in any thread; it reads files, so not
    in a running loop's.
    """
    path = Path(path)
    findings = Findings(path)
    document = _document(path, findings)
    values = walk(document, findings)
    services: dict[str, Any] = values.get("services", {})
    raw: dict[str, Any] = document["services"] if services else {}
    check_delays(services, raw, findings)
    check_dependencies(services, raw, findings)
    folder = path.absolute().parent
    environments = {name: _environment(name, service, folder, findings) for name, service in services.items()}
    if findings:
        raise ConfigurationError(findings.in_order(document))
    policies = {name: service.pop("policy", values.get("policy")) for name, service in services.items()}
    specs = tuple(
        _spec(name, service, _with_policy(environments[name], policies[name]), folder)
        for name, service in services.items()
    )
    doubts = Findings(path)
    check_policy(("policy",), values.get("policy"), doubts)
    for name, policy in policies.items():
        if "policy" in raw[name]:
            check_policy(("services", name, "policy"), policy, doubts)
    for spec in specs:
        check_startable(spec, doubts)
    # Resolved: of `../loopwright.toml` the folder's name would be `..`. The root folder has no name at all.
    name = values.get("supervisor", {}).get("name") or path.resolve().parent.name or "loopwright"
    return Configuration(path, name, specs, doubts.in_order(document))


def _document(path: Path, findings: Findings) -> dict[str, Any]:
    try:
        text = text_of(path)
    except Unfit as unfit:
        _give_up(findings, "", str(unfit.found), A_FILE)
    try:
        # With a newline at its end, even a mistake in the last line has a line and a column.
        return tomllib.loads(f"{text}\n", parse_float=WrittenFloat)
    except tomllib.TOMLDecodeError as error:
        _give_up(findings, *_syntax(str(error), text))
    except RecursionError:
        _give_up(findings, "", "lists or tables within each other too many times", A_FILE)
    except ValueError as error:  # from int(), which says so of a number with thousands of digits, and where not
        _give_up(
            findings,
            "",
            f"a number that is too long ({error})",
            f"a whole number of 64 bits: up to {LARGEST}",
        )


def _syntax(message: str, text: str) -> tuple[str, str, str]:
    """Key, found and right for what tomllib says of a text that is not TOML."""
    match = PLACE.fullmatch(message)
    what = match["what"] if match else message
    if match is None or match["line"] is None:
        return "end of file", what, "valid TOML (https://toml.io)"
    line = text.split("\n")[int(match["line"]) - 1 : int(match["line"])]
    shown = show(line[0].strip()) if line else "nothing"
    if what == "Invalid value":
        right = 'a value: "text" in quotes, a number, true or false, [a list] or { a = "table" }'
    elif what.startswith(("Cannot overwrite", "Cannot declare")):
        right = "each key and each table once"
    else:
        right = "valid TOML (https://toml.io)"
    return f"line {match['line']}, column {match['column']}", f"{shown} ({what})", right


def _give_up(findings: Findings, place: str, found: str, right: str) -> NoReturn:
    raise ConfigurationError([Mistake(findings.file, place, found, right)]) from None


def _environment(name: str, service: dict[str, Any], folder: Path, findings: Findings) -> dict[str, str]:
    """Later files over earlier ones, and `environment` over them all."""
    where = ("services", name, "env_files")
    own: dict[str, str] = service.get("environment", {})
    result: dict[str, str] = {}
    for file in service.get("env_files", ()):
        result |= environment_of(folder / file, file, lambda found, right: findings.add(where, found, right))
    return result | own


def _with_policy(environment: dict[str, str], policy: str | None) -> dict[str, str]:
    """With what tells a Python program its policy, unless the service's own variables say that already."""
    return environment if policy is None else {POLICY: policy, **environment}


def _spec(name: str, values: dict[str, Any], environment: dict[str, str], folder: Path) -> ServiceSpec:
    """Only what the file says is handed on, so that every default is the dataclass's own."""
    restart = dict(values.get("restart", {}))
    pacing = Pacing(**{part: restart.pop(part) for part in PACING if part in restart})
    rest = {key: value for key, value in values.items() if key not in ("env_files", "restart", "working_directory")}
    return ServiceSpec(
        name=name,
        working_directory=folder / values.get("working_directory", "."),
        restart=RestartPolicy(pacing=pacing, **restart),
        **{**rest, "environment": environment},
    )

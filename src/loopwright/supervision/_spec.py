"""What a service is asked to be: frozen values that are checked when they are made and never change afterwards.

Nothing here starts anything, and nothing here knows of files: `loopwright.supervision.config` reads a TOML file into
these, and a program may as well write them down itself.
"""

from __future__ import annotations

import enum
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright._core import Pacing
from loopwright.supervision._patterns import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Instance", "RestartPolicy", "RestartRule", "ServiceSpec"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class RestartRule(enum.Enum):
    """When a service that ended without being asked to is started again."""

    ALWAYS = "always"
    """However it ended."""
    ON_FAILURE = "on-failure"
    """When it ended by a signal or with a status other than 0."""
    NEVER = "never"
    """Not at all: 0 means finished, anything else failed."""


def _must_be(kind: type, name: str, value: object, right: str) -> None:
    """A frozen value is made in one place and used in another, where a wrong type would be hard to explain."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {right}, not {value!r}")


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When to restart, how fast, and when to stop trying."""

    rule: RestartRule = RestartRule.ALWAYS
    pacing: Pacing = field(default_factory=Pacing)
    healthy_after: float = 10.0
    """Seconds of running after which earlier failures are forgotten and the pacing begins anew."""
    max_restarts: int | None = None
    """Restarts in a row, without a healthy while between them, after which the service has failed; None: no limit."""

    def __post_init__(self) -> None:
        _must_be(RestartRule, "rule", self.rule, "RestartRule.ALWAYS, .ON_FAILURE or .NEVER")
        _must_be(Pacing, "pacing", self.pacing, "a Pacing")
        if not self.healthy_after >= 0:
            raise ValueError(f"healthy_after must be a number of seconds, 0 or more, not {self.healthy_after!r}")
        if self.max_restarts is not None and self.max_restarts < 0:
            raise ValueError(f"max_restarts must be 0 or more, or None for no limit, not {self.max_restarts!r}")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service: a command, and how to keep it.

    TypeError for a value of another type, ValueError for one that cannot be meant. That the names in `depends_on` exist
    and form no cycle is checked where services meet (`loopwright.supervision.start_order`), not here.
    """

    name: str
    """Letters, digits, `-` and `_`, the first a letter or digit."""
    command: tuple[str, ...]
    """The program and its arguments; no shell reads them."""
    working_directory: Path = field(default_factory=Path)
    """Where the program starts; a relative program path is looked up from there (execve(2) after chdir(2))."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own environment, or put over it."""
    instances: int = 1
    """How many of it run side by side; each finds its number, from 1, in LOOPWRIGHT_INSTANCE."""
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it, and everything in its process group, to end."""
    grace_period: float = 10.0
    """Seconds between that signal and SIGKILL."""
    essential: bool = False
    """Whether its failure ends everything, with a non-zero exit status."""
    depends_on: tuple[str, ...] = ()
    """Services of which every instance must have been started before this one is, and which are ended after it."""
    restart_on_output: tuple[str, ...] = ()
    """Regular expressions (of `re`); a line of output in which one is found has the instance ended, as a failure."""
    tell_on_output: tuple[str, ...] = ()
    """Regular expressions; a line of output in which one is found is told as an `OutputMatched` event."""

    def __post_init__(self) -> None:
        _must_be(tuple, "command", self.command, 'a tuple of the program and its arguments: ("python", "web.py")')
        _must_be(tuple, "depends_on", self.depends_on, 'a tuple of names: ("db",)')
        _must_be(RestartPolicy, "restart", self.restart, "a RestartPolicy")
        _must_be(signal.Signals, "stop_signal", self.stop_signal, "a signal.Signals, such as signal.SIGTERM")
        _must_be(Path, "working_directory", self.working_directory, "a pathlib.Path")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a service's name is letters, digits, - and _, not {self.name!r}")
        if not self.command or not self.command[0]:
            raise ValueError(f"service {self.name!r} has no command")
        for part in (*self.command, *self.environment, *self.environment.values()):
            if "\0" in part:
                raise ValueError(f"service {self.name!r}: {part!r} has a null character, which execve(2) cannot pass")
        for key in self.environment:
            if not key or "=" in key:
                raise ValueError(f"service {self.name!r}: {key!r} cannot be the name of an environment variable")
        for option in ("restart_on_output", "tell_on_output"):
            self._check_patterns(option, getattr(self, option))
        if self.instances < 1:
            raise ValueError(f"service {self.name!r} must have 1 instance or more, not {self.instances!r}")
        if not self.grace_period >= 0:
            raise ValueError(
                f"service {self.name!r}: grace_period must be 0 or more seconds, not {self.grace_period!r}"
            )

    def _check_patterns(self, option: str, patterns: tuple[str, ...]) -> None:
        _must_be(tuple, option, patterns, 'a tuple of regular expressions: ("ERROR|CRITICAL",)')
        for pattern in patterns:
            _must_be(str, f"a pattern in {option}", pattern, "text")
            try:
                compiled(pattern)
            except ValueError as error:
                raise ValueError(
                    f"service {self.name!r}: {option} has {pattern!r}, which is no regular expression to use: {error}"
                ) from None

    def each(self) -> tuple[Instance, ...]:
        """Its instances, in order."""
        return tuple(Instance(self, number) for number in range(1, self.instances + 1))


@dataclass(frozen=True, slots=True)
class Instance:
    """One of a service's instances: what a process is started for."""

    spec: ServiceSpec
    number: int
    """From 1 to `spec.instances`."""

    @property
    def name(self) -> str:
        """`web.2` for the second of several; the service's own name where there is just one."""
        return f"{self.spec.name}.{self.number}" if self.spec.instances > 1 else self.spec.name

    def environment(self) -> dict[str, str]:
        """What the process finds in its environment beside the supervisor's own.

        PYTHONUNBUFFERED is set unless the service says otherwise: a Python program whose output is a pipe keeps up
        to 8 KiB of it back, and its last words would be missing when it crashes.
        """
        return {
            "PYTHONUNBUFFERED": "1",
            **self.spec.environment,
            "LOOPWRIGHT_SERVICE": self.spec.name,
            "LOOPWRIGHT_INSTANCE": str(self.number),
        }

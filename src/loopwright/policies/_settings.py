"""What a policy is asked to be, read from text or from a table. Nothing is imported or made here.

Theory of operation. `read()` gives `Settings` and every mistake there is, so that whoever reads a file or a variable
hears of all of them at once, and so that a file can be checked without importing the loops that it names.

- Text is parts with semicolons between them: `key=value`, the first one without `name=` if it is a name. A table has
  the same keys. What is left out is left to the policy's own default.
- No name is written down here. Loops, schedulers, scopes and rules come from where they are made, and the names of
  policies are those of the classes in `_named`; what such a class takes is asked of its signature (`accepted()`). A
  class that sets the loop takes no `loop`, so that `uvloop; loop=selector` is a mistake and not a riddle.
- `module:attribute` stands for something of the program's own. Only its form is looked at here; `_config` imports it.
"""

from __future__ import annotations

import re
import types
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from loopwright._core import scheduler_named, scheduler_names
from loopwright.loops._names import NATIVE, queues_by_itself
from loopwright.loops._native_obstacle import NO_SCHEDULER_YET
from loopwright.policies._setting_values import (
    A_NUMBER,
    KEYS,
    READERS,
    Unfit,
    accepted,
    is_reference,
    key_for,
    kind,
    listed,
    meant,
    show,
    word_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PolicyMistake", "Settings", "read"]

OWN_QUEUE = "loops of {} queue what is ready by themselves"


@dataclass(frozen=True, slots=True)
class PolicyMistake:
    """One thing that is wrong with what says which policy to use; as text, one line."""

    source: str
    """Where it stands: `policy`, or the environment variable `LOOPWRIGHT_POLICY`."""
    key: str
    """`max_tasks`; empty if it is about the whole."""
    found: str
    """What is there, such as `"ten"`; where `right` is empty, all that there is to say."""
    right: str
    """What would be right, such as `a whole number of 1 or more`."""

    def __str__(self) -> str:
        place = f"{self.source}: {_key(self.key)}" if self.key else self.source
        return f"{place}: found {self.found}; right would be {self.right}" if self.right else f"{place}: {self.found}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a policy is asked to be. None is what was left out. As text, what `read()` reads as the same."""

    name: str | None = None
    loop: Any = None
    scope: str | None = None
    scheduler: Any = None
    max_tasks: int | None = None
    rules: str | None = None

    def parts(self) -> dict[str, Any]:
        """What was given, but the name."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: value for key, value in given.items() if value is not None and key != "name"}

    def __str__(self) -> str:
        parts = [f"{key}={_as_text(value)}" for key, value in self.parts().items()]
        return "; ".join(parts if self.name is None else [self.name, *parts])


def read(value: str | Mapping[Any, Any], source: str = "policy") -> tuple[Settings, tuple[PolicyMistake, ...]]:
    """What `value` asks for, and all that is wrong with it, in its order; what is wrong is left out of the first."""
    reader = _Reader(source, textual=isinstance(value, str))
    if isinstance(value, str):
        reader.read_text(value)
    else:
        for key, each in value.items():
            reader.take(key, each)
    return reader.settings(), reader.mistakes()


class _Reader:
    def __init__(self, source: str, *, textual: bool) -> None:
        self._source = source
        self._textual = textual
        self._given: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._found: list[tuple[int, PolicyMistake]] = []
        self._position = 0
        self._positions: dict[str, int] = {}

    def settings(self) -> Settings:
        self._relate()
        if not self._given and not self._found:
            return Settings(name="default")
        return Settings(**self._values)

    def mistakes(self) -> tuple[PolicyMistake, ...]:
        # Each once: there is only one thing to say of any number of empty parts.
        return tuple(dict.fromkeys(mistake for _, mistake in sorted(self._found, key=lambda each: each[0])))

    def read_text(self, text: str) -> None:
        for number, part in enumerate(text.split(";")):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if equals and key:
                self.take(key, value)
                continue
            self._position += 1
            if equals:
                self._note("", f"{show(part.strip())}, which has no key", f"key=value, with one of {listed(KEYS)}")
            elif not key:
                if text.strip():
                    self._note("", "an empty part", 'one semicolon between two parts: "shared; max_tasks=100"')
                else:
                    self._note("", "nothing", 'a name, or key=value: "shared; max_tasks=100"')
            elif number == 0 and key not in KEYS:
                self.take("name", key)
            else:
                self._note("", show(key), key_for(key, self._values.get("name")))

    def take(self, key: Any, value: Any) -> None:
        self._position += 1
        if key not in KEYS:
            self._note(key if isinstance(key, str) else show(key), "an unknown key", meant(key, self._given, value))
        elif key in self._given:
            self._note(key, f"{self._shown(value)} after {self._shown(self._given[key])}", f"{key} once")
        elif value is not None:
            self._given[key], self._positions[key] = value, self._position
            try:
                self._values[key] = READERS[key](value, self._textual)
            except Unfit as unfit:
                self._note(key, unfit.found or self._shown(value), unfit.right)

    def _relate(self) -> None:
        """Holds what the name says already against what else is said."""
        name = self._values.get("name")
        self._position = self._positions.get("name", 0)
        if name is None or is_reference(name):
            self._relate_compiled("")
            return
        may, must = accepted(name)
        for key, value in self._given.items():
            if key not in may and key != "name":
                self._position = self._positions[key]
                found = f"{self._shown(value)}, where {show(name)} says the {key} already"
                self._note(key, found, f"either of the two: no {key}, or no {show(name)}")
        for key in must - self._given.keys():
            self._note(key, "nothing", f"{A_NUMBER}, which {show(name)} is about")
        self._relate_compiled(word_of(name))

    def _relate_compiled(self, word: str) -> None:
        """A compiled loop has a queue of its own, in which nobody else puts anything in order."""
        loop = self._values.get("loop") or word
        whose = queues_by_itself(loop) if loop and not (isinstance(loop, str) and is_reference(loop)) else None
        if whose is None:
            return
        mend = f"no scheduler, or loop=asyncio: {NO_SCHEDULER_YET if whose == NATIVE else OWN_QUEUE.format(whose)}"
        if _reorders(self._values.get("scheduler")):
            self._position = self._positions["scheduler"]
            self._note("scheduler", self._shown(self._given["scheduler"]), mend)
        if _reorders(word):  # "fair; loop=uvloop"
            self._position = self._positions["loop"]
            self._note("loop", self._shown(loop), mend)

    def _note(self, key: str, found: str, right: str) -> None:
        self._found.append((self._position, PolicyMistake(self._source, key, found, right)))

    def _shown(self, value: Any) -> str:
        if self._textual:
            return show(value) if value else "nothing"
        return f"{show(value)} ({kind(value)})"


def _reorders(scheduler: Any) -> bool:
    """Whether this is a scheduler that puts anything in another order than every loop does."""
    if isinstance(scheduler, str):
        return scheduler in scheduler_names() and scheduler_named(scheduler) != scheduler_named(None)
    return scheduler is not None and scheduler != scheduler_named(None)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]{1,60}", key) else show(key)


def _as_text(value: Any) -> str:
    if isinstance(value, type | types.FunctionType):
        return f"{value.__module__}:{value.__qualname__}"
    return str(value)

"""What is wrong in a file, in four parts, and how values from it are shown to the person who wrote them."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Findings", "Mistake", "Unfit", "Where", "WrittenFloat", "dotted", "found", "kind", "show"]

#: The keys that lead to a value, from the top of the document.
Where = tuple[str, ...]

#: How much of a value is shown.
SHOWN = 60
#: A TOML whole number has 64 bits (TOML v1.0.0, "Integer"); Python refuses to print one of 4,301 digits.
LARGEST = 2**63 - 1

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int, of which bool is a kind
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number"),
    (datetime.datetime, "a date and time"),  # before date, likewise
    (datetime.date, "a date"),
    (datetime.time, "a time"),
    (list, "a list"),
    (dict, "a table"),
)


class WrittenFloat(float):
    """A number that remembers how it was written: `1.10` as an environment variable must not become `1.1`."""

    __slots__ = ("written",)

    def __new__(cls, written: str) -> Self:
        self = super().__new__(cls, written)
        self.written = written.replace("_", "")
        return self

    written: str


class Unfit(Exception):  # noqa: N818 - it carries a finding from a check to its caller and never gets further
    """A value cannot be what its key asks for. What is left None is said by the key's own description."""

    def __init__(self, *, found: str | None = None, right: str | None = None) -> None:
        self.found = found
        self.right = right
        super().__init__(found, right)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong; as text, one line."""

    file: Path
    """The configuration file, as it was named by whoever asked for it to be read."""
    key: str
    """`services.web.instances`; where a file is no TOML, `line 3, column 9`; empty for the file itself."""
    found: str
    """What is there, such as `"two" (a string)`."""
    right: str
    """What would be right, such as `a whole number from 1 to 1000`."""

    def __str__(self) -> str:
        place = f"{_printable(str(self.file))}: {self.key}" if self.key else _printable(str(self.file))
        return f"{place}: found {self.found}; right would be {self.right}"


class Findings:
    """Collects mistakes in whatever order the checks meet them, and gives them in the order of the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._all: list[tuple[Where, Mistake]] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, where: Where, found: str, right: str) -> None:
        """Notes that `found` stands at `where` and that `right` should."""
        self._all.append((where, Mistake(self.file, dotted(where), found, right)))

    def in_order(self, document: Mapping[str, object]) -> tuple[Mistake, ...]:
        """All of them, ordered as `document`'s keys are; a missing key comes where its table begins."""
        places: dict[int, dict[str, int]] = {}  # by the identity of the table; `document` keeps them all

        def place(where: Where) -> tuple[int, ...]:
            table: object = document
            numbers: list[int] = []
            for key in where:
                if not isinstance(table, dict) or key not in table:
                    break
                if id(table) not in places:
                    places[id(table)] = {name: number for number, name in enumerate(table)}
                numbers.append(places[id(table)][key])
                table = table[key]
            return tuple(numbers)

        return tuple(mistake for _, mistake in sorted(self._all, key=lambda each: place(each[0])))


def kind(value: object) -> str:
    """What TOML calls such a value: `a string`, `a whole number`, `a table`."""
    return next((word for type_, word in KINDS if isinstance(value, type_)), f"a {type(value).__name__}")


def found(value: object) -> str:
    """The value and its kind: `"two" (a string)`."""
    return f"{show(value)} ({kind(value)})"


def show(value: object, limit: int = SHOWN) -> str:
    """The value as TOML would have it, on one line and not much over `limit` characters."""
    if isinstance(value, str):
        cut = value if len(value) <= limit else f"{value[:limit]}…"
        return _printable(json.dumps(cut, ensure_ascii=False))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        if abs(value) <= LARGEST:
            return str(value)
        return f"more than {LARGEST}" if value > 0 else f"less than -{LARGEST}"
    if isinstance(value, WrittenFloat):
        return value.written if len(value.written) <= limit else f"{value.written[:limit]}…"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{_listed((item, '') for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {_listed((item, f'{dotted((key,))} = ') for key, item in value.items())} }}"
    return str(value)


def _listed(items: Iterable[tuple[object, str]]) -> str:
    """Items behind their prefixes, with commas; an ellipsis for what does not fit and for what is nested."""
    parts: list[str] = []
    for item, prefix in items:
        if sum(map(len, parts)) > SHOWN // 2:
            return f"{', '.join(parts)}, …"
        nested = "[…]" if isinstance(item, list) else "{ … }" if isinstance(item, dict) else None
        parts.append(prefix + (nested or show(item, SHOWN // 2)))
    return ", ".join(parts)


def dotted(where: Where) -> str:
    """The keys as TOML writes them: bare where they may be, else in quotes (TOML v1.0.0, "Keys")."""
    return ".".join(key if BARE_KEY.fullmatch(key) and len(key) <= SHOWN else show(key) for key in where)


def _printable(text: str) -> str:
    """Without line breaks or control characters: a file's content must not be able to steer a terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04X}" for char in text)

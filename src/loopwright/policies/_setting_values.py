"""One value of what says which policy to use: what it may be, and what would be right where it is none of that.

Names come from where they are made. The names of policies are those of the classes in `_named`, and what such a class
takes beside its name is asked of its signature.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from loopwright._core import scheduler_named, scheduler_names
from loopwright.errors import CallerError
from loopwright.loops import loop_factory, loop_names
from loopwright.policies import _named
from loopwright.policies._rules import RULES
from loopwright.policies._scopes import ScopeName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loopwright.policies._policy import EventLoopPolicy

__all__ = [
    "A_NUMBER",
    "KEYS",
    "READERS",
    "Unfit",
    "accepted",
    "is_reference",
    "key_for",
    "kind",
    "listed",
    "meant",
    "named_policies",
    "nearest",
    "plain",
    "show",
    "word_of",
]

#: How much of a value is shown.
SHOWN = 60
LARGEST = 10**18 - 1
REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
A_REFERENCE = "module:attribute for one of your own"
A_NUMBER = "a whole number of 1 or more"
SEMICOLON = 'a semicolon between two parts: "shared; max_tasks=100"'
SCOPES: Final[tuple[str, ...]] = get_args(ScopeName)
KINDS: Final = (
    (bool, "a boolean"),  # before int, of which bool is a kind
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
    (Mapping, "a table"),
)
#: What people may call the same thing.
CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("policy", "type", "kind"),
    "loop": ("event_loop", "loop_factory", "factory"),
    "scheduler": ("schedule", "order", "task_scheduler"),
    "max_tasks": ("max", "limit", "concurrency", "max_concurrency", "tasks"),
    "rules": ("python", "version"),
}


class Unfit(Exception):  # noqa: N818 - it carries a finding from a check to its caller and never gets further
    """A value cannot be what its key asks for. What was found is the value itself, unless it is said."""

    def __init__(self, right: str, found: str | None = None) -> None:
        self.right = right
        self.found = found
        super().__init__(right, found)


# --- one value each


def _read_name(value: Any, _textual: bool) -> str:
    if isinstance(value, str) and (value in {*_names(), *_named.__all__} or is_reference(value)):
        return value
    raise Unfit(nearest(value, _names(), _named.__all__))


def _read_loop(value: Any, textual: bool) -> Any:
    if isinstance(value, str):
        if value in loop_names() or is_reference(value):
            return value
    elif not textual:
        try:
            loop_factory(value)
        except CallerError:
            raise Unfit(nearest(value, loop_names())) from None
        return value
    raise Unfit(nearest(value, loop_names()))


def _read_scheduler(value: Any, textual: bool) -> Any:
    if isinstance(value, str):
        if value in scheduler_names() or is_reference(value):
            return value
    elif not textual:
        try:
            return scheduler_named(value)
        except CallerError:
            raise Unfit(nearest(value, scheduler_names())) from None
    raise Unfit(nearest(value, scheduler_names()))


def _read_scope(value: Any, _textual: bool) -> str:
    if isinstance(value, str) and value in SCOPES:
        return value
    raise Unfit(nearest(value, SCOPES, reference=False))


def _read_max_tasks(value: Any, textual: bool) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]+", value):
        if not textual:
            raise Unfit(f"{A_NUMBER}, without quotes")
        digits = value.lstrip("0") or "0"
        value = int(digits) if len(digits) <= len(str(LARGEST)) else LARGEST + 1  # int() refuses thousands of digits
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit(A_NUMBER)
    if value > LARGEST:
        raise Unfit(f"a whole number from 1 to {LARGEST}, or no max_tasks")
    return value


def _read_rules(value: Any, _textual: bool) -> str:
    if isinstance(value, str) and value in RULES:
        return value
    if isinstance(value, float) and str(value) in RULES:
        raise Unfit(f"{show(str(value))}, in quotes")
    raise Unfit(f"one of {listed(RULES)}")  # none of them nearer to 3.10 than another


READERS: Final[Mapping[str, Callable[[Any, bool], Any]]] = {
    "name": _read_name,
    "loop": _read_loop,
    "scope": _read_scope,
    "scheduler": _read_scheduler,
    "max_tasks": _read_max_tasks,
    "rules": _read_rules,
}
"""For each key what reads its value: given that, and whether it was written in text, where all is a string."""

KEYS: Final = tuple(READERS)


# --- names


def is_reference(value: str) -> bool:
    """Whether this has the form `module:attribute`."""
    return REFERENCE.fullmatch(value) is not None


@functools.cache
def named_policies() -> Mapping[str, type[EventLoopPolicy]]:
    """Every policy that has a name: `uvloop` for UvloopEventLoopPolicy."""
    return {word_of(name): getattr(_named, name) for name in _named.__all__}


def word_of(name: str) -> str:
    return name.removesuffix("EventLoopPolicy").removesuffix("Policy").lower() if name in _named.__all__ else name


@functools.cache
def accepted(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The keys that may stand beside this name, and of those the ones that must."""
    word = word_of(name)
    kind = named_policies().get(word)
    if kind is None:
        return frozenset(KEYS) - {"name", "loop" if word in loop_names() else "scheduler"}, frozenset()
    may, must = set[str](), set[str]()
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            may.add(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                must.add(parameter.name)
        elif (parts := re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))) is not None:
            may |= getattr(sys.modules[kind.__module__], parts[1]).__optional_keys__
    return frozenset(may), frozenset(must)


def _names() -> tuple[str, ...]:
    """What may stand first, each once: policies, then loops and schedulers that no policy is named after."""
    return tuple(dict.fromkeys((*named_policies(), *loop_names(), *scheduler_names())))


# --- words for what was found, and for what would be right


def nearest(value: Any, *names: Iterable[str], reference: bool = True) -> str:
    """What would be right instead of `value`: the nearest name, or the names of the first kind."""
    if isinstance(value, str):
        if "," in value or "=" in value or value.partition(" ")[0] in {name for each in names for name in each}:
            return SEMICOLON
        by_lower = {name.lower(): name for each in names for name in each}
        near = difflib.get_close_matches(value.lower()[:100], by_lower, 1)
        if near:
            return show(by_lower[near[0]])
    return f"one of {listed(names[0])}{f', or {A_REFERENCE}' if reference else ''}"


def meant(key: Any, given: Mapping[str, Any], value: Any = None) -> str:
    if key == "policy" and isinstance(value, Mapping):
        return "its table alone: table['policy']"
    if isinstance(key, str):
        if "," in key or (key.split()[1:] and key.split()[-1] in KEYS):  # "uvloop max_tasks=100"
            return SEMICOLON
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().replace("-", "_").replace(" ", "_")[:100]
        if plain == "child_watcher":
            return "no such key: a watcher is an object, for EventLoopPolicy(child_watcher=...)"
        called = next((ours for ours, theirs in CALLED.items() if plain in theirs), None)
        near = [called] if called else difflib.get_close_matches(plain, KEYS, 1)
        if near:
            return f"no such key: {near[0]} is there already" if near[0] in given else near[0]
    return f"one of {listed(KEYS)}"


def key_for(word: str, name: str | None) -> str:
    """What would be right for a word that stands without a key behind the first part, which is this name or none."""
    if word in KEYS:
        return f"{word} with its value: {word}=…"
    keys = {"scheduler": scheduler_names(), "loop": loop_names(), "scope": SCOPES, "rules": RULES}
    fit = next((key for key, names in keys.items() if word in names), "max_tasks" if word.isdecimal() else None)
    if fit is not None and name is not None and not is_reference(name) and fit not in accepted(name)[0]:
        return f"either of the two: {show(name)} says the {fit} already"
    if fit is not None:
        return show(f"{fit}={word}")
    return f"key=value, with one of {listed(KEYS)}"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def show(value: Any) -> str:
    """The value on one line, without what could steer a terminal, and not much over `SHOWN` characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"{'' if value > 0 else '-'}{LARGEST} and more"
    return plain(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value), SHOWN)


def plain(text: str, longest: int) -> str:
    """Text without what could steer a terminal, and not much over so many characters."""
    text = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04X}" for char in text)


def kind(value: Any) -> str:
    """What TOML calls such a value."""
    return next((word for types, word in KINDS if isinstance(value, types)), f"a {type(value).__name__}")

"""What `get_event_loop()` does where no loop is set: one rule for each generation of Python, as a table.

Source: `BaseDefaultEventLoopPolicy.get_event_loop` in asyncio/events.py of CPython 3.11.7, 3.12.1, 3.13.0,
3.14 and 3.15, and its documentation ("Policies").
"""

from __future__ import annotations

import enum
import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from loopwright.errors import PolicyOptionError
from loopwright.loops._asyncio_private import PYTHON_RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loopwright.loops._asyncio_private import Rules

__all__ = ["RULES", "WithoutLoop", "checked_rules", "stacklevel_outside", "without_loop"]


class WithoutLoop(enum.Enum):
    """What to do when a thread has no loop and asks for one."""

    MAKE = enum.auto()
    """Make one and set it."""
    MAKE_AND_WARN = enum.auto()
    """The same, with a DeprecationWarning."""
    REFUSE = enum.auto()
    """Raise."""


_IN_MAIN_THREAD: Final[Mapping[Rules, WithoutLoop]] = {
    "3.11": WithoutLoop.MAKE,
    "3.12": WithoutLoop.MAKE_AND_WARN,
    "3.14": WithoutLoop.REFUSE,
}


#: Every Python whose rules can be asked for, and the generation that it belongs to.
RULES: Final[Mapping[str, Rules]] = {"3.11": "3.11", "3.12": "3.12", "3.13": "3.12", "3.14": "3.14", "3.15": "3.14"}


def checked_rules(rules: Any) -> Rules:
    """The generation of rules that a Python's version names; for None, the running Python's.

    PolicyOptionError (a ValueError) for anything else, with the nearest that there is.
    """
    if rules is None:
        return PYTHON_RULES
    if isinstance(rules, str) and rules in RULES:
        return RULES[rules]
    near = _nearest(str(rules))
    hint = f"did you mean the string {near!r}? " if near else ""
    raise PolicyOptionError(
        f"rules names the Python whose rules hold where no loop is set, and there are none of {rules!r}; {hint}"
        f"there are: {', '.join(map(repr, RULES))}, and None for those of the running Python"
    )


def _nearest(given: str) -> str | None:
    """By number and not by likeness, by which "3.10" is nearer to "3.15" than to "3.11"."""
    near = next((name for name in RULES if given.replace(".", "").startswith(name.replace(".", ""))), None)
    if near is None and (version := re.fullmatch(r"3\.(\d{1,3})", given)):
        near = min(RULES, key=lambda name: abs(int(name.partition(".")[2]) - int(version[1])))
    return near


def without_loop(rules: Rules, *, main_thread: bool, set_called: bool) -> WithoutLoop:
    """What these rules say for a thread without a loop.

    `set_called` is whether `set_event_loop()` was ever called in the thread: who said None means None.
    """
    if not main_thread or set_called:
        return WithoutLoop.REFUSE
    return _IN_MAIN_THREAD[rules]


def stacklevel_outside() -> int:
    """The `stacklevel` with which the caller's warning blames the first line outside asyncio and ours."""
    level = 1
    frame = inspect.currentframe()
    frame = frame and frame.f_back
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    return level


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in ("asyncio", "loopwright")

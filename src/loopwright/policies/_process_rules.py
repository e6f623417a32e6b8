"""Whose thread rules hold in this process for policies that were given none: the running Python's, unless installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loopwright.loops._asyncio_private import PYTHON_RULES

if TYPE_CHECKING:
    from loopwright.loops._asyncio_private import Rules

__all__ = ["process_rules", "use_process_rules"]

_in_force: Rules = PYTHON_RULES


def process_rules() -> Rules:
    """The rules that hold now."""
    return _in_force


def use_process_rules(rules: Rules) -> Rules:
    """Have these hold from now on; returns the ones that held so far."""
    global _in_force
    before, _in_force = _in_force, rules
    return before

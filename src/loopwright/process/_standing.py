"""What stands above this program to end what it leaves, and what every process is given to be found by.

Only while a keeper or a guard was asked for is anything added to a process that is started: a mark in its environment,
and a cgroup of its own where those can be had. A program without them starts its processes exactly as it says.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from loopwright.process._cgroup import Leaf
from loopwright.process._guarantee import Guarantee
from loopwright.process._proc import MARK, ticks_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NOT_KEPT", "Kept", "Standing", "admit", "current_guarantee", "guarantee_of", "set_standing", "standing"]


@dataclass(slots=True)
class Standing:
    """A keeper or guard that is in force."""

    pid: int
    """Of the keeper or guard."""
    inherits: bool
    """Whether it is a subreaper above this program, so that orphans become its children."""
    lost: Callable[[], bool]
    """Whether it has ended."""
    base: str | None
    """The folder in which trees get cgroups of their own; None where that is not possible."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """What all marks of this program begin with."""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    lingering: set[Leaf] = field(default_factory=set)
    """Leaves that were not empty when their tree was left to itself."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one tree was given to be found by."""

    standing: Standing | None = None
    mark: str | None = None
    leaf: Leaf | None = None
    since: int | None = None
    """Before its first process began, in clock ticks since boot."""
    moved: bool = False
    """Whether its first process was moved into its cgroup when it ran already, and may have left something outside."""

    @property
    def in_force(self) -> bool:
        """Whether the keeper or guard under which it was started still is there."""
        return self.standing is not None and self.standing is _standing and not self.standing.lost()

    def adopt(self, pid: int) -> Kept:
        """Put its first process into its cgroup; without one if that does not work."""
        if self.leaf is not None:
            try:
                self.leaf.adopt(pid)
            except OSError:
                self.leaf.remove()
                return Kept(self.standing, self.mark, None, self.since)
            return replace(self, moved=True)
        return self

    def close(self) -> None:
        """Remove its cgroup, now or, if something is left in it, when the next tree is closed."""
        if self.standing is None or self.leaf is None:
            return
        lingering = self.standing.lingering
        lingering.add(self.leaf)
        for leaf in list(lingering):
            if leaf.remove():
                lingering.discard(leaf)


NOT_KEPT = Kept()

_standing: Standing | None = None


def standing() -> Standing | None:
    """What is in force; None if nothing was asked for, or it was dismissed. It may be lost since."""
    return _standing


def set_standing(new: Standing | None) -> None:
    """Have processes that are started from now on kept so."""
    global _standing  # noqa: PLW0603 - it is the process that is kept
    _standing = new


def guarantee_of(kept: Kept, *, group: bool, namespace: bool = False, death_signal: bool = False) -> Guarantee:
    """The level in force for a tree that was given `kept` to be found by."""
    above = kept.standing if kept.in_force else None
    if namespace:
        return Guarantee.NAMESPACE
    if above is not None and kept.leaf is not None:
        return Guarantee.CGROUP
    if above is not None and above.inherits:
        return Guarantee.SUBREAPER
    if above is not None or death_signal:
        return Guarantee.DEATH_SIGNAL
    return Guarantee.GROUP if group else Guarantee.PROCESS


def current_guarantee() -> Guarantee:
    """The level of what is started now, in a process group of its own and with nothing else asked for."""
    above = _standing
    leaf = Leaf(above.base) if above is not None and above.base is not None else None
    return guarantee_of(Kept(above, leaf=leaf), group=True)


def admit(env: Mapping[Any, Any] | None, *, cgroup: bool = True) -> tuple[Mapping[Any, Any] | None, Kept]:
    """What the environment of a new process is to be, and what its tree will be found by.

    `cgroup=False` for one that is to be in a cgroup of its starter's choice.
    """
    above = _standing
    if above is None or above.lost():
        return env, NOT_KEPT
    since = ticks_now()
    mark = f"{above.token}.{next(above.numbers)}"
    # Trees within trees: whoever looks for an outer one must find what an inner one marked too.
    marks = ":".join(filter(None, (os.environ.get(MARK), above.token, mark)))
    leaf = None
    if above.base is not None and cgroup:
        with contextlib.suppress(OSError):  # a limit on cgroups, say: it is kept without one, and its level says so
            leaf = Leaf.make(above.base, mark)
    given: dict[Any, Any] = dict(os.environ if env is None else env)
    as_bytes = any(isinstance(key, bytes) for key in given)
    given.update({os.fsencode(MARK): os.fsencode(marks)} if as_bytes else {MARK: marks})
    return given, Kept(above, mark, leaf, since)


def _forget() -> None:
    # A forked child is no child of the keeper's program: it starts what it starts without marks of its own.
    set_standing(None)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget)

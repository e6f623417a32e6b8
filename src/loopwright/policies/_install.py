"""`install()` and `uninstall()`: asyncio itself, for the whole process, as it was while it had policies.

Theory of operation. What is done to asyncio is a list of changes, each of one name in one module or class, that is put
together before the first is made. Putting one in its place cannot fail, so that there is no half of an installation;
and as each remembers what stood there before, taking it back is the same list read backwards. Whoever has replaced one
of these names in the meantime holds what stood there for the original, so that restoring beneath him would be undone,
or undo him, at some later time: `uninstall()` looks at all of them first, and refuses.

Rejected: replacing `asyncio.run` and `Runner` (they ask `asyncio.events` for a loop, which is steered, and are what
programs compare and derive from); replacing the module in `sys.modules` (whoever has imported it already has the other
one); acting on import (a library that a program's library imports would change that program).
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright.errors import ArgumentsConflictError, InstallError, LoopRunningError
from loopwright.loops import _asyncio_names as asyncio_names
from loopwright.loops._asyncio_private import install_policy, installed_policy, running_loop
from loopwright.policies._by_rules import BY_RULES, makes_loop
from loopwright.policies._config import policy_from
from loopwright.policies._frameworks import ImportedLater, changes_in, imported_already
from loopwright.policies._low_level import ASKS, OURS
from loopwright.policies._process_rules import use_process_rules
from loopwright.policies._registry import get_event_loop_policy
from loopwright.policies._rules import checked_rules
from loopwright.policies._settings import read
from loopwright.policies._watcher import get_child_watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from loopwright.loops._asyncio_private import PolicyBase, Rules
    from loopwright.policies._config import PolicyLike

__all__ = ["install", "installed", "uninstall"]


@dataclass(frozen=True, slots=True)
class _Installation:
    """What `install()` did, for `uninstall()` to take back."""

    changes: list[tuple[asyncio_names.Change, Any]]
    """Each with what stood there before; those that are made when a module is imported come to it then."""
    finder: ImportedLater
    policy: PolicyBase
    policy_before: PolicyBase | None
    rules_before: Rules


_lock = threading.Lock()
_current: _Installation | None = None


def install(policy: PolicyLike = None, *, rules: str | None = None, names: bool = True) -> None:
    """Have the asyncio of this process obey the current policy, and have its low-level names again.

    From now on until `uninstall()`:

    - `policy` is the policy of the process, as by `set_event_loop_policy()`; it may be anything that `policy_from()`
      understands, such as "uvloop; max_tasks=100". With None, the one that is set stays; where none is, the default one
      is set, as it is after `asyncio.set_event_loop_policy(None)`.
    - `asyncio.run()`, `asyncio.Runner`, `asyncio.new_event_loop()` and what is built on them ask it, on every Python.
    - `rules` ("3.11" to "3.15") says by which Python's rules `get_event_loop()` goes where no loop is set, for every
      policy that does not say so itself, asyncio's and uvloop's included. None: the running Python's.
    - unless `names` is False, `asyncio` has the names that it had in 3.11, in `asyncio`, `asyncio.events` and
      `asyncio.unix_events`: policies, child watchers and their functions, which are Loopwright's and never warn.
      `from asyncio import *` brings them, too.

    Call it before the modules are imported that take names out of asyncio (`from asyncio import ...`), in any thread,
    best before there are others: a thread that asks asyncio in the same moment may still get what was there before.

    InstallError if it is installed already, and LoopRunningError if a loop is running in this thread (both are
    RuntimeErrors); PolicyOptionError (a ValueError) for rules that there are not; the errors of `policy_from()` for a
    policy that there is not; ArgumentsConflictError (a TypeError) for words that say other rules than `rules` does.
    Nothing is changed then.
    """
    global _current  # noqa: PLW0603 - one for the process is what it is for
    with _lock:
        if _current is not None:
            raise InstallError(
                "Loopwright is installed into asyncio already; call uninstall() first,"
                " or set_event_loop_policy() if only the policy is to be another"
            )
        _refuse_running("install()")
        generation = checked_rules(rules)
        said = read(policy)[0].rules if isinstance(policy, str | Mapping) else None
        if None not in (said, rules) and said != rules:
            raise ArgumentsConflictError(f"{policy!r} says rules={said}, and rules={rules!r} is given; leave one out")
        before = installed_policy()
        new = (before or get_event_loop_policy()) if policy is None else policy_from(policy)
        by_rules = {} if rules is None else BY_RULES
        changes = [*asyncio_names.policies_asked(ASKS, by_rules, _init_event_loop_policy), *imported_already()]
        if names:
            changes += asyncio_names.names_back(OURS)
            changes += asyncio_names.watcher_asked(get_child_watcher)
        if rules is not None:
            changes += asyncio_names.rules_changed(makes_loop)
        changes += list(asyncio_names.exported(changes, {*OURS, *ASKS}))
        done: list[tuple[asyncio_names.Change, Any]] = []

        def do(change: asyncio_names.Change) -> None:
            done.append((change, change.now))
            change.put(change.new)

        def imported(module: ModuleType) -> None:
            for change in changes_in(module):
                do(change)

        rules_before = use_process_rules(generation)
        _current = _Installation(done, ImportedLater(imported), new, before, rules_before)
        for change in changes:
            do(change)
        sys.meta_path.insert(0, _current.finder)
        install_policy(new)


def uninstall() -> None:
    """Put back into asyncio everything that `install()` changed, and nothing else.

    The policy that was set before is set again, unless somebody has set another one since: that one stays. No loop is
    closed; `get_event_loop_policy().close()` does that.

    InstallError (a RuntimeError) if it is not installed, or if one of the names was replaced by somebody else since:
    the message says which, and what they put there has to go first. LoopRunningError (a RuntimeError) if a loop is
    running in this thread. Nothing is changed then.
    """
    global _current  # noqa: PLW0603 - see install()
    with _lock:
        if _current is None:
            raise InstallError("Loopwright is not installed into asyncio: call install() first")
        _refuse_running("uninstall()")
        replaced = [change.full_name for change, _ in _current.changes if change.now is not change.new]
        if replaced:
            raise InstallError(
                f"{', '.join(replaced)}: no longer what install() put there; whoever has replaced"
                f" {'it' if len(replaced) == 1 else 'them'} since must put that back before uninstall()"
            )
        # Somebody may have taken it out, as those do who try programs with fresh modules.
        if _current.finder in sys.meta_path:
            sys.meta_path.remove(_current.finder)
        for change, old in reversed(_current.changes):
            change.put(old)
        if installed_policy() is _current.policy:
            install_policy(_current.policy_before)
        use_process_rules(_current.rules_before)
        _current = None


@contextlib.contextmanager
def installed(policy: PolicyLike = None, *, rules: str | None = None, names: bool = True) -> Iterator[PolicyBase]:
    """`install()` for a `with` block and `uninstall()` at its end, with their errors; gives the current policy."""
    install(policy, rules=rules, names=names)
    try:
        yield get_event_loop_policy()
    finally:
        uninstall()


def _refuse_running(what: str) -> None:
    loop = running_loop()
    if loop is not None:
        raise LoopRunningError(f"{what} was called while {loop!r} runs in this thread; call it before or after run()")


def _init_event_loop_policy() -> None:
    """For asyncio, which calls it where no policy is set and expects one to be set afterwards."""
    get_event_loop_policy()

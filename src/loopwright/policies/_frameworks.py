"""What has to be done to others' packages for them to obey the policy, if and when they are imported.

Most need nothing: what ends in `asyncio.run()`, `Runner` or `new_event_loop()` obeys. uvicorn does not ask asyncio
unless it is told to (`loop="none"`): by default it takes uvloop where that is installed, and else a standard loop, from
a function that it looks up in `uvicorn.loops.auto` at each start. That function is replaced; whoever names a loop to
uvicorn gets that one as before.

A module that is not imported yet is not imported for this. A finder before all others waits for it, lets the others
find it, and has the change made when its code has run. Rejected: a module of ours under that name in `sys.modules`,
which would hide all else that a version of uvicorn has there.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from typing import TYPE_CHECKING, Any, Final

from loopwright.loops._asyncio_names import Change
from loopwright.policies._registry import new_event_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

__all__ = ["ImportedLater", "imported_already"]


def _loop_by_policy(use_subprocess: bool = False) -> Callable[[], AbstractEventLoop]:  # noqa: ARG001
    """What makes the loop for a server of uvicorn's, which wants to know since 0.36."""
    return new_event_loop


def _policy_stays(use_subprocess: bool = False) -> None:
    """In place of what set uvloop's policy, up to 0.35."""


_INSTEAD: Final[Mapping[str, Mapping[str, Any]]] = {
    "uvicorn.loops.auto": {"auto_loop_factory": _loop_by_policy, "auto_loop_setup": _policy_stays},
}


def imported_already() -> Iterator[Change]:
    """What is to be changed in those modules that are imported."""
    for name in _INSTEAD:
        if name in sys.modules:
            yield from _changes(sys.modules[name])


def _changes(module: ModuleType) -> Iterator[Change]:
    for name, function in _INSTEAD[module.__name__].items():
        if name in vars(module):  # each version has one of them
            yield Change(module, name, function)


class ImportedLater(importlib.abc.MetaPathFinder):
    """Waits for the other modules: as the first of `sys.meta_path`, calls `do()` with each change to make."""

    def __init__(self, do: Callable[[Change], None]) -> None:
        self._do = do

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What the other finders find, to be changed once it is loaded; None for any other module."""
        if fullname not in _INSTEAD:
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Changing(spec.loader, self._do)
                return spec
        return None


class _Changing(importlib.abc.Loader):
    """A loader that loads as another does, and makes the changes then."""

    def __init__(self, loader: Any, do: Callable[[Change], None]) -> None:
        self._loader = loader
        self._do = do

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The other one's."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run it under its own loader, which it may look at, and make the changes."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for change in _changes(module):
            self._do(change)

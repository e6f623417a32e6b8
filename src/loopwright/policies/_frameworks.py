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
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from types import ModuleType

__all__ = ["ImportedLater", "changes_in", "imported_already"]


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
            yield from changes_in(sys.modules[name])


def changes_in(module: ModuleType) -> Iterator[Change]:
    """What is to be changed in one of them."""
    for name, function in _INSTEAD[module.__name__].items():
        if name in vars(module):  # each version has one of them
            yield Change(module, name, function)


class ImportedLater(importlib.abc.MetaPathFinder):
    """Waits for modules: as the first of `sys.meta_path`, calls `imported(module)` when one of them has been loaded."""

    def __init__(self, imported: Callable[[ModuleType], None], names: Container[str] = _INSTEAD) -> None:
        self._imported = imported
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What the other finders find, to be told of once it is loaded; None for any other module."""
        if fullname not in self._names:
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Telling(spec.loader, self._imported)
                return spec
        return None


class _Telling(importlib.abc.Loader):
    """A loader that loads as another does, and tells of it then."""

    def __init__(self, loader: Any, loaded: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._loaded = loaded

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The other one's."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run it under its own loader, which it may look at."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._loaded(module)

"""`loopwright run`: processes that the program starts by `multiprocessing` get what it got.

Theory of operation. A forked child has it. One by "spawn" or "forkserver" is a new Python, which is told in a dict
(`multiprocessing.spawn.get_preparation_data()`) what the program's `__main__` is, and runs that, under the name
`__mp_main__`, before anything else of the program: by a module's name, with `runpy.run_module()`, or a script's path.
In its place it is told the name of this very module, which does the same as the parent, and then runs the program's:
where that is stands in an environment variable, for nothing else of what the dict may hold is to be seen from there.
Grandchildren follow without further ado, since this module is what their parent takes for its `__main__`.

Rejected: a `.pth` file or a sitecustomize, by which every Python of this environment would be the slower.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import TYPE_CHECKING, Any, Final

from loopwright.policies import install
from loopwright.policies._frameworks import ImportedLater

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["have_children_follow"]

VARIABLE: Final = "LOOPWRIGHT_RUN"
"""Its value is JSON: `legacy`, and `name` or `path` of the program's main module."""

_ITSELF: Final = "loopwright.cli._run_children"
_SPAWN: Final = "multiprocessing.spawn"
_KEYS: Final = {"init_main_from_name": "name", "init_main_from_path": "path"}


def have_children_follow(*, legacy: bool) -> None:
    """See to it that children of `multiprocessing` are installed as this process is, when that comes to be imported."""

    def imported(module: ModuleType) -> None:
        original = vars(module)["get_preparation_data"]

        def get_preparation_data(*args: Any, **kwargs: Any) -> dict[str, Any]:
            data: dict[str, Any] = original(*args, **kwargs)
            main = {_KEYS[key]: data.pop(key) for key in _KEYS if key in data}
            if main:  # none for code from -c and from standard input
                data["init_main_from_name"] = _ITSELF
                os.environ[VARIABLE] = json.dumps(main | {"legacy": legacy})
            return data

        vars(module)["get_preparation_data"] = get_preparation_data

    if _SPAWN in sys.modules:
        imported(sys.modules[_SPAWN])
    else:
        sys.meta_path.insert(0, ImportedLater(imported, (_SPAWN,)))


def _follow() -> None:
    """In such a child: install, and have this module be the program's main one."""
    told = json.loads(os.environ[VARIABLE])
    install(rules="3.11" if told["legacy"] else None, names=told["legacy"])
    if "name" in told:
        content = runpy.run_module(told["name"], run_name="__mp_main__", alter_sys=True)
    else:
        content = runpy.run_path(told["path"], run_name="__mp_main__")
    # The program finds its own names and no others, but for the one by which grandchildren know this module.
    here = globals()
    spec = here["__spec__"]
    here.clear()
    here.update(content, __spec__=spec)


if __name__ == "__mp_main__":
    _follow()

"""Looks at an installed Loopwright:  python -I .ci/try_installed.py compiled|uncompiled bare|whole

Imports every module of it that needs nothing further (`bare`) or all of them (`whole`), without a warning;
checks that what belongs in an installation is there, and that what does not is not.
"""

import importlib
import pkgutil
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import loopwright

NEED_THE_SUPERVISOR_EXTRA = ("loopwright.cli", "loopwright.supervision.config")
COMPILED = ("loopwright._native._core", "loopwright._native._pidfds", "loopwright._native._starts")

built, extent = sys.argv[1:]
home = Path(loopwright.__file__).parent
problems = []

if not home.is_relative_to(sys.prefix):
    problems.append(f"imported from {home}, which is not in {sys.prefix}")
if not (home / "py.typed").is_file():
    problems.append("py.typed is missing")
for name in COMPILED:
    stem = home.joinpath(*name.split(".")[1:])
    if stem.with_suffix(".py").exists():
        problems.append(f"the source of the compiled {name} was installed: it does not run as Python")
    there = any(stem.with_name(stem.name + suffix).exists() for suffix in EXTENSION_SUFFIXES)
    if there != (built == "compiled"):
        problems.append(f"the compiled {name} is {'there' if there else 'missing'}")

modules = ["loopwright"]
# What cannot be imported is listed all the same; whether that is a mistake shows below.
for module in pkgutil.walk_packages([str(home)], "loopwright.", onerror=lambda _: None):
    bare = not module.name.startswith(NEED_THE_SUPERVISOR_EXTRA)
    if (extent == "whole" or bare) and not module.name.endswith("__main__"):
        modules.append(module.name)
for name in modules:
    importlib.import_module(name)

try:
    loopwright.NativeEventLoop().close()
    there = True
except loopwright.errors.LoopUnavailableError:
    there = False
if there != (built == "compiled"):
    problems.append(f"the native event loop is {'there' if there else 'missing'}")

print(f"{len(modules)} modules imported from {home}, {built}, {extent}")
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(bool(problems))

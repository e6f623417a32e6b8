"""`loopwright doctor`: what is in use on this machine, and why."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import resource
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from loopwright import _native
from loopwright._spawning import compiled_obstacle
from loopwright.errors import LoopUnavailableError, PolicyConfigurationError
from loopwright.loops import available_loops
from loopwright.policies import get_event_loop_policy, new_event_loop
from loopwright.process import Guarantee, cgroup_obstacle, keeper_obstacle
from loopwright.watchers import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["doctor"]

#: Descriptors that a program of some size has open beside those of its children.
SPARE = 64


@dataclass(frozen=True, slots=True)
class _Finding:
    """One line: what was looked at, whether it works, and why it does or does not."""

    what: str
    works: bool
    why: str
    needed: bool = False
    """Whether `loopwright up` cannot do without it."""


@click.command
def doctor() -> None:
    """Says what is in use on this machine and why: Python, compiled core, child watchers, loops, policy, keeper.

    Exits with 0 if `loopwright up` works here, with 1 if something that it needs does not.
    """
    findings = list(_findings())
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = (
            click.style("ok", fg="green") if finding.works else click.style("no", fg="red" if finding.needed else None)
        )
        click.echo(f"{mark}  {finding.what:<{width}}  {finding.why}")
    missing = [finding.what for finding in findings if finding.needed and not finding.works]
    if missing:
        click.echo(f"\n`loopwright up` does not work here: it needs {' and '.join(missing)}")
        raise SystemExit(1)


def _findings() -> Iterator[_Finding]:
    yield _Finding("loopwright", True, importlib.metadata.version("loopwright"))
    yield _Finding("python", True, f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}")
    yield _Finding("system", platform.system() == "Linux", _system())
    yield _core()
    yield _starting()
    for mechanism in probe():
        why = f"{mechanism.watcher}: {mechanism.reason}"
        # Starting programs needs a process descriptor of each, whatever else could tell of exits.
        yield _Finding(f"watching by {mechanism.name}", mechanism.works, why, needed=mechanism.name == "pidfd")
    for loop in available_loops():
        yield _Finding(f"loop {loop.name}", loop.available, loop.detail)
    yield _policy()
    yield _keeper()
    yield _level()
    yield _descriptors()


def _system() -> str:
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    elsewhere = "; Linux is where Loopwright is tested, elsewhere it offers the standard loops under its policies"
    return system if platform.system() == "Linux" else f"{system}{elsewhere}"


def _core() -> _Finding:
    if _native.MISSING is None:
        return _Finding("compiled core", True, "in use")
    return _Finding("compiled core", False, f"not in use, plain Python does its work (slower): {_native.MISSING}")


def _starting() -> _Finding:
    obstacle = compiled_obstacle()
    if obstacle is None:
        return _Finding("starting programs", True, "clone3(2) on threads of its own: the loop is not held meanwhile")
    return _Finding("starting programs", False, f"subprocess.Popen does it, and holds the loop meanwhile: {obstacle}")


def _policy() -> _Finding:
    try:
        policy = get_event_loop_policy()
    except (PolicyConfigurationError, LoopUnavailableError) as error:  # of LOOPWRIGHT_POLICY, which they name
        return _Finding("policy", False, "; ".join(str(error).splitlines()))
    try:
        loop: object = new_event_loop()
    except Exception as error:  # noqa: BLE001 - a policy of the program's own, which may fail in any way
        return _Finding("policy", False, f"{policy!r} makes no loop: {type(error).__name__}: {error}")
    if not isinstance(loop, asyncio.AbstractEventLoop):  # a policy is believed until somebody needs the loop
        return _Finding("policy", False, f"{policy!r} makes no loop: new_event_loop() gave {loop!r}")
    made = f"{type(loop).__module__}.{type(loop).__qualname__}"
    loop.close()
    return _Finding("policy", True, f"{policy!r}, which makes {made}")


def _keeper() -> _Finding:
    obstacle = keeper_obstacle()
    if obstacle is None:
        why = "a supervisor that is killed leaves nothing: the keeper above it kills what it started (subreaper)"
        return _Finding("keeper", True, why)
    return _Finding(
        "keeper", False, f"a supervisor that is killed with SIGKILL leaves its services running: {obstacle}"
    )


def _level() -> _Finding:
    """The level at which `loopwright up` ends what a service leaves: docs/design/ending.md."""
    obstacle = cgroup_obstacle()
    if keeper_obstacle() is not None:
        level = Guarantee.GROUP
    else:
        level = Guarantee.CGROUP if obstacle is None else Guarantee.SUBREAPER
    why = f"{level.title}: {level.sentence}"
    if obstacle is not None:
        why = f"{why}; no cgroups: {obstacle}"
    return _Finding("ending a tree", level.proves, why)


def _descriptors() -> _Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _Finding("descriptors", True, "no limit")
    # A service takes its pidfd and the end of its output pipe.
    enough = max(0, soft - SPARE) // 2
    more = (
        f"; `ulimit -n` raises it, to {'any number' if hard == resource.RLIM_INFINITY else hard}"
        if hard != soft
        else ""
    )
    return _Finding("descriptors", enough > 0, f"a limit of {soft}, enough for some {enough} services at once{more}")

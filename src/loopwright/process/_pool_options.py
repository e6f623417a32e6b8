"""What a pool of processes is told when it is made, and whether that is right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loopwright.process._capture import Capture
from loopwright.process._cmd import Cmd, Pipeline
from loopwright.process._options import OF_RUNS, check_options
from loopwright.process._run import check_times, with_input
from loopwright.process._spawn import check_values

if TYPE_CHECKING:
    from loopwright._spawning import Command
    from loopwright.process._options import RunOptions

__all__ = ["checked", "cpus", "grouped", "of_one", "of_spawn", "whole"]

#: Options by which a process gets a group or session of its own, or is told that it should not.
GROUPING = ("start_new_session", "process_group", "pty")


def grouped(options: dict[str, Any]) -> dict[str, Any]:
    """With a session of its own, if nothing is said of that."""
    return options if any(name in options for name in GROUPING) else {**options, "start_new_session": True}


def of_spawn(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that `spawn()` takes."""
    return {name: value for name, value in options.items() if name not in (*OF_RUNS, "ok")}


def of_one(
    args: Command | Cmd, of_pool: Mapping[str, Any], given: Mapping[str, Any], *, runs: bool = True
) -> tuple[Command, dict[str, Any]]:
    """What one call starts, and with which options: the pool's, before them those of a `cmd()`, before them the call's.

    `runs`: whether to take those of `run()`, or only those of `spawn()`.
    """
    if isinstance(args, Pipeline):
        raise TypeError(
            f"a place in a pool is for one process, and `{args}` is a pipeline of {len(args.commands)}: run it by "
            "itself, or each of its commands in the pool"
        )
    own: Mapping[str, Any] = args.options if isinstance(args, Cmd) else {}
    if not runs:
        own = {name: value for name, value in own.items() if name != "ok"}
        check_options("spawn", own, runs=False)
        of_pool = of_spawn(of_pool)
    chosen = grouped({**of_pool, **own, **given})
    return args.started(chosen) if isinstance(args, Cmd) else args, chosen


def cpus() -> int:
    """How many this program may use: as os.process_cpu_count(), which Python has from 3.13 on."""
    counted = getattr(os, "process_cpu_count", None)
    if counted is not None:
        return counted() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, {least} or more, not {value!r}")
    if value < least:
        raise ValueError(f"{name} is a whole number, {least} or more, not {value}")
    return value


def checked(options: RunOptions) -> dict[str, Any]:
    """These options, if they are right by themselves; what can be gone through once only, to be used again."""
    chosen: dict[str, Any] = {**options}
    for name, kind in (("affinity", frozenset), ("extra_groups", tuple), ("pass_fds", tuple)):
        if chosen.get(name) is not None and not isinstance(chosen[name], str):
            chosen[name] = kind(chosen[name])
    limits = chosen.get("rlimits")
    if limits is not None:
        if not isinstance(limits, Mapping):
            raise TypeError(f"rlimits is a dict such as {{resource.RLIMIT_CPU: 10}}, not {limits!r}")
        chosen["rlimits"] = dict(limits)
    check_times(chosen.get("timeout"), chosen.get("linger"))
    Capture(chosen.get("limit"))
    check_values(of_spawn(with_input(chosen, chosen.get("input"))))
    return chosen

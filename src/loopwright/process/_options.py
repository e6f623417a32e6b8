"""The options that everything takes which starts processes, for type checkers; and what is said of those that are none.

The functions that hand options on take them as `**options`, so Python would blame the innermost for a wrong one.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypedDict

from loopwright.process._pipes import PIPE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loopwright.process._spawn import SpawnWatcher

__all__ = [
    "OF_RUNS",
    "BytesOptions",
    "PlainRunOptions",
    "RunOptions",
    "SpawnOptions",
    "TextRunOptions",
    "capturing",
    "check_options",
    "check_seconds",
]

#: What is said to `run()`, and makes no sense for a process that is only started, or a stage of a pipeline.
OF_RUNS = ("input", "timeout", "linger", "limit", "truncate")


class PlainOptions(TypedDict, total=False):
    """The keyword arguments of `spawn()` but for those that make it text mode."""

    stdin: Any
    stdout: Any
    stderr: Any
    bufsize: int
    cwd: str | bytes | os.PathLike[str] | None
    env: Mapping[str, str] | None
    executable: str | bytes | os.PathLike[str] | None
    shell: bool
    start_new_session: bool
    process_group: int | None
    pass_fds: Sequence[int]
    close_fds: bool
    restore_signals: bool
    user: str | int | None
    group: str | int | None
    extra_groups: Sequence[str | int] | None
    umask: int
    preexec_fn: Callable[[], object] | None
    pipesize: int
    parent_death_signal: int | None
    rlimits: Mapping[int, int | tuple[int, int]] | None
    cgroup: str | bytes | os.PathLike[str] | None
    pty: bool | tuple[int, int]
    nice: int | None
    affinity: Iterable[int] | None
    pid_namespace: bool
    watcher: SpawnWatcher | None


class BytesOptions(PlainOptions, total=False):
    """The keyword arguments of `spawn()` but for those that a type checker tells text mode by."""

    errors: str | None
    universal_newlines: bool | None


class SpawnOptions(BytesOptions, total=False):
    """The keyword arguments of `spawn()`; a test keeps the two alike."""

    text: bool | None
    encoding: str | None


class OnlyRunOptions(TypedDict, total=False):
    """The keyword arguments of `run()` that say what is done with the process."""

    input: Any
    timeout: float | None
    linger: float | None
    limit: int | None
    truncate: bool
    ok: Collection[int]


class RunOptions(SpawnOptions, OnlyRunOptions, total=False):
    """The keyword arguments of `run()`: those of `spawn()`, and what is done with the process."""


class TextRunOptions(BytesOptions, OnlyRunOptions, total=False):
    """Those of `run()` where `text` or `encoding` are told apart."""


class PlainRunOptions(PlainOptions, OnlyRunOptions, total=False):
    """Those of `run()` where it is told that all is bytes."""


SPAWN_NAMES = frozenset(SpawnOptions.__annotations__)
RUN_NAMES = frozenset(RunOptions.__annotations__)

#: What other functions take that start programs, and what does the same here.
ELSEWHERE = {
    "capture_output": "output and errors are captured already by run() and check(); stdout=None leaves them alone",
    "check": "check() in place of run() raises for a failure, and so does awaiting a cmd(...)",
    "creationflags": "that is of Windows alone",
    "limit": "run() and check() take it: how many bytes are kept",
    "startupinfo": "that is of Windows alone",
    "timeout": "run(), check(), lines() and wait() take it",
}


def check_options(function: str, given: Mapping[str, Any], *, runs: bool = True) -> None:
    """TypeError for keyword arguments that there are not, which names the function, and the nearest one that there is.

    `runs`: whether those of `run()` are right too, or only those of `spawn()`.
    """
    known = RUN_NAMES if runs else SPAWN_NAMES
    if runs and "ok" in given:
        check_codes(given["ok"])
    if given.keys() <= known:
        return
    name = next(name for name in given if name not in known)
    near = difflib.get_close_matches(name, sorted(known), 1)
    hint = f": {ELSEWHERE[name]}" if name in ELSEWHERE else f"; did you mean {near[0]}=?" if near else ""
    raise TypeError(f"{function}() takes no keyword argument {name!r}{hint}")


def check_codes(value: Any) -> None:
    """TypeError for what are no exit codes. None is right, and means 0."""
    codes = () if value is None else value
    if not isinstance(codes, Collection) or not all(isinstance(code, int) for code in codes):
        raise TypeError(f"ok is a collection of exit codes that are no failure, such as (0, 1), not {value!r}")


def check_seconds(name: str, value: Any) -> None:
    """TypeError for what is no number, ValueError for one that is no length of time. None is right."""
    if value is None:
        return
    if isinstance(value, datetime.timedelta):
        raise TypeError(f"{name} is a number of seconds, not {value!r}: give its total_seconds()")
    try:
        value + 0.0
    except TypeError:
        raise TypeError(f"{name} is a number of seconds, not {value!r}") from None
    if not value >= 0:  # this way round for the sake of what is not a number
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")


def capturing(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """These options, with a pipe for each stream that they say nothing of; on a terminal there is nothing to say."""
    return dict(options) if options.get("pty") else {**dict.fromkeys(names, PIPE), **options}

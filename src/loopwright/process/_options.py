"""The options that everything takes which starts processes, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from loopwright.process._spawn import SpawnWatcher

__all__ = ["BytesOptions", "RunOptions", "SpawnOptions"]


class BytesOptions(TypedDict, total=False):
    """The keyword arguments of `spawn()` but for those that a type checker tells text mode by."""

    stdin: Any
    stdout: Any
    stderr: Any
    errors: str | None
    universal_newlines: bool | None
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


class SpawnOptions(BytesOptions, total=False):
    """The keyword arguments of `spawn()`; a test keeps the two alike."""

    text: bool | None
    encoding: str | None


class RunOptions(SpawnOptions, total=False):
    """The keyword arguments of `run()`: those of `spawn()`, and what is done with the process."""

    input: Any
    timeout: float | None
    linger: float | None
    limit: int | None
    truncate: bool
    ok: Collection[int]

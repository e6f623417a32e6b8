"""Starting a child process from an event loop.

Theory of operation. What can wait or fail comes before the child exists: its pipes are made, and this side's ends
joined to the loop, first. Then the child is started and watched in one step without an await in between, so there
is no point at which a cancellation could leave a child that nobody knows of. Whatever fails, the descriptors made on
the way are closed and a child that was started is killed and reaped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from loopwright import _spawning
from loopwright._core import ExitStatus
from loopwright.process._pipes import PIPE, Pipes
from loopwright.process._process import Process
from loopwright.process._standing import admit
from loopwright.watchers import PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loopwright._spawning import Command

__all__ = ["DEVNULL", "PIPE", "STDOUT", "spawn"]

STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL

#: Of our own, so that no program that closes or replaces the watcher it sees can make `wait()` hang.
_exits = PidfdChildWatcher()


async def spawn(
    args: Command,
    *,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    cwd: str | bytes | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    executable: str | bytes | os.PathLike[str] | None = None,
    shell: bool = False,
    start_new_session: bool = False,
    process_group: int | None = None,
    pass_fds: Sequence[int] = (),
    close_fds: bool = True,
    restore_signals: bool = True,
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Sequence[str | int] | None = None,
    umask: int = -1,
    preexec_fn: Callable[[], object] | None = None,
) -> Process:
    """Start a program and give its `Process`.

    The arguments are those of `subprocess.Popen` and mean the same. `stdin`, `stdout` and `stderr` take None
    (inherited), a descriptor or file, DEVNULL, or PIPE; `stderr` also STDOUT. With PIPE the process object has an
    `asyncio.StreamWriter` for its input and an `asyncio.StreamReader` for its output.

    Must be called in a coroutine; the process belongs to the running loop, which may be any that has `add_reader`
    (asyncio's selector loop, uvloop). Raises what Popen raises, FileNotFoundError with the missing program's or
    directory's name in `filename` above all; ValueError for empty `args`; MechanismUnavailableError where no
    way of watching works on this machine. Nothing is left over when it raises: no child, no descriptor.
    """
    loop = asyncio.get_running_loop()
    if isinstance(args, (list, tuple)) and not args:
        raise ValueError(f"args must begin with the program to start, and is {args!r}")
    options: dict[str, Any] = {
        "cwd": cwd,
        "env": env,
        "executable": executable,
        "shell": shell,
        "start_new_session": start_new_session,
        "process_group": process_group,
        "pass_fds": pass_fds,
        "close_fds": close_fds,
        "restore_signals": restore_signals,
        "user": user,
        "group": group,
        "extra_groups": extra_groups,
        "umask": umask,
        "preexec_fn": preexec_fn,
    }
    async with contextlib.AsyncExitStack() as undo:
        with contextlib.ExitStack() as childs_ends:
            pipes = Pipes(loop, undo, childs_ends)
            options["stdin"], writer = await pipes.for_writing(stdin)
            options["stdout"], reader = await pipes.for_reading(stdout)
            options["stderr"], error_reader = await pipes.for_reading(stderr)
            options["env"], kept = admit(env)
            try:
                child = _launch(args, options)
            except BaseException:
                kept.close()
                raise
            process = Process(child, args, loop, writer, reader, error_reader, pipes.made)
            process._ending.kept = kept.adopt(child.pid)
            if child.status is not None:
                process._on_exit(child.status)
            else:
                _watch(child, process)
        undo.pop_all()
    return process


def _launch(args: Command, options: dict[str, Any]) -> _spawning.Child:
    try:
        return _spawning.launch(args, options)
    except FileNotFoundError as error:
        if isinstance(args, str) and " " in args and not options["shell"]:
            error.add_note(
                f"a string is the name of a program as a whole; with arguments give a list: {args.split()!r}"
            )
        raise


def _watch(child: _spawning.Child, process: Process) -> None:
    try:
        _exits.watch_child(child, process._on_exit)
    except BaseException:
        _abandon(child)
        raise


def _abandon(child: _spawning.Child) -> None:
    """A child that cannot be watched must not be left running."""
    child.send_signal(signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    child.note_exit(ExitStatus(None, signal.SIGKILL))

"""From a request to a running child with its pidfd.

For now the standard library's `subprocess.Popen` does the starting, in the calling thread: about a millisecond, more
with many descriptors open (what it costs, and what takes its place, is in docs/design/spawning.md). Everything above
sees only the `Child`, so that can change without anybody moving.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright._core import StatusLost
from loopwright._spawning._ledger import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Command", "launch"]


Program: TypeAlias = "str | bytes | os.PathLike[str]"
Command: TypeAlias = "Program | Sequence[Program]"
"""A program with its arguments; alone, as in `subprocess.Popen`, the program's name (or a shell's line)."""


def launch(args: Command, options: dict[str, Any]) -> Child:
    """Start a program; `options` are `subprocess.Popen`'s, with descriptors (or None, DEVNULL) for its three streams.

    Raises what Popen raises: FileNotFoundError, PermissionError, NotADirectoryError (`filename` says whether it is the
    program or the working directory), OSError for no memory, processes or descriptors left, ValueError for arguments
    with a null character. OSError (EMFILE) too if there is no descriptor left for its pidfd: the child is then killed,
    for what cannot be watched must not be left running. A child that something else has reaped by then (SIGCHLD is
    ignored, or another thread waits for any child) comes with its status noted as lost.
    """
    popen = subprocess.Popen(args, **options)
    group = bool(options.get("start_new_session")) or options.get("process_group") == 0
    try:
        pidfd = os.pidfd_open(popen.pid)
    except ProcessLookupError:
        # It ran, so this is no failure to start it: who was told so might start it twice.
        child = Child(popen.pid, -1, group=group, popen=popen)
        child.note_exit(
            StatusLost("it ended at once, and something else in this program reaped it before we could look")
        )
        return child
    except OSError:
        popen.kill()
        popen.wait()
        raise
    return Child(popen.pid, pidfd, group=group, popen=popen)

"""From a request to a running child with its pidfd.

For now the standard library's `subprocess.Popen` does the starting, in the calling thread: about a millisecond, more
with many descriptors open (what it costs, and what takes its place, is in docs/design/spawning.md). Everything above
sees only the `Child`, so that can change without anybody moving.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

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
    for what cannot be watched must not be left running.
    """
    popen = subprocess.Popen(args, **options)
    try:
        pidfd = os.pidfd_open(popen.pid)
    except OSError:
        popen.kill()
        popen.wait()
        raise
    group = bool(options.get("start_new_session")) or options.get("process_group") == 0
    return Child(popen.pid, pidfd, group=group, popen=popen)

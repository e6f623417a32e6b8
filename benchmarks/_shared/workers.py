"""The sides' processes: each takes a command a line and answers with a line.

Theory of operation. A side is measured in a process of its own, so that the memory, descriptors, children and garbage
of one do not weigh on another, and one that falls over does not take the run along. All of them stay while the rounds
go on; who is not asked sits in a blocking read and costs nothing.

A worker leads a session of its own, and everything that it starts is in its group. At the end the group is killed, and
this process, as its subreaper (prctl(2)), reaps the orphans: there may be ten thousand of them, and a container's first
process often reaps nobody. If this process dies first, a worker reads the end of its input and kills its own group.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

PR_SET_CHILD_SUBREAPER = 36
#: Seconds in which a command is to be answered, unless it is said otherwise.
PATIENCE = 120.0


class FailedError(Exception):
    """A side cannot do a row, and why."""


class TooSlowError(FailedError):
    """A side was not done in time."""


def prepare() -> None:
    """Once, before the first worker: adopt orphans, and raise the limits on descriptors and processes."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (hard, hard))


class Worker:
    """One side's process."""

    def __init__(self, command: Sequence[str], cpus: set[int] | None = None) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._rest = b""
        if cpus is not None:  # long before it has threads or children, which inherit it
            os.sched_setaffinity(self._process.pid, cpus)

    def ask(self, *words: object, patience: float = PATIENCE) -> dict[str, Any]:
        """Have a command carried out. FailedError with what the side says; TooSlowError, after which it is gone."""
        assert self._process.stdin is not None
        if self._process.returncode is not None:
            raise FailedError("its process ended")
        try:
            self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._line(time.monotonic() + patience)
        except TimeoutError:
            self.end()
            raise TooSlowError(f"not done in {patience:g} s") from None
        except (BrokenPipeError, EOFError):
            self.end()
            raise FailedError("its process ended") from None
        verdict, _, rest = answer.partition(" ")
        if verdict != "ok":
            raise FailedError(rest)
        return json.loads(rest)

    def _line(self, until: float) -> str:
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([number], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            block = os.read(number, 1 << 20)
            if not block:
                raise EOFError
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def end(self) -> None:
        """Kill it with all that it started, and reap them all. Idempotent."""
        if self._process.returncode is not None:
            return
        group = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        # Its children become ours before its own end is to be seen, so this misses none.
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-group, 0)
        self._process.returncode = -signal.SIGKILL
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

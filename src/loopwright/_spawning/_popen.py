"""The way to start a program that needs nothing compiled: `subprocess.Popen`, and the rest around it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from typing import TYPE_CHECKING, Any

from loopwright._core import StatusLost
from loopwright._spawning._ledger import Child
from loopwright._spawning._request import INHERITED, NULL, UNLIMITED
from loopwright.errors import MechanismUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright._spawning._request import Request

__all__ = ["launch_plain"]

PR_SET_PDEATHSIG = 1  # prctl(2)
TIOCSCTTY = 0x540E  # ioctl_tty(2); Python's termios has it, where it was built


def launch_plain(request: Request) -> Child:
    """Start a program in the calling thread.

    Raises what Popen raises: FileNotFoundError, PermissionError, NotADirectoryError (`filename` says whether it is the
    program or the working directory), OSError for no memory, processes or descriptors left, ValueError for arguments
    with a null character. A child that something else has reaped by then (SIGCHLD is ignored, or another thread waits
    for any child) comes with its status noted as lost.
    """
    if request.pid_namespace:
        raise MechanismUnavailableError("pid_namespace=True needs the compiled way of starting programs, clone3(2)")
    if request.parent_death_signal is not None:
        raise MechanismUnavailableError(
            "parent_death_signal= needs the compiled way of starting programs: the signal is sent when the thread that "
            "started the child ends, and only that way has threads that never do"
        )
    popen = subprocess.Popen(
        request.args,
        stdin=_stream(request.streams[0]),
        stdout=_stream(request.streams[1]),
        stderr=_stream(request.streams[2]),
        executable=request.executable,
        shell=request.shell,
        cwd=request.cwd,
        env=request.env,
        start_new_session=request.start_new_session,
        process_group=None if request.start_new_session else request.process_group,
        pass_fds=tuple(request.pass_fds) or (_any_stream() if request.close_fds else ()),
        close_fds=request.close_fds,
        restore_signals=request.restore_signals,
        user=request.user,
        group=request.group,
        extra_groups=request.extra_groups,
        umask=request.umask,
        preexec_fn=_in_child(request),  # noqa: PLW1509 - asked for, or there is no other way here
    )
    made = functools.partial(Child, popen.pid, group=request.leads_group, popen=popen)
    try:
        return made(os.pidfd_open(popen.pid))
    except ProcessLookupError:
        # It ran, so this is no failure to start it: who was told so might start it twice.
        child = made(-1)
        child.note_exit(
            StatusLost("it ended at once, and something else in this program reaped it before we could look")
        )
        return child
    except OSError:
        # Refused (ENOSYS, EPERM), or no descriptor is left for it. It is our child and unreaped, so its pid will do.
        return made(-1)


def _any_stream() -> tuple[int, ...]:
    """A standard stream, which the child has in any case, to be passed on by name.

    It keeps Popen (3.13) from posix_spawn(), which is slower here, and which the C library makes from clone3(2): where
    a filter refuses that with EPERM, nothing could be started at all.
    """
    for number in range(3):
        with contextlib.suppress(OSError):  # closed
            os.fstat(number)
            return (number,)
    return ()


def _stream(number: int) -> int | None:
    return {INHERITED: None, NULL: subprocess.DEVNULL}.get(number, number)


def _in_child(request: Request) -> Callable[[], object] | None:
    """What is left to be done between fork and exec, as Popen's `preexec_fn`, with all its hazards."""
    steps: list[Callable[[], object]] = []
    if request.cgroup is not None:
        members = os.fsencode(request.cgroup) + b"/cgroup.procs"
        steps.append(functools.partial(_write, members, b"0"))
    if request.terminal:
        steps.append(_take_terminal)
    if request.nice is not None:
        steps.append(functools.partial(os.setpriority, os.PRIO_PROCESS, 0, request.nice))
    if request.affinity is not None:
        steps.append(functools.partial(os.sched_setaffinity, 0, set(request.affinity)))
    if (limits := request.limits()) is not None:
        steps.append(functools.partial(_set_limits, limits))
    if request.preexec_fn is not None:
        steps.append(request.preexec_fn)
    if not steps:
        return None

    def take_steps() -> None:
        for step in steps:
            step()

    return take_steps


def _set_limits(limits: tuple[tuple[int, int, int], ...]) -> None:
    import resource  # Unix's alone

    for which, soft, hard in limits:
        infinity = resource.RLIM_INFINITY  # -1, where the kernel has all ones
        resource.setrlimit(which, (infinity if soft == UNLIMITED else soft, infinity if hard == UNLIMITED else hard))


def _take_terminal() -> None:
    import fcntl

    fcntl.ioctl(0, TIOCSCTTY, 0)


def _write(path: Any, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY)
    with contextlib.closing(os.fdopen(number, "wb", buffering=0)) as file:
        file.write(data)

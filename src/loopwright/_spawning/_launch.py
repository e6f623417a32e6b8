"""From a request to a child, with its pidfd or, if it has ended before its loop was told of it, its status.

Theory of operation. There are two ways. The compiled one (`_native._starts`) makes the child with clone3(2), on a
thread of its own, at a cost that grows neither with this program's memory nor with its descriptors nor with its
children. The plain one (`_popen`) is `subprocess.Popen` with the rest done around it; it is for machines where the
other was not built or is refused by the kernel or a seccomp filter, and for `preexec_fn=`, which is Python to be run
in the child.

`order()` says which way a request goes. What a start came to is read by `taken()`, which gives the `Child`, or raises
what `subprocess.Popen` would have raised.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING

from loopwright import _native
from loopwright._spawning._ledger import Child, starting
from loopwright._spawning._popen import launch_plain
from loopwright._spawning._request import INHERITED
from loopwright.errors import MechanismUnavailableError

if TYPE_CHECKING:
    from typing import Any

    from loopwright._native import Start
    from loopwright._spawning._request import Request

__all__ = ["compiled_obstacle", "launch", "numbers_taken", "order", "start_here", "taken"]

#: What a kernel, or a filter in front of it, says that does not know or will not do what the compiled way asks.
REFUSED = frozenset((errno.ENOSYS, errno.EPERM, errno.EINVAL))

NO_LASTING_THREAD = (
    "parent_death_signal= is sent when the thread that started the child ends, so it is not started in the calling one"
)

_obstacle: str | None = None

if _native.Start is not None:
    from loopwright._native import _starts

    PLAIN_FLAGS = _starts.CLOSE_FDS | _starts.RESTORE_SIGNALS

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_starts.forget_all)


def compiled_obstacle() -> str | None:
    """Why programs are started the plain way; None if they are not, as far as was seen."""
    if _native.Start is None:
        return _native.MISSING
    if not _starts.CAN_CLONE:
        return f"clone3(2) is used on Linux on x86-64 and AArch64, and this is {' '.join(os.uname()[::4])}"
    return _obstacle or _try()


@functools.cache
def _try() -> str | None:
    """Start a child that has no program to become, once: it gets as far as that where all that it needs works."""
    start = _native.Start((), (), (), None, (INHERITED, INHERITED, INHERITED), _starts.CLOSE_FDS, (), None)
    start.run()
    return _refusal(start) if start.error in REFUSED else None


def _refusal(start: Start) -> str:
    stage, reason = _starts.STAGES[start.stage], os.strerror(start.error)
    return f"the kernel, or a filter in front of it, will not {stage} the compiled way: {reason}"


def order(request: Request, *, settle_late: bool = False) -> Start | None:
    """The start of a request by the compiled way; None if it goes the plain one. Raises for bad requests.

    With `settle_late` a worker may make it without a process descriptor, and it is asked when its loop is told of it
    whether it has ended; not if it has a group or a namespace whose number is its pid.
    """
    start = _plain_order(request, settle_late=settle_late)
    if start is not None:
        return start
    request.check()
    argv, name = request.command()
    programs, environment, folder = request.programs(name), request.environment(), request.folder()
    extras = flags = None
    if request.has_extras:
        flags, extras = _extras(request)
    if request.preexec_fn is not None or compiled_obstacle() is not None:
        return None
    flags = flags or 0
    if request.close_fds:
        flags |= _starts.CLOSE_FDS
    if request.restore_signals:
        flags |= _starts.RESTORE_SIGNALS
    if request.start_new_session:
        flags |= _starts.NEW_SESSION
    if settle_late and not request.leads_group and not request.pid_namespace:
        flags |= _starts.SETTLE_LATE
    keep = tuple(sorted(set(request.pass_fds))) if request.pass_fds else ()
    return _native.Start(programs, argv, environment, folder, request.streams, flags, keep, extras)


def start_here(request: Request) -> Child | None:
    """Start a plain request in the calling thread, at once; raises as `taken()`.

    None where that is not to be had, or the request is wrong: `order()` says which.
    """
    start = _plain_order(request)
    if start is None:
        return None
    with starting:
        start.run()
        return taken(start, request)


def _plain_order(request: Request, *, settle_late: bool = False) -> Start | None:
    """Nothing but words: the commonest case, and the one in which what goes before a start is felt. None for all else,
    and for a mistake, which is explained elsewhere."""
    if not request.is_plain or compiled_obstacle() is not None:
        return None
    words: Any = request.args
    try:
        name = words[0]
        programs = None if type(name) is str and "/" in name else request.programs(os.fsencode(name))
        flags = PLAIN_FLAGS | _starts.SETTLE_LATE if settle_late else PLAIN_FLAGS
        return _native.Start(programs, words, None, None, request.streams, flags, (), None)
    except (IndexError, TypeError, ValueError):
        return None


def _extras(request: Request) -> tuple[int, Any]:
    """What most requests have none of, with the flags that go with it."""
    flags = 0
    uid, gid, groups = request.credentials()
    death_signal, limits, cpus = request.death_signal(), request.limits(), request.cpus()
    if _native.Start is None:
        return 0, None
    if uid is not None or gid is not None or groups is not None:
        flags |= _starts.COPY_MEMORY
    if request.terminal:
        flags |= _starts.TAKE_TERMINAL
    if request.pid_namespace:
        flags |= _starts.NEW_PID_NAMESPACE
    return flags, (
        # A session's leader has a group of its own already, and may not be given one (setpgid(2)).
        None if request.start_new_session else request.process_group,
        request.umask if request.umask >= 0 else None,
        request.nice,
        death_signal,
        None if request.cgroup is None else request.cgroup_number,
        uid,
        gid,
        groups,
        limits,
        cpus,
    )


def numbers_taken(start: Start, request: Request) -> tuple[int, int] | None:
    """As `taken()`, but the (pid, pidfd) of a child that whoever asks will reap: it does not come into the ledger."""
    if start.error:
        _fail(start, request)
        return None
    return start.take()[:2]


def taken(start: Start, request: Request) -> Child | None:
    """The child of a start that is done; None if the kernel refused this way of starting, now and for ever.

    Raises what `subprocess.Popen` would: an OSError of the kind that its errno names, with the program's name in
    `filename`, or the working directory's if it was that which failed.
    """
    if start.error:
        _fail(start, request)
        return None
    pid, pidfd, status = start.take()
    if request.is_plain:
        return Child(pid, pidfd, status=status, taken=start.was_reaped)
    return Child(
        pid,
        pidfd,
        group=request.leads_group,
        namespace=request.pid_namespace,
        death_signal=request.parent_death_signal,
        status=status,
        taken=start.was_reaped,
    )


def _fail(start: Start, request: Request) -> None:
    global _obstacle  # noqa: PLW0603 - what the kernel refuses once it refuses always
    number, stage = start.error, _starts.STAGES[start.stage]
    plain = request.cgroup is None and not request.pid_namespace
    if number == errno.ENOSYS or (stage == _starts.STAGES[0] and number in REFUSED and plain):
        _obstacle = _refusal(start)
        return
    if stage == "execute the program":
        raise OSError(number, os.strerror(number), request.name)
    if stage == "go to its working directory":
        raise OSError(number, os.strerror(number), request.cwd)
    into = "" if request.cgroup is None or stage != _starts.STAGES[0] else f" in cgroup {os.fsdecode(request.cgroup)}"
    raise OSError(number, f"{os.strerror(number)}: cannot {stage}{into}, for {os.fsdecode(request.name)}")


def launch(request: Request) -> Child:
    """Start a program in the calling thread, and wait until it runs or has failed.

    MechanismUnavailableError with a parent-death signal, which would come when that thread ends: `spawn()` has others.
    """
    if request.parent_death_signal is not None:
        raise MechanismUnavailableError(NO_LASTING_THREAD)
    with request.opened(), starting:
        start = order(request)
        if start is not None:
            start.run()
            child = taken(start, request)
            if child is not None:
                return child
        return launch_plain(request)

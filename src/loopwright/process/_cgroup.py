"""A cgroup of its own for each tree of processes: made, killed as a whole, and removed (cgroups(7), version 2).

Theory of operation. `cgroup.kill` (Linux 5.14) ends everything in a cgroup and below it in one step that nothing forks
out of, and `cgroup.events` says whether anything is left: the only proof that needs no looking for. Leaves are made
below the cgroup in which this program is, in a folder of its own, so that the keeper can end all of them by one write
after this program was killed. Controllers are not needed, and none is switched on, so the rule that only leaves may
hold processes (which is about controllers) does not concern us.

It uses nothing but the standard library and imports nothing of ours, because keeper and guard run it without the rest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

__all__ = ["Leaf", "cgroup_obstacle", "clear", "kill", "make_base", "populated", "processes", "remove", "remove_strays"]

#: Beginning of the folder's name; the pid of the keeper or guard that clears it follows.
PREFIX = "loopwright-"


def own_folder() -> str:
    """The cgroup of version 2 in which this process is; OSError if there is none to be seen."""
    own = None
    with open("/proc/self/cgroup") as file:  # noqa: PTH123 - the keeper has no pathlib
        for line in file:
            if line.startswith("0::"):
                own = line[3:].rstrip("\n")
    if own is None:
        raise OSError(errno.ENOENT, "this kernel has no cgroups of version 2")
    with open("/proc/self/mountinfo") as file:  # noqa: PTH123 - as above
        for line in file:
            # proc_pid_mountinfo(5): root and mount point are fields 4 and 5, the file system's type follows the dash
            fields, _, kind = line.partition(" - ")
            if kind.split()[:1] == ["cgroup2"]:
                root, mounted = fields.split()[3:5]
                below = own.removeprefix(root) if root != "/" else own
                return mounted + below.rstrip("/")
    raise OSError(errno.ENOENT, "cgroups of version 2 are not mounted")


def cgroup_obstacle() -> str | None:
    """Why trees cannot have cgroups of their own here, as half a sentence; None if they can. It is tried."""
    try:
        base = make_base(os.getpid())
    except OSError as error:
        return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
    clear(base)
    return None


def make_base(keeper: int) -> str:
    """A new folder for leaves, proved to work by a process that is put into it and killed; OSError if it does not."""
    base = f"{own_folder()}/{PREFIX}{keeper}-{os.urandom(4).hex()}"
    os.mkdir(base)  # noqa: PTH102 - as above
    try:
        _prove(base)
    except BaseException:
        clear(base)
        raise
    return base


def _prove(base: str) -> None:
    if not os.path.exists(f"{base}/cgroup.kill"):  # noqa: PTH110 - as above
        raise OSError(errno.ENOTSUP, "this kernel has no cgroup.kill (Linux 5.14)")
    victim = os.posix_spawnp("sleep", ["sleep", "60"], os.environ)
    pidfd = os.pidfd_open(victim)
    try:
        try:
            _write(f"{base}/cgroup.procs", str(victim))
            kill(base)
        except OSError:
            os.kill(victim, 9)  # our child, not waited for yet
            raise
        finally:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    finally:
        os.close(pidfd)


class Leaf:
    """The cgroup of one tree."""

    # No dataclass, for what that imports would double the keeper.
    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def make(cls, base: str, name: str) -> Leaf:
        """A new one; OSError if it cannot be made."""
        path = f"{base}/{name}"
        os.mkdir(path)  # noqa: PTH102 - as above
        return cls(path)

    def adopt(self, pid: int) -> None:
        """Put a process, and what it starts from now on, into it. OSError if that cannot be."""
        _write(f"{self.path}/cgroup.procs", str(pid))

    def kill(self) -> None:
        """End all that is in it or below it."""
        kill(self.path)

    def processes(self) -> list[int]:
        """The pids of all that is in it or below it, zombies included."""
        return processes(self.path)

    def populated(self) -> bool:
        """Whether anything in it or below it runs."""
        return populated(self.path)

    def remove(self) -> bool:
        """Remove it with all below it; False if something is still in it."""
        return remove(self.path)


def kill(path: str) -> None:
    """Write to cgroup.kill; a cgroup that was removed has nothing to kill."""
    with contextlib.suppress(FileNotFoundError):
        _write(f"{path}/cgroup.kill", "1")


def populated(path: str) -> bool:
    """Whether anything in a cgroup or below it runs: zombies do not."""
    try:
        with open(f"{path}/cgroup.events") as file:  # noqa: PTH123 - as above
            return "populated 1" in file.read().splitlines()
    except OSError:
        return False  # it was removed, which the kernel allows only for what is empty


def processes(path: str) -> list[int]:
    """The pids in a cgroup and below it."""
    found: list[int] = []
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs") as file:  # noqa: PTH123 - as above
            found += map(int, file.read().split())
    return found


def clear(path: str, patience: float = 2.0) -> bool:
    """Kill all in a cgroup, and remove it with all below it; False if it could not be emptied in time (seconds)."""
    with contextlib.suppress(OSError):
        kill(path)
    deadline = time.monotonic() + patience
    while not remove(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def remove_strays(base: str) -> None:
    """Remove the empty folders of those whose keeper was killed together with its program."""
    parent, _, own = base.rpartition("/")
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):  # noqa: PTH208 - as above
            pid = name.removeprefix(PREFIX).partition("-")[0]
            stray = name.startswith(PREFIX) and name != own and pid.isdigit()
            if stray and not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - as above
                remove(f"{parent}/{name}")


def remove(path: str) -> bool:
    """Remove a cgroup with all below it; False if something is in it, if only a zombie about to be reaped."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)  # noqa: PTH106 - as above
        except FileNotFoundError:
            continue
        except OSError:
            return False  # EBUSY
    return True


def _write(path: str, text: str) -> None:
    # Not open(): a control file must be written in one piece, and must not be made if it is not there.
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)

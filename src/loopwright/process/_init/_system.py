"""What `loopwright init` asks the system for: environment, prctl(2), processes, the terminal, and exec."""

from __future__ import annotations

import errno
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

#: Every signal that can be blocked. glibc keeps two of the real-time ones, 32 and 33, for itself (nptl(7)).
ALL = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36  # Linux 3.4
PR_GET_CHILD_SUBREAPER = 37

NOT_FOUND = 127  # as POSIX has it for a shell (2.8.2, Exit Status for Commands)
NOT_EXECUTABLE = 126
#: What execvp(3) tries when PATH is not set is up to the C library; this is Python's and glibc's, without "here".
DEFAULT_PATH = b"/bin:/usr/bin"


def environment() -> dict[bytes, bytes]:
    """The environment that this process was started with.

    Not `os.environ`: where there is no locale, as in most containers, Python adds LC_CTYPE to it (PEP 538), and the
    command would inherit that. Where /proc cannot be read, it does.
    """
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - no pathlib here
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in entries)
    return {name: value for name, equals, value in pairs if name and equals}


def prctl(option: int, argument: object) -> None:
    """prctl(2); OSError if it fails or if this Python cannot call it."""
    try:
        import ctypes  # here: only who needs it pays 0.4 MiB for it, and a Python may lack it
    except ImportError as error:
        raise OSError(errno.ENOSYS, f"this Python has no ctypes ({error})") from None
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument, *[ctypes.c_ulong(0)] * 3]
    if libc.prctl(option, *arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def is_subreaper() -> bool:
    """Whether this process is one already: the mark survives an execve (prctl(2))."""
    try:
        import ctypes

        answer = ctypes.c_int()
        prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    except (ImportError, OSError):
        return False
    return bool(answer.value)


class NoProcError(Exception):
    """There is no /proc, or it belongs to another PID namespace, in whose numbers it speaks."""


def living(belongs: Callable[[int, int], bool]) -> list[int]:
    """The pids of other processes that still run and of which `belongs(parent, process_group)`. NoProcError."""
    me = os.getpid()
    try:
        if os.readlink("/proc/self") != str(me):  # noqa: PTH115 - no pathlib here
            raise NoProcError
        names = os.listdir("/proc")  # noqa: PTH208 - likewise
    except OSError:
        raise NoProcError from None
    found = []
    for name in names:
        if name.isdigit() and int(name) != me:
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - likewise
                    # proc_pid_stat(5): what follows the parenthesis that closes the name is state, parent, group...
                    facts = file.read().rpartition(b") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # Of a process whose first thread has ended, the state is that of a zombie as long as others run.
            dead = facts[0] in (b"Z", b"X") and int(facts[17]) <= 1
            if not dead and belongs(int(facts[1]), int(facts[2])):
                found.append(int(name))
    return found


def signal_to(number: int, target: int) -> bool:
    """kill(2), 0 included; False if nobody is there. OSError if nobody there may be signalled."""
    try:
        os.kill(target, number)
    except ProcessLookupError:
        return False
    return True


def in_foreground() -> bool:
    """Whether standard input is our controlling terminal, and our process group is in its foreground."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def foreground() -> int:
    """The process group in the foreground of our terminal; -1 if standard input is none."""
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return -1


def give_terminal(group: int) -> None:
    """Put that process group in the foreground. It does not matter if it is not there any more.

    SIGTTOU must be blocked, or who is in the background is stopped by this (tcsetpgrp(3)).
    """
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return  # the terminal has hung up, or the group has gone: whoever has it next sees to that


def candidates(name: bytes, path: bytes) -> list[bytes]:
    """The files that execvp(3) would try for a command: itself if it has a slash, else one for each part of PATH."""
    if b"/" in name:
        return [name]
    return [os.path.join(folder or b".", name) for folder in path.split(b":")]  # noqa: PTH118 - no pathlib here


def execute(command: Sequence[str], env: Mapping[bytes, bytes]) -> NoReturn:
    """Become the command, as execvp(3) would. OSError with what stood in the way, its filename the file meant."""
    arguments = [os.fsencode(word) for word in command]
    if not arguments[0]:
        raise FileNotFoundError(errno.ENOENT, "the command's name is empty", command[0])
    obstacle: OSError | None = None
    for file in candidates(arguments[0], env.get(b"PATH", DEFAULT_PATH)):
        try:
            _execute(file, arguments, env)
        except (FileNotFoundError, NotADirectoryError) as error:
            if obstacle is None and os.path.lexists(file):
                error.filename = os.fsdecode(file)
                obstacle = error
        except PermissionError as error:
            # The search goes on, but ends with this unless something better comes.
            error.filename = os.fsdecode(file)
            obstacle = error
        except OSError as error:
            error.filename = os.fsdecode(file)
            raise
    raise obstacle or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])


def _execute(file: bytes, arguments: Sequence[bytes], env: Mapping[bytes, bytes]) -> None:
    try:
        os.execve(file, list(arguments), env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        if error.errno != errno.ENOEXEC or not _is_text(file):
            raise
        os.execve(b"/bin/sh", [b"/bin/sh", file, *arguments[1:]], env)  # noqa: S606 - as execvp(3) does


def _is_text(file: bytes) -> bool:
    """As shells look at it before they take it for a script: no zero byte in its first line or so."""
    try:
        with open(file, "rb") as script:  # noqa: PTH123 - no pathlib here
            return b"\0" not in script.read(128)
    except OSError:
        return True  # that it cannot be read is for the shell to say


def explain(error: OSError, path: bytes) -> tuple[int, str]:
    """Exit status and sentence for what `execute()` raised. `path`: where a name without a slash was looked for."""
    name = os.fsdecode(error.filename)
    there = os.path.lexists(name)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        if "/" in name and os.path.exists(name):  # noqa: PTH110 - no pathlib here
            wanted = "what its first line or its header asks for to run it (an interpreter, a dynamic linker)"
            return NOT_EXECUTABLE, f"cannot execute {name!r}: it is there, but {wanted} is not"
        if "/" in name and there:
            return NOT_FOUND, f"there is no command {name!r}: it is a link to nothing"
        if "/" in name or not name:
            return NOT_FOUND, f"there is no command {name!r}" + ("" if name else ": its name is empty")
        return NOT_FOUND, f"there is no command {name!r} in PATH ({os.fsdecode(path)})"
    if isinstance(error, PermissionError) and os.path.isdir(name):  # noqa: PTH112 - no pathlib here
        return NOT_EXECUTABLE, f"cannot execute {name!r}: it is a folder"
    hint = {
        errno.EACCES: "; is it marked executable (chmod +x), on a file system that is not mounted noexec?",
        errno.ENOEXEC: "; is it made for another processor?",
    }.get(error.errno or 0, "")
    return NOT_EXECUTABLE, f"cannot execute {name!r}: {error.strerror}{hint}"

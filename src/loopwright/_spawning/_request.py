"""What is asked for when a program is started, checked and put into words the kernel takes.

The arguments are `subprocess.Popen`'s and mean the same; what is ours beyond them is described at `process.spawn()`.
Names of users, programs and CPUs are resolved here, in the parent: between clone and exec there is no library to ask.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwright.errors import ArgumentsConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["INHERITED", "NULL", "Command", "Program", "Request", "listed"]

Program: TypeAlias = str | bytes | os.PathLike[str]
Command: TypeAlias = Program | Sequence[Program]
"""A program with its arguments; alone, as in `subprocess.Popen`, the program's name (or a shell's line)."""

#: For a stream: this program's own, and /dev/null.
INHERITED, NULL = -1, -2

SHELL = "/system/bin/sh" if hasattr(sys, "getandroidapilevel") else "/bin/sh"  # as subprocess chooses it
KERNELS_LIMITS = 16  # RLIM_NLIMITS: one of them, RLIMIT_LOCKS, Python's resource module does not have
UNLIMITED = 2**64 - 1  # RLIM64_INFINITY, which Python's resource module has as -1


class Request:
    """One program to be started, with the options that are not as they are by default.

    `streams` are descriptors, INHERITED or NULL.
    """

    executable: Program | None = None
    shell: bool = False
    cwd: Program | None = None
    env: Mapping[Any, Any] | None = None
    start_new_session: bool = False
    process_group: int | None = None
    pass_fds: Sequence[Any] = ()
    close_fds: bool = True
    restore_signals: bool = True
    user: str | int | None = None
    group: str | int | None = None
    extra_groups: Iterable[str | int] | None = None
    umask: int = -1
    preexec_fn: Callable[[], object] | None = None
    parent_death_signal: int | None = None
    rlimits: Mapping[int, int | tuple[int, int]] | None = None
    cgroup: Program | None = None
    terminal: bool = False
    """Whether its standard input is a terminal that it is to control."""
    nice: int | None = None
    affinity: Iterable[int] | None = None
    pid_namespace: bool = False
    cgroup_number: int = -1
    """A descriptor of the cgroup, while `opened()`."""
    is_plain: bool = True
    """Whether it is a list of words, and all else as it is by default."""

    def __init__(self, args: Command, streams: tuple[int, int, int] = (INHERITED,) * 3, **options: Any) -> None:
        # What may be an iterator is asked for more than once: for the kernel, for an error's text, for the plain way.
        if type(args) is list:
            self.args: Command = args.copy()
        elif not isinstance(args, (str, bytes, os.PathLike)):
            self.args = listed(args)
        else:
            self.args = args
            self.is_plain = False
        self.streams = streams
        if options:
            self.set(**options)

    def set(self, **options: Any) -> None:
        """Have it otherwise than by default. The names are known to be right."""
        self.is_plain = False
        self.__dict__.update(options)
        if self.affinity is not None:
            self.affinity = frozenset(self.affinity)
        if self.extra_groups is not None and not isinstance(self.extra_groups, str):
            self.extra_groups = tuple(self.extra_groups)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """While the block lasts, what is named by a path and handed to the kernel as a descriptor is open.

        OSError as open(2), with the path in `filename`: FileNotFoundError for a cgroup that does not exist.
        """
        if self.cgroup is None:
            yield
            return
        self.cgroup_number = os.open(self.cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield
        finally:
            os.close(self.cgroup_number)
            self.cgroup_number = -1

    @property
    def has_extras(self) -> bool:
        """Whether anything is asked for beyond program, environment, streams, folder and session."""
        return (
            self.process_group is not None
            or self.umask >= 0
            or self.nice is not None
            or self.parent_death_signal is not None
            or self.cgroup is not None
            or self.user is not None
            or self.group is not None
            or self.extra_groups is not None
            or bool(self.rlimits)
            or self.affinity is not None
            or self.terminal
            or self.pid_namespace
        )

    @property
    def leads_group(self) -> bool:
        """Whether it will lead a process group of its own."""
        return self.start_new_session or self.process_group == 0

    def command(self) -> tuple[tuple[bytes, ...], bytes]:
        """The arguments, and the program's name as it is to be looked for and named in errors.

        TypeError for what is no string or path, ValueError for no arguments at all or a null character in one.
        """
        args = self.args
        if isinstance(args, (str, bytes, os.PathLike)):
            if self.shell and isinstance(args, os.PathLike):
                raise TypeError(f"with shell=True, args is a line for the shell as a string, not {args!r}")
            words: list[Program] = [args]
        else:
            words = list(args)
            if not words:
                raise ValueError(f"args must begin with the program to start, and is {args!r}")
        if self.shell:
            words = [SHELL, "-c", *words]
            if self.executable is not None:
                words[0] = self.executable
        encoded = tuple(_bytes(word, "args") for word in words)
        return encoded, encoded[0] if self.executable is None else _bytes(self.executable, "executable")

    @property
    def name(self) -> Program:
        """The program as it was given, which is how errors name it."""
        if self.executable is not None:
            return self.executable
        if self.shell:
            return SHELL
        return self.args if isinstance(self.args, (str, bytes, os.PathLike)) else self.args[0]

    def environment(self) -> tuple[bytes, ...] | None:
        """As `NAME=value` each; None for what this program has now. ValueError for names that cannot be (execve(2))."""
        if self.env is None:
            return None
        made = []
        for name, value in self.env.items():
            key = _bytes(name, "env")
            if b"=" in key:
                raise ValueError(f"illegal environment variable name: {name!r}")
            made.append(key + b"=" + _bytes(value, f"env[{name!r}]"))
        return tuple(made)

    def programs(self, name: bytes) -> tuple[bytes, ...]:
        """Where the program may be: as execvp(3), along the PATH of the environment that it gets.

        ValueError for an environment that has two, one of them in bytes.
        """
        if b"/" in name:
            return (name,)
        path = os.environ.get("PATH") if self.env is None else _path_of(self.env)
        return _candidates(name, path)

    def folder(self) -> bytes | None:
        """The working directory."""
        return None if self.cwd is None else _bytes(self.cwd, "cwd")

    def limits(self) -> tuple[tuple[int, int, int], ...] | None:
        """Resource limits as (which, soft, hard); a single number is both."""
        if not self.rlimits:
            return None
        return tuple(_limits(which, value) for which, value in self.rlimits.items())

    def cpus(self) -> bytes | None:
        """The CPUs as a mask, sched_setaffinity(2)."""
        if self.affinity is None:
            return None
        numbers = sorted(set(self.affinity))
        if not numbers or numbers[0] < 0 or numbers[-1] >= 8192:
            raise ValueError(f"affinity takes CPU numbers from 0 up, at least one, not {list(numbers)!r}")
        mask = bytearray((numbers[-1] // 64 + 1) * 8)
        for number in numbers:
            mask[number // 8] |= 1 << number % 8
        return bytes(mask)

    def credentials(self) -> tuple[int | None, int | None, tuple[int, ...] | None]:
        """User, group and supplementary groups as numbers; ValueError names one that does not exist."""
        uid = None if self.user is None else _id(self.user, "user")
        gid = None if self.group is None else _id(self.group, "group")
        if self.extra_groups is None:
            return uid, gid, None
        if isinstance(self.extra_groups, str):
            raise TypeError(f"extra_groups must be a list of groups, not the string {self.extra_groups!r}")
        return uid, gid, tuple(_id(each, "group") for each in self.extra_groups)

    def death_signal(self) -> int | None:
        """The signal to be had when this program ends."""
        if self.parent_death_signal is None:
            return None
        try:
            return int(signal.Signals(self.parent_death_signal))
        except ValueError:
            raise ValueError(
                f"parent_death_signal must be a signal, such as signal.SIGKILL, not {self.parent_death_signal!r}"
            ) from None

    def check(self) -> None:
        """ArgumentsConflictError (a TypeError) for what cannot go together, ValueError for what is out of range."""
        self._check_kinds()
        if self.pass_fds and not self.close_fds:
            warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, stacklevel=2)  # as subprocess does
            self.close_fds = True
        if self.start_new_session and self.process_group:
            raise ArgumentsConflictError(
                f"a session's leader leads a group of its own: it cannot join process group {self.process_group}"
            )
        if self.process_group is not None and self.process_group < 0:
            raise ValueError(f"process_group is 0 for one of its own, or the id of a group, not {self.process_group}")
        self.limits()
        if self.nice is not None:
            if not isinstance(self.nice, int):
                raise TypeError(f"nice is a niceness, a whole number from -20 to 19, not {self.nice!r}")
            if not -20 <= self.nice <= 19:
                raise ValueError(f"nice is a niceness from -20 to 19 (setpriority(2)), not {self.nice!r}")
        for number in self.pass_fds:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
                raise ValueError(f"pass_fds are descriptors, 0 or more, not {number!r}")

    def _check_kinds(self) -> None:
        if self.env is not None and not hasattr(self.env, "items"):
            raise TypeError(f"env is a dict of the variables' names and values, not {self.env!r}")
        if not isinstance(self.umask, int):
            raise TypeError(f"umask is a whole number such as 0o077, not {self.umask!r}")
        if self.cgroup is not None:
            _bytes(self.cgroup, "cgroup")


def listed(args: Any) -> list[Any]:
    """A program with its arguments as a list. TypeError, which says what would be right, for what is none."""
    try:
        return list(args)
    except TypeError:
        if hasattr(type(args), "__iter__"):
            raise  # from within it
        raise TypeError(
            f"args is a list of the program and its arguments, or the program alone as a string or path, not {args!r}; "
            "what cmd() and pipeline() give is run by its own run(), check() or spawn()"
        ) from None


def _bytes(word: Any, of: str) -> bytes:
    try:
        encoded = os.fsencode(word)
    except TypeError:
        raise TypeError(f"{of} takes str, bytes or os.PathLike, not {word!r}") from None
    if b"\0" in encoded:
        raise ValueError(f"embedded null byte in {word!r}")
    return encoded


def _path_of(env: Mapping[Any, Any]) -> str | None:
    if "PATH" in env and b"PATH" in env:
        raise ValueError("env cannot contain both 'PATH' and b'PATH': leave one of them out")
    found = env.get("PATH", env.get(b"PATH"))
    return None if found is None else os.fsdecode(found)


@functools.lru_cache(maxsize=256)
def _candidates(name: bytes, path: str | None) -> tuple[bytes, ...]:
    folders = os.defpath if path is None else path
    # An empty folder is the current one (execvp(3)). Joined as Popen does: a script is told by what path it was found.
    return tuple(os.path.join(os.fsencode(folder), name) for folder in folders.split(os.pathsep))  # noqa: PTH118


def _limits(which: Any, value: Any) -> tuple[int, int, int]:
    """One entry of `rlimits`: which, soft, hard. Refused here, for the kernel does not say which or why."""
    import resource  # here, as it is Unix's alone

    # Without NOFILE's old name, OFILE.
    known = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    names = {getattr(resource, name): name for name in known}
    if not isinstance(which, int):
        found = f"RLIMIT_{str(which).upper().removeprefix('RLIMIT_')}"
        mend = f"resource.{found}" if found in known else "one of resource's numbers, such as RLIMIT_CPU"
        raise TypeError(f"rlimits has {which!r} where it takes {mend}")
    if which not in names and not 0 <= which < KERNELS_LIMITS:
        raise ValueError(f"rlimits has {which!r}, and there is no such limit: take resource.RLIMIT_CPU or another")
    name = names.get(which, str(which))
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"rlimits has {value!r} for {name}, where it takes a number or (soft, hard)")
    soft, hard = (_limit(name, each) for each in pair)
    if soft > hard:
        raise ValueError(f"rlimits has {value!r} for {name}: the soft limit, the first, must not be above the hard one")
    return int(which), soft, hard


def _limit(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= UNLIMITED:
        raise ValueError(
            f"rlimits has {value!r} for {name}, where a limit is a whole number from 0 up or resource.RLIM_INFINITY"
        )
    return UNLIMITED if value == -1 else value


def _id(wish: Any, kind: str) -> int:
    if isinstance(wish, str):
        import grp  # here, as both are Unix's alone
        import pwd

        try:
            return pwd.getpwnam(wish).pw_uid if kind == "user" else grp.getgrnam(wish).gr_gid
        except KeyError:
            raise ValueError(f"there is no {kind} {wish!r} on this machine") from None
    if isinstance(wish, bool) or not isinstance(wish, int):
        raise TypeError(f"a {kind} is a name or a number, not {wish!r}")
    if not 0 <= wish < 2**32 - 1:
        raise ValueError(f"a {kind}'s number is from 0 to {2**32 - 2}, not {wish}")
    return wish

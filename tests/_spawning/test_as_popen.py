"""What a child sees is the same whether `subprocess.Popen` started it or we did, argument by argument."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus
from loopwright._spawning import INHERITED, NULL, Request, compiled_obstacle, launch, launch_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Looks = Callable[[Any, dict[str, Any], tuple[int, int, int]], dict[str, Any]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at the child through Linux's /proc")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root may")
NONE = (INHERITED, INHERITED, INHERITED)
STATUS = ("SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Gid", "Groups", "Cpus_allowed", "NoNewPrivs", "CapEff")
#: Two of the same system calls in a row mean that nothing is being loaded any more.
ASLEEP = ("S (sleeping)",)


def seen(pid: int) -> dict[str, Any]:
    """What the kernel says of a process that has come to rest."""
    here = f"/proc/{pid}"

    def text(name: str) -> str:
        with open(f"{here}/{name}", "rb") as file:
            return file.read().decode(errors="surrogateescape")

    deadline = time.monotonic() + 20
    while True:
        status = dict(line.split(":\t", 1) for line in text("status").splitlines())
        if status["State"] in ASLEEP and "exe" in os.listdir(here) and text("syscall").split()[0] in ("230", "115"):
            break  # clock_nanosleep, on x86-64 and AArch64
        assert time.monotonic() < deadline, status["State"]
        time.sleep(0.002)
    descriptors = {}
    for name in os.listdir(f"{here}/fd"):
        flags = dict(line.split(":\t") for line in text(f"fdinfo/{name}").splitlines() if ":\t" in line)["flags"]
        descriptors[int(name)] = (os.readlink(f"{here}/fd/{name}"), flags)
    stat = text("stat").rpartition(") ")[2].split()
    own = str(pid)
    return {
        **{name: status[name].strip() for name in STATUS},
        # posix_spawn(3), as Popen uses it with close_fds=False, leaves the C library's own two (32, 33) ignored.
        "SigIgn": int(status["SigIgn"], 16) & ~(3 << 31),
        "descriptors": descriptors,
        "argv": text("cmdline"),
        "env": text("environ"),
        "exe": os.readlink(f"{here}/exe"),
        "cwd": os.readlink(f"{here}/cwd"),
        "limits": text("limits"),
        "parent": stat[1],
        "group": "own" if stat[2] == own else stat[2],
        "session": "own" if stat[3] == own else stat[3],
        "nice": stat[16],
    }


def by_popen(args: Any, options: dict[str, Any], streams: tuple[int, int, int]) -> dict[str, Any]:
    numbers: list[Any] = [{INHERITED: None, NULL: subprocess.DEVNULL}.get(each, each) for each in streams]
    with subprocess.Popen(args, stdin=numbers[0], stdout=numbers[1], stderr=numbers[2], **options) as popen:
        try:
            return seen(popen.pid)
        finally:
            popen.kill()


def by_us(start: Callable[[Request], Any]) -> Looks:
    def look(args: Any, options: dict[str, Any], streams: tuple[int, int, int]) -> dict[str, Any]:
        child = start(Request(args, streams, **options))
        try:
            return seen(child.pid)
        finally:
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            child.note_exit(ExitStatus(None, signal.SIGKILL))

    return look


@pytest.fixture(params=["compiled", "plain"])
def looks(request: pytest.FixtureRequest) -> Looks:
    if request.param == "compiled" and (obstacle := compiled_obstacle()) is not None:
        pytest.skip(obstacle)
    return by_us(launch if request.param == "compiled" else launch_plain)


@pytest.fixture
def compiled(looks: Looks, request: pytest.FixtureRequest) -> bool:
    return "compiled" in request.node.name


def agree(
    looks: Looks, options: dict[str, Any], streams: tuple[int, int, int] = NONE, args: Any = None
) -> dict[str, Any]:
    given = ["/bin/sleep", "1000"] if args is None else args
    if options.get("close_fds") is False:
        # Popen takes os.posix_spawn() then, with os.environ, which lacks what C code has set (readline's COLUMNS).
        options = {"env": {"A": "1"}, **options}
    expected = by_popen(given, dict(options), streams)
    found = looks(given, dict(options), streams)
    assert found == expected
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"close_fds": False},
        {"cwd": "/usr"},
        {"cwd": b"/usr"},
        {"env": {}},
        {"env": {"A": "ä", "B": "", "C": "x=y"}},
        {"env": {b"A": b"\xff", b"B": b"2"}},
        {"executable": "/bin/sleep"},
        {"umask": 0o27},
        {"umask": 0},
        {"start_new_session": True},
        {"process_group": 0},
        {"restore_signals": False},
        {"restore_signals": True},
        pytest.param({"user": 54321}, marks=as_root),
        pytest.param({"group": 54321}, marks=as_root),
        pytest.param({"extra_groups": []}, marks=as_root),
        pytest.param({"extra_groups": [5, 2**31 + 7]}, marks=as_root),
        pytest.param({"user": "root", "group": "root", "extra_groups": ["root"]}, marks=as_root),
        pytest.param({"user": 54321, "group": 2**32 - 2, "extra_groups": [7], "umask": 7, "cwd": "/"}, marks=as_root),
    ],
    ids=repr,
)
def test_argument(looks: Looks, options: dict[str, Any]) -> None:
    agree(looks, options)


@pytest.mark.parametrize(
    "args", ["sleep 1000", ['sleep "$1"; :', "name", "1000"], ["sleep", "1000"], [b"sleep", "1000"]], ids=repr
)
def test_arguments(looks: Looks, args: Any, tmp_path: Path) -> None:
    if args != ["sleep", "1000"] and args[0] != b"sleep":
        # The shell must become the program, for there to be one to look at.
        line = args if isinstance(args, str) else args[0]
        args = f"exec {line}" if isinstance(args, str) else ['exec sleep "$1"', *args[1:]]
        agree(looks, {"shell": True}, args=args)
        agree(looks, {"shell": True, "executable": b"/bin/bash"}, args=args)
    else:
        agree(looks, {}, args=args)
        agree(looks, {"executable": "sleep"}, args=["other name", "1000"])


def test_a_program_that_is_a_path(looks: Looks, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\nexec sleep "1000$0"\n')
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    agree(looks, {}, args=script)
    agree(looks, {"cwd": tmp_path}, args=["./script"])


def test_where_it_is_found(looks: Looks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the PATH of the environment that it gets, folder by folder, an empty one being the current; what may not be
    executed is passed over. The script tells where it was found."""
    for name in ("denied", "found", "later"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "script").write_text('#!/bin/sh\nexec /bin/sleep 1000 "$0" 2>/dev/null\n')
        (tmp_path / name / "script").write_text("#!/bin/sh\nSCRIPT=$0 exec /bin/sleep 1000\n")
        (tmp_path / name / "script").chmod(0o644 if name == "denied" else 0o755)
    path = f"{tmp_path}/none:/etc/passwd:{tmp_path}/denied:{tmp_path}/found/:{tmp_path}/later"
    for options in ({"env": {"PATH": path}}, {"env": {b"PATH": path.encode()}}):
        assert f"SCRIPT={tmp_path}/found/script" in agree(looks, options, args=["script"])["env"]
    monkeypatch.setenv("PATH", path)
    agree(looks, {}, args=["script"])
    agree(looks, {"cwd": f"{tmp_path}/later", "env": {"PATH": ":/none"}}, args=["script"])


def test_signals_that_are_ignored_blocked_and_handled(looks: Looks) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN), signal.signal(signal.SIGUSR2, lambda *_: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGRTMIN, signal.SIGRTMAX})
    try:
        for options in ({}, {"restore_signals": False}, {"start_new_session": True}):
            found = agree(looks, options)
            assert int(found["SigBlk"], 16) >> (signal.SIGHUP - 1) & 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])


@pytest.fixture
def many() -> Iterator[list[int]]:
    """Descriptors low and high, every other one inheritable, each of a file of its own."""
    numbers = [os.memfd_create(f"test-{index}") for index in range(6)]
    for target in (200, 255, 256, 300, 301, 700):
        number = os.memfd_create(f"test-{target}")
        os.dup2(number, target, inheritable=False)
        os.close(number)
        numbers.append(target)
    for number in numbers[::2]:
        os.set_inheritable(number, True)
    yield numbers
    for number in numbers:
        os.close(number)


def test_which_descriptors_it_gets(looks: Looks, many: list[int]) -> None:
    low, high = many[:6], many[6:]
    agree(looks, {})
    assert len(agree(looks, {"close_fds": False})["descriptors"]) >= 9
    for passed in ([low[0]], [low[1], low[4]], [high[0]], high, [*reversed(many), many[0]], [0, 1, 2]):
        found = agree(looks, {"pass_fds": passed})["descriptors"]
        assert set(passed) <= set(found)
    with pytest.warns(RuntimeWarning, match="pass_fds"):
        agree(looks, {"pass_fds": [low[1]], "close_fds": False})


@pytest.mark.parametrize(
    "streams",
    [
        (NULL, NULL, NULL),
        (1, 0, INHERITED),
        (2, 0, 1),
        (INHERITED, INHERITED, 1),
        (INHERITED, 2, 1),
        (1, 1, 1),
        (0, 1, 2),
        ("low", "low", "low"),
        ("high", "low", "high"),
        ("high", "high", "high"),
        ("high", 0, 1),
        (2, "high", 1),
        ("low", NULL, 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("closed", [(), (0,), (1,), (0, 2), (0, 1, 2)], ids=str)
def test_streams_of_every_number(
    looks: Looks, compiled: bool, many: list[int], streams: Any, closed: tuple[int, ...]
) -> None:
    kept = [os.dup(number) for number in range(3)]
    own = [os.memfd_create(f"stream-{number}") for number in range(3)]
    high = iter(many[8:11])
    low = iter(many[1:4])
    wish = tuple(next(high) if each == "high" else next(low) if each == "low" else each for each in streams)
    try:
        for number in range(3):
            os.dup2(own[number], number)
        for number in closed:
            os.close(number)
        if any(each in closed for each in wish):
            # Popen itself has pipes on such numbers by then, and gives the child one of those, or raises.
            if compiled:
                with pytest.raises(OSError, match="Bad file descriptor"):
                    looks(["/bin/sleep", "1000"], {}, wish)
            return
        agree(looks, {}, wish)
        agree(looks, {"close_fds": False}, wish)
        agree(looks, {"pass_fds": [many[0], many[10]]}, wish)
    finally:
        for number in range(3):
            os.dup2(kept[number], number)
            os.close(kept[number])
            os.close(own[number])


def test_a_descriptor_to_be_passed_that_is_not_open(looks: Looks, compiled: bool) -> None:
    """Even where the number would be the first that is free while the streams are put in place; Popen passes one of its
    own pipes then."""
    free = os.dup(0)
    os.close(free)
    for number in (free, 3000):
        for start in (by_popen, looks):
            if number == free and not (compiled and start is looks):
                continue
            with pytest.raises(OSError, match="Bad file descriptor"):
                start(["/bin/sleep", "1000"], {"pass_fds": [number]}, (1, 0, NULL))


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-program-anywhere"],
        [b"no-such-program-anywhere"],
        ["/no/such/program"],
        ["/etc/passwd/program"],
        ["/etc/passwd"],
        ["/etc"],
        [""],
        ["text"],
        ["loop"],
        ["not-elf"],
        ["no-interpreter"],
        ["true", "x" * 3_000_000],
    ],
    ids=lambda args: repr(args)[:30],
)
def test_errors(looks: Looks, tmp_path: Path, args: list[Any]) -> None:
    if args == [""] and sys.version_info >= (3, 13):
        pytest.skip("there Popen has posix_spawn() refuse it, with a ValueError")
    (tmp_path / "text").write_text("text")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "not-elf").write_bytes(b"\x7fNOT\0\0")
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    for name in ("not-elf", "no-interpreter"):
        (tmp_path / name).chmod(0o755)
    for options in (
        {},
        {"env": {"PATH": f"/no/such:{tmp_path}:/etc/passwd"}},
        {"cwd": tmp_path, "env": {"PATH": ""}},
        {"cwd": "/no/such/folder"},
        {"cwd": b"/etc/passwd"},
        {"executable": tmp_path / "text"},
        {"shell": True, "executable": "/no/such/shell"},
    ):
        told = []
        for start in (by_popen, looks):
            with contextlib.ExitStack() as stack:
                caught = stack.enter_context(pytest.raises(OSError))
                start(args, options, NONE)
            name = caught.value.filename
            # Popen gives a path as it was or, from 3.13 on and by way of posix_spawn(), as a string.
            told.append((type(caught.value), caught.value.errno, name if name is None else os.fsencode(name)))
        assert told[1] == told[0], options


def test_a_path_for_the_shell(looks: Looks, tmp_path: Path) -> None:
    for start in (by_popen, looks):
        with pytest.raises(TypeError):
            start(tmp_path, {"shell": True}, NONE)


def test_limits_are_inherited(looks: Looks) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    try:
        agree(looks, {})
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)

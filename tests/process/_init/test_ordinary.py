"""Init as an ordinary process: what it warns of, a subreaper, parent-death signals, commands that cannot be run."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process._init.conftest import INIT, SOON, python, unshare, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process._init.conftest import Started

    Start = Callable[..., Started]


def alive(pid: int) -> bool:
    try:
        return not re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("quiet", [False, True])
def test_it_warns_where_orphans_do_not_come_to_it(started: Start, quiet: bool) -> None:
    init = started(*(["-q"] if quiet else []), "sh", "-c", "exit 3")
    assert init.end() == 3
    said = init.errors()
    assert ("neither process 1 nor a subreaper" in said) is not quiet
    assert ("--subreaper" in said) is not quiet


def test_as_a_subreaper_it_has_the_orphans(started: Start) -> None:
    code = """
    leave(lambda: (say("adopted"), pause()))
    pause()
    """
    init = started("-s", "-v", "--", *python(code))
    assert init.line() == "adopted"
    init.send(signal.SIGTERM)
    assert init.end() == 143
    said = init.errors()
    assert "neither" not in said
    assert "SIGTERM to what is left: process" in said


@pytest.mark.parametrize("stubborn", [False, True])
def test_without_orphans_it_ends_the_commands_group(started: Start, stubborn: bool) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if stubborn else ""
    code = f"""
    reading, writing = os.pipe()
    if os.fork() == 0:
        {ignore}
        say(os.getpid())
        pause()
    pause()
    """
    init = started("--grace", "0.3" if stubborn else "1000", "--", *python(code))
    left = int(init.line())
    init.send(signal.SIGTERM)
    assert init.end() == 143
    until(lambda: not alive(left))
    assert ("not ended within 0.3 s of SIGTERM: 1; killed" in init.errors()) is stubborn


@pytest.mark.parametrize("stubborn", [False, True])
def test_with_a_proc_that_is_not_its_own(started: Start, no_namespace: str | None, stubborn: bool) -> None:
    """Its numbers would be those of other processes, so it is not believed: as process 1, all others are meant."""
    if no_namespace is not None:
        if os.environ.get("CI"):
            pytest.fail(f"on CI this must be tested, and no PID namespace can be made: {no_namespace}")
        pytest.skip(f"no PID namespace can be made here: {no_namespace}")
    code = f"""
    def daemon():
        signal.signal(signal.SIGTERM, lambda *_: (say("asked"), {"None" if stubborn else "os._exit(0)"}))
        say("daemon")
        pause()
    leave(daemon)
    pause()
    """
    before = [word for word in unshare() if word != "--mount-proc"]
    init = started("-v", "--grace", "0.3" if stubborn else "1000", "--", *python(code), before=before)
    assert init.line() == "daemon"
    init.send(signal.SIGTERM)
    assert init.line() == "asked"
    assert init.end() == 143
    said = init.errors()
    assert "SIGTERM to what is left: all others" in said
    assert ("SIGKILL to what is left: all others" in said) is stubborn


@pytest.mark.parametrize("name", ["USR1", "KILL"])
def test_a_parent_that_dies(started: Start, name: str) -> None:
    """The command hears of it, or, where init is killed without being able to say so, is killed, too."""
    command = python("signal.signal(signal.SIGUSR1, catch)\nsay(os.getpid(), os.getppid())\npause()")
    reading, writing = os.pipe()
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run(sys.argv[1:])",
            *INIT,
            "-q",
            "-p",
            name,
            *command,
        ],
        stdout=writing,
    )
    os.close(writing)
    with os.fdopen(reading) as output:
        pid, init = map(int, output.readline().split())
        parent.kill()
        parent.wait(SOON)
        if name == "USR1":
            assert output.readline() == f"10 {pid}\n"
            os.kill(init, signal.SIGTERM)
        until(lambda: not alive(pid) and not alive(init))


@pytest.mark.parametrize("option", [(), ("-s",)], ids=["alone", "subreaper"])
class TestWhatCannotBeRun:
    def run(self, started: Start, option: tuple[str, ...], *command: str, **popen: object) -> tuple[int, str]:
        init = started("-q", *option, "--", *command, **popen)
        code = init.end()
        return code, init.errors()

    def test_no_such_command(self, started: Start, option: tuple[str, ...]) -> None:
        code, said = self.run(started, option, "nosuchcommand", env={"PATH": "/bin:/usr/bin"})
        assert (code, said) == (127, "loopwright init: there is no command 'nosuchcommand' in PATH (/bin:/usr/bin)\n")

    def test_no_such_file(self, started: Start, option: tuple[str, ...]) -> None:
        assert self.run(started, option, "/no/such") == (127, "loopwright init: there is no command '/no/such'\n")

    def test_no_name(self, started: Start, option: tuple[str, ...]) -> None:
        assert self.run(started, option, "") == (127, "loopwright init: there is no command '': its name is empty\n")

    def test_a_folder(self, started: Start, option: tuple[str, ...]) -> None:
        assert self.run(started, option, "/bin/") == (126, "loopwright init: cannot execute '/bin/': it is a folder\n")

    def test_not_executable(self, started: Start, option: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "data").write_text("echo never")
        code, said = self.run(started, option, str(tmp_path / "data"))
        assert code == 126
        assert "Permission denied; is it marked executable (chmod +x)" in said

    def test_without_its_interpreter(self, started: Start, option: tuple[str, ...], tmp_path: Path) -> None:
        code, said = self.run(started, option, script(tmp_path, "#!/no/such/python\n"))
        assert code == 126
        assert "it is there, but what its first line or its header asks for to run it" in said

    def test_a_binary_of_another_kind(self, started: Start, option: tuple[str, ...], tmp_path: Path) -> None:
        code, said = self.run(started, option, script(tmp_path, "\0\1\2"))
        assert code == 126
        assert "Exec format error; is it made for another processor?" in said

    def test_a_link_to_nothing(self, started: Start, option: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nothing")
        code, said = self.run(started, option, str(tmp_path / "link"))
        assert code == 127
        assert "it is a link to nothing" in said


def script(folder: Path, text: str, name: str = "script") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_script_without_a_first_line_is_run_by_the_shell(started: Start, tmp_path: Path) -> None:
    """As execvp(3) does, and with it tini and dumb-init."""
    init = started("-q", script(tmp_path, 'echo "$0 $1"; exit 4\n'), "one")
    assert init.line() == f"{tmp_path}/script one"
    assert init.end() == 4


def test_the_search_goes_on_after_what_may_not_be_executed(started: Start, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "tool").write_text("")
    script(tmp_path / "b", "#!/bin/sh\nexit 6\n", "tool")
    assert started("-q", "tool", env={"PATH": f"{tmp_path}/none:{tmp_path}/a:{tmp_path}/b"}).end() == 6
    assert started("-q", "tool", env={"PATH": f"{tmp_path}/a:{tmp_path}/none"}).end() == 126


@pytest.mark.parametrize(("failures", "status"), [(3, 5), (1000, 71)])
def test_no_room_for_a_process(failures: int, status: int) -> None:
    """The kernel says EAGAIN to root only where a whole control group is full, so this says it in its place."""
    code = f"""
    import errno, os, sys
    from loopwright.process._init import _driver
    fork, left = os.fork, {failures}
    def refuse():
        global left
        left -= 1
        if left >= 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()
    os.fork = refuse
    _driver.FORK_PAUSES = (0.001,) * 5
    os._exit(_driver.main(["-s", "sh", "-c", "exit 5"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True, timeout=SOON
    )
    assert done.returncode == status
    assert "cannot start a process (Resource temporarily unavailable), trying again" in done.stderr
    assert ("cannot start a process for 'sh': Resource" in done.stderr) is (status == 71)


def test_words_that_are_no_text_arrive_as_they_are(started: Start) -> None:
    init = started("-q", "--", "printf", "%s\n", "a b", b"\xff\xfe")  # type: ignore[arg-type]
    assert (init.end(), init.popen.stdout.read()) == (0, b"a b\n\xff\xfe\n")


def test_a_wrong_option_starts_nothing(started: Start) -> None:
    init = started("--foo", "echo", "never")
    assert (init.end(), init.popen.stdout.read()) == (2, b"")
    assert "no such option: --foo" in init.errors()


def test_no_arguments(started: Start) -> None:
    init = started()
    assert init.end() == 2
    assert "no command was given" in init.errors()


def test_help_goes_to_standard_output(started: Start) -> None:
    init = started("-h")
    assert init.line().startswith("Usage: loopwright init")
    assert (init.end(), init.errors()) == (0, "")


def test_what_is_told_with_v(started: Start) -> None:
    init = started("-sv", "-r", "10:TERM", "--", *python("say('ready')\npause()"))
    init.line()
    init.send(signal.SIGUSR1)
    assert init.end() == 143
    said = init.errors()
    assert re.search(r"process \d+ runs .* as process \d+\n", said, re.DOTALL)
    assert re.search(r"SIGUSR1 received, passed on as SIGTERM to process \d+\n", said)
    assert re.search(r"the command \(process \d+\) was ended by SIGTERM\n", said)

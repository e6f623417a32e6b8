"""Starting: what Popen raises is raised, with its filename, and whatever fails leaves nothing running."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import Child, child_of, launch, living

if TYPE_CHECKING:
    from pathlib import Path


def finish(child: Child) -> ExitStatus:
    """Wait for its exit and have it reaped."""
    found = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    assert found is not None
    status = ExitStatus.from_siginfo(found.si_code, found.si_status)
    child.note_exit(status)
    return status


def test_started_and_in_the_ledger() -> None:
    child = launch(["sh", "-c", "exit 3"], {})
    assert child_of(child.pid) is child
    assert child in living()
    assert not os.get_inheritable(child.pidfd)
    assert finish(child) == ExitStatus(3)
    assert child_of(child.pid) is None


def test_a_line_for_the_shell_with_streams(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        child = launch("echo $0 $NAME", {"shell": True, "stdout": file, "env": {"NAME": "value"}, "cwd": tmp_path})
    assert finish(child).success
    assert output.read_text() == "/bin/sh value\n"


@pytest.mark.parametrize(
    ("options", "leads"),
    [({}, False), ({"process_group": 0}, True), ({"start_new_session": True}, True), ({"process_group": None}, False)],
)
def test_whether_it_leads_a_group(options: dict[str, Any], leads: bool) -> None:
    child = launch(["sh", "-c", "read _"], {"stdin": subprocess.DEVNULL, **options})
    try:
        assert child.leads_group is leads
        assert (os.getpgid(child.pid) == child.pid) is leads
    finally:
        finish(child)


def test_program_that_is_not_there(tmp_path: Path) -> None:
    program = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError) as caught:
        launch([program], {})
    assert caught.value.filename == program


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    folder = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError) as caught:
        launch(["true"], {"cwd": folder})
    assert caught.value.filename == folder


def test_directory_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError) as caught:
        launch(["true"], {"cwd": str(file)})
    assert caught.value.filename == str(file)


def test_program_that_may_not_be_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o644)
    with pytest.raises(PermissionError) as caught:
        launch([str(file)], {})
    assert caught.value.filename == str(file)


def test_null_character() -> None:
    with pytest.raises(ValueError, match="null"):
        launch(["echo", "a\0b"], {})


def test_no_descriptors_left_to_start_with() -> None:
    before = living()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError) as caught:
            launch(["true"], {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert living() == before


def test_no_descriptor_left_for_its_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Popen itself needs is more, so the shortage cannot be made by a limit: it is injected here."""
    asked: list[int] = []

    def no_room(pid: int, flags: int = 0) -> int:
        asked.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = living()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", no_room)
        with pytest.raises(OSError) as caught:
            launch(["sleep", "60"], {})
    assert caught.value.errno == errno.EMFILE
    (pid,) = asked
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    assert living() == before


def test_signal_statuses_reach_popen() -> None:
    child = launch(["sleep", "60"], {})
    popen = child._popen
    assert popen is not None
    assert child.send_signal(signal.SIGTERM) is True
    finish(child)
    assert popen.returncode == -signal.SIGTERM


def test_a_child_that_was_reaped_before_we_could_look_has_run_and_lost_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reaped_meanwhile(pid: int, flags: int = 0) -> int:
        os.waitpid(pid, 0)  # as another thread that waits for any child does
        return real(pid, flags)

    real = os.pidfd_open
    monkeypatch.setattr(os, "pidfd_open", reaped_meanwhile)
    child = launch(["true"], {"start_new_session": True})
    assert isinstance(child.status, StatusLost)
    assert child.reaped
    assert child_of(child.pid) is None
    assert not child.send_signal(signal.SIGTERM)
    assert not child.signal_group(signal.SIGTERM)

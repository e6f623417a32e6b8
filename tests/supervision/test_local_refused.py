"""Services that cannot start on this machine, and what is said of that."""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.supervision import (
    Failed,
    Outcome,
    Restarting,
    RestartPolicy,
    RestartRule,
    ServiceSpec,
    Started,
)
from loopwright.testing import LeakCheck
from tests.supervision.stories import AT_ONCE, LoopFactory, Story, shell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Here there is everything that can be left behind."""
    with LeakCheck():
        yield


def refused(story: Story, loop_factory: LoopFactory) -> str:
    """The reason for which the only service, which is not started again, failed."""
    assert story.run(loop_factory) == Outcome("nothing is left to run", asked=False, failed=("it",))
    assert not story.said(Started)
    reason = story.only(Failed).reason
    assert isinstance(reason, str)
    return reason


def plain(tmp_path: Path, text: str, mode: int) -> Path:
    file = tmp_path / "program"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_command_that_does_not_exist(loop_factory: LoopFactory) -> None:
    story = Story(ServiceSpec("it", ("no-such-program", "--really"), environment={"PATH": "/nowhere:/bin"}))
    reason = refused(story, loop_factory)
    assert reason == "its command 'no-such-program' was not found in any folder of PATH (/nowhere:/bin)"


def test_a_file_that_does_not_exist_is_looked_for_from_the_working_directory(
    loop_factory: LoopFactory, tmp_path: Path
) -> None:
    story = Story(ServiceSpec("it", ("./no-such-file",), working_directory=tmp_path))
    assert refused(story, loop_factory) == f"its command './no-such-file' does not exist (looked for from '{tmp_path}')"


def test_a_working_directory_that_does_not_exist(loop_factory: LoopFactory, tmp_path: Path) -> None:
    story = Story(ServiceSpec("it", ("true",), working_directory=tmp_path / "gone"))
    assert refused(story, loop_factory) == f"its working_directory '{tmp_path / 'gone'}' does not exist"


def test_a_working_directory_that_is_a_file(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "", 0o644)
    story = Story(ServiceSpec("it", ("true",), working_directory=file))
    assert refused(story, loop_factory) == f"its working_directory '{file}' is not a directory"


def test_a_working_directory_that_no_system_call_takes(loop_factory: LoopFactory) -> None:
    story = Story(ServiceSpec("it", ("true",), working_directory=Path("x" * 300)))
    assert refused(story, loop_factory).endswith("x' cannot be entered: File name too long")


def test_a_command_without_permission(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "#!/bin/sh\n", 0o644)
    reason = refused(Story(ServiceSpec("it", (str(file),))), loop_factory)
    assert reason == f"its command '{file}' may not be executed: no permission (chmod +x?)"


def test_a_command_that_is_a_directory(loop_factory: LoopFactory, tmp_path: Path) -> None:
    reason = refused(Story(ServiceSpec("it", (str(tmp_path),))), loop_factory)
    assert reason == f"its command '{tmp_path}' is a directory"


def test_a_command_that_the_kernel_cannot_run(loop_factory: LoopFactory, tmp_path: Path) -> None:
    file = plain(tmp_path, "echo hello\n", 0o755)
    reason = refused(Story(ServiceSpec("it", (str(file),))), loop_factory)
    assert reason == f"its command '{file}' is nothing the kernel can run (a script needs a first line like #!/bin/sh)"


@pytest.mark.parametrize("by_path", [False, True], ids=["by name", "by path"])
def test_a_script_whose_interpreter_does_not_exist(loop_factory: LoopFactory, tmp_path: Path, by_path: bool) -> None:
    file = plain(tmp_path, "#!/no/such/interpreter\n", 0o755)
    command = (str(file),) if by_path else (file.name,)
    story = Story(ServiceSpec("it", command, environment={"PATH": str(tmp_path)}))
    reason = refused(story, loop_factory)
    assert reason == f"its command '{command[0]}' needs an interpreter that does not exist (see its first line)"


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that this program may not enter; run as root, it is another user for the while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inner = folder / "locked"
        inner.mkdir()
        (inner / "deeper").mkdir()
        user = os.getresuid()
        inner.chmod(0)
        if user[1] == 0:
            os.setresuid(65534, 65534, 0)
        try:
            yield inner
        finally:
            os.setresuid(*user)
            inner.chmod(0o755)


@pytest.mark.parametrize(
    ("below", "why"),
    [(".", "may not be entered: no permission"), ("deeper", "cannot be entered: Permission denied")],
)
def test_a_working_directory_without_permission(loop_factory: LoopFactory, locked: Path, below: str, why: str) -> None:
    folder = locked / below
    reason = refused(Story(ServiceSpec("it", ("true",), working_directory=folder)), loop_factory)
    assert reason == f"its working_directory '{folder}' {why}"


def test_no_descriptors_left_is_tried_again(loop_factory: LoopFactory) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    story = Story(shell("echo here", restart=RestartPolicy(rule=RestartRule.ON_FAILURE, pacing=AT_ONCE)))
    story.when(lambda event: isinstance(event, Restarting), lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))

    async def main() -> Outcome:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        return await story.supervisor.run()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            assert runner.run(main()).success
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "Too many open files" in story.only(Restarting).reason
    assert story.lines() == ["here"]

"""Warnings: what the machine lacks. Such a file is right, and read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from loopwright.supervision.config import read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def warned(configured):
    """The (key, found) of the warnings for a `[services.web]` of these lines."""

    def of(lines: str) -> list[tuple[str, str]]:
        return [(each.key, each.found) for each in configured(f"[services.web]\n{lines}").warnings]

    return of


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_no_warning_for_what_is_there(warned, tmp_path):
    program(tmp_path / "run")
    program(tmp_path / "app" / "serve")
    assert warned("command = 'sh -c true'") == []
    assert warned("command = './run'") == []
    assert warned("command = './serve'\nworking_directory = 'app'") == []
    assert warned(f"command = '{tmp_path}/run'") == []


def test_a_program_that_path_does_not_lead_to(warned):
    assert warned("command = 'no-such-program'\nenvironment = { PATH = '/bin:/usr/bin' }") == [
        ("services.web.command", '"no-such-program", which is in no folder of PATH, "/bin:/usr/bin"')
    ]


def test_the_services_own_path_is_searched(warned, tmp_path):
    program(tmp_path / "tools" / "serve")
    assert warned(f"command = 'serve'\nenvironment = {{ PATH = '{tmp_path}/tools' }}") == []
    assert warned(f"command = 'sh'\nenvironment = {{ PATH = '{tmp_path}/tools' }}") != []
    (tmp_path / "web.env").write_text(f"PATH={tmp_path}/tools\n")
    assert warned("command = 'serve'\nenv_files = 'web.env'") == []


def test_a_relative_folder_of_path_is_one_of_the_working_directory(warned, tmp_path):
    program(tmp_path / "app" / "serve")
    assert warned("command = 'serve'\nworking_directory = 'app'\nenvironment = { PATH = '.' }") == []
    assert warned("command = 'serve'\nworking_directory = 'app'\nenvironment = { PATH = '/bin:' }") == []
    assert warned("command = 'serve'\nenvironment = { PATH = '.' }") != []


def test_without_a_path_of_its_own_the_supervisors_is_searched(warned, tmp_path, monkeypatch):
    program(tmp_path / "tools" / "serve")
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    assert warned("command = 'serve'") == []
    monkeypatch.delenv("PATH")
    assert warned("command = 'serve'") == [
        ("services.web.command", f'"serve", which is in no folder of PATH, "{os.defpath}"')
    ]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("./missing", '"./missing", which is not there'),
        ("./folder", '"./folder", which is a directory'),
        ("./dangling", '"./dangling", a link to what is not there'),
    ],
)
def test_a_path_that_leads_to_no_program(warned, tmp_path, command, found):
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    assert warned(f"command = '{command}'") == [("services.web.command", found)]


def test_a_file_that_may_not_be_executed(configured, tmp_path):
    plain = program(tmp_path / "plain", 0o644)
    (warning,) = configured("[services.web]\ncommand = './plain'").warnings
    assert warning.found.startswith('"./plain", which may not be executed ("/')
    assert "chmod +x" in warning.right
    plain.chmod(0o755)
    assert configured("[services.web]\ncommand = './plain'").warnings == ()


def test_a_working_directory_that_is_none(warned, tmp_path):
    (tmp_path / "file").write_text("")
    for name, what in (("missing", "which is not there"), ("file", "which is no directory")):
        ((key, found),) = warned(f"command = './run'\nworking_directory = '{name}'")
        assert key == "services.web.working_directory"
        assert found.endswith(what)


def test_both_are_told_in_the_order_of_the_file(warned):
    keys = [key for key, _ in warned("working_directory = 'missing'\ncommand = 'no-such-program'")]
    assert keys == ["services.web.working_directory", "services.web.command"]


def test_a_working_directory_that_may_not_be_entered(unprivileged):
    with unprivileged("[services.web]\ncommand = './run'\nworking_directory = 'locked'") as file:
        (warning,) = read(file).warnings
    assert warning.key == "services.web.working_directory"
    assert "may not enter" in warning.found
    assert warning.right == "a directory that may be entered"


def test_a_program_below_a_folder_that_may_not_be_searched(unprivileged):
    with unprivileged("[services.web]\ncommand = './locked/run'") as file:
        (warning,) = read(file).warnings
    assert (warning.key, warning.found) == ("services.web.command", '"./locked/run", which is not there')

"""The command line around its commands: help, versions, misspellings, what is not installed."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import loopwright as package
from loopwright.cli._main import LazyGroup


def test_help_lists_every_command(loopwright):
    done = loopwright("--help")
    assert done.returncode == 0
    for name in ("up", "check", "doctor", "init"):
        assert f"\n  {name} " in done.stdout
        assert loopwright(name, "-h").returncode == 0


def test_the_version_is_that_of_the_package(loopwright):
    assert loopwright("--version").stdout == f"loopwright {importlib.metadata.version('loopwright')}\n"


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("chekc", "no such command 'chekc'; did you mean 'check'?"),
        ("Doctor", "no such command 'Doctor'; did you mean 'doctor'?"),
        ("xyz", "no such command 'xyz'; there are: up, check, doctor, run, init"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_nearest(loopwright, typed, answer):
    done = loopwright(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert answer in done.stderr


def test_check_does_not_import_the_other_commands(tmp_path):
    (tmp_path / "loopwright.toml").write_text("[services.web]\ncommand = 'sh'")
    code = (
        "import sys, loopwright.cli\n"
        "sys.argv = ['loopwright', 'check']\n"
        "try:\n"
        "    loopwright.cli.main()\n"
        "except SystemExit as exit:\n"
        "    assert not exit.code\n"
        "print({'loopwright.cli._up', 'loopwright.cli._doctor', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nset()\n")


def test_a_lazy_group_knows_ordinary_commands_too():
    group = LazyGroup(lazy={"check": "loopwright.cli._check:check"})
    group.add_command(click.Command("other", callback=lambda: click.echo("hello")))
    assert CliRunner().invoke(group, ["other"]).output == "hello\n"
    assert "did you mean 'other'" in CliRunner().invoke(group, ["othre"]).output


def without_packages(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The command in a Python that sees the standard library, Loopwright, and what else lies in `folder`."""
    (folder / "loopwright").symlink_to(Path(package.__file__).parent)
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from loopwright.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-S", "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )


def test_without_the_packages_it_needs_it_says_how_to_get_them(tmp_path):
    done = without_packages(tmp_path, "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "loopwright: the command line needs click, python-dotenv, msgspec and rich; "
        "install with: pip install 'loopwright[supervisor]'\n"
    )


def test_only_what_is_missing_is_named(tmp_path):
    for name in ("click", "dotenv", "rich"):
        (tmp_path / f"{name}.py").write_text("")
    assert "the command line needs msgspec; install" in without_packages(tmp_path).stderr

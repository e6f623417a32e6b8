"""`loopwright init` as it is typed: it becomes the small program, whatever else is installed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from loopwright.cli._main import loopwright as group
from loopwright.process import _init
from tests.cli.test_main import without_packages

#: Prints what the process above it runs, and what it was itself given.
LOOK = "import os, sys; print(open(f'/proc/{os.getppid()}/cmdline').read().split(chr(0))); print(dict(os.environ))"


def test_it_becomes_a_bare_interpreter_and_adds_nothing_to_the_environment(loopwright):
    done = loopwright("init", "-q", "--", sys.executable, "-I", "-S", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    command, environment = done.stdout.splitlines()
    assert command.startswith(
        str([sys.executable, "-I", "-S", str(Path(_init.__file__).with_name("__main__.py"))])[:-1]
    )
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK], env=os.environ, capture_output=True, text=True, check=True
    )
    assert environment == bare.stdout.splitlines()[1]


def test_where_there_is_no_locale_none_is_invented():
    command = [sys.executable, "-m", "loopwright", "init", "-q", "--", "env"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, f"PATH={os.environ['PATH']}\n")


def test_status_and_options_go_through(loopwright):
    assert loopwright("init", "-q", "sh", "-c", "exit 33").returncode == 33
    assert loopwright("init", "-q", "-e", "33", "sh", "-c", "exit 33").returncode == 0
    assert loopwright("init", "nosuchcommand").returncode == 127


def test_its_own_help_and_usage(loopwright):
    done = loopwright("init", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: loopwright init [OPTION...] [--] COMMAND")
    done = loopwright("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no command was given" in done.stderr


def test_it_needs_no_package(tmp_path):
    done = without_packages(tmp_path, "init", "-q", "--", "sh", "-c", "exit 12")
    assert (done.returncode, done.stderr) == (12, "")


def test_help_lists_it():
    assert re.search(
        r"^  init +Runs a command as the first process", CliRunner().invoke(group, ["--help"]).output, re.MULTILINE
    )


def test_where_the_interpreter_cannot_be_executed_again():
    code = (
        "import sys; sys.executable = '/no/such/python'; sys.argv = ['loopwright', *sys.argv[1:]]\n"
        "from loopwright.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "init", "-q", "--", "sh", "-c", "kill -TERM $$"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == (
        "loopwright init: cannot become a small program (No such file or directory); going on as I am\n"
    )


def test_called_by_way_of_click():
    code = "from loopwright.cli._main import loopwright; loopwright(['init', '-q', 'sh', '-c', 'exit 4'])"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 4


@pytest.mark.parametrize("closed", [(0, 1, 2), (2,)])
def test_closed_standard_streams(closed):
    command = [sys.executable, "-m", "loopwright", "init", "-v", "--", "sh", "-c", "exit 6"]
    done = subprocess.run(command, timeout=30, preexec_fn=lambda: [os.close(number) for number in closed])
    assert done.returncode == 6

"""Old programs, unchanged, do under `loopwright run --legacy` on every Python what they did on 3.11.

Each stands in `old`, after a pattern found in a named public project. Its docstring says which, what the program leans
on, with what arguments it is run, what it says without Loopwright since 3.14, and what it prints.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import UVLOOP, factory_of

OLD = Path(__file__).parent / "old"
PAGE = Path(__file__).parent.parent.parent / "docs/reference/old-programs.md"
FIELD = re.compile(r"^(Project|Where|Leans on|Needs|Arguments|Plain): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """What the docstring of an old program says."""

    name: str
    command: tuple[str, ...]
    project: str
    leans_on: str
    needs: tuple[str, ...]
    arguments: tuple[tuple[str, ...], ...]
    """Those of each run."""
    fails: bool
    """Whether it fails on plain Python 3.14 and later; else it warns."""
    complaint: str
    prints: str


def read(path: Path) -> Program:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text is not None, path
    head, _, prints = text.partition("\nPrints:\n")
    fields: dict[str, list[str]] = {}
    for name, value in FIELD.findall(head):
        fields.setdefault(name, []).append(value)
    assert set(fields) >= {"Project", "Where", "Leans on", "Plain"}, path
    kind, _, complaint = fields["Plain"][0].partition(": ")
    assert kind in ("fails", "warns"), path
    module = path.name == "__main__.py"
    return Program(
        name=path.parent.name if module else path.stem,
        command=("-m", path.parent.name) if module else (str(path),),
        project=fields["Project"][0],
        leans_on=fields["Leans on"][0],
        needs=tuple(fields.get("Needs", ())),
        arguments=tuple(tuple(each.split()) for each in fields.get("Arguments", [""])),
        fails=kind == "fails",
        complaint=complaint,
        prints="".join(line.removeprefix("    ") + "\n" for line in prints.splitlines()),
    )


PROGRAMS = [read(path) for path in sorted([*OLD.glob("*.py"), *OLD.glob("*/__main__.py")])]
RUNS = [
    pytest.param(program, arguments, id="-".join((program.name, *arguments[: len(program.arguments) > 1])))
    for program in PROGRAMS
    for arguments in program.arguments
]
ONCE = [pytest.param(program, program.arguments[0], id=program.name) for program in PROGRAMS]
PLAIN_FAILS = sys.version_info >= (3, 14)
PLAIN_WORKS = sys.version_info < (3, 12)


def python(program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs this Python with those arguments where the program's command is found."""
    for package in program.needs:
        if importlib.util.find_spec(package) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{package} is not installed: on CI every program must run")
            pytest.skip(f"{package} is not installed")
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=OLD,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOOPWRIGHT"))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


def assert_does_as_ever(program: Program, done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, program.prints, "")


@pytest.mark.parametrize(("program", "arguments"), RUNS)
def test_runs_unchanged_and_without_a_warning(program: Program, arguments: tuple[str, ...]) -> None:
    run = ("-W", "error", "-m", "loopwright", "run", "--legacy")
    assert_does_as_ever(program, python(program, *run, *program.command, *arguments))


@pytest.mark.skipif(not PLAIN_WORKS, reason="the names are all there up to Python 3.11")
@pytest.mark.parametrize(("program", "arguments"), RUNS)
def test_prints_what_plain_python_3_11_prints(program: Program, arguments: tuple[str, ...]) -> None:
    assert_does_as_ever(program, python(program, "-W", "error", *program.command, *arguments))


@pytest.mark.skipif(not PLAIN_FAILS, reason="the names and rules went in Python 3.14")
@pytest.mark.parametrize(("program", "arguments"), ONCE)
def test_needs_it(program: Program, arguments: tuple[str, ...]) -> None:
    warnings = () if program.fails else ("-W", "error::DeprecationWarning")
    done = python(program, *warnings, *program.command, *arguments)
    assert done.returncode == 1
    assert re.search(program.complaint, done.stdout + done.stderr), done.stdout + done.stderr


#: In words that `--policy` takes, and the class of the policy that comes of them.
POLICIES = {
    "asyncio": "EventLoopPolicy",
    "context": "ContextEventLoopPolicy",
    "deadline": "DeadlineEventLoopPolicy",
    "default": "DefaultEventLoopPolicy",
    "fair": "FairEventLoopPolicy",
    "limited; max_tasks=3": "LimitedEventLoopPolicy",
    "native": "NativeEventLoopPolicy",
    "priority": "PriorityEventLoopPolicy",
    "selector": "EventLoopPolicy",
    "shared": "SharedEventLoopPolicy",
    "threaded": "ThreadedEventLoopPolicy",
    "uvloop": "UvloopEventLoopPolicy",
}
#: What a program asks that wants to know which policy it got.
ASK = "import asyncio; print(type(asyncio.get_event_loop_policy()).__name__)"


def under(policy: str, name: str) -> Program:
    """The program of that name, which needs what the policy needs as well."""
    program = next(program for program in PROGRAMS if program.name == name)
    if policy == "native":
        factory_of(policy)  # skips where it cannot run
    return replace(program, needs=(*program.needs, "uvloop")) if "uvloop" in policy else program


@pytest.mark.parametrize("policy", POLICIES)
def test_runs_unchanged_under_each_policy(policy: str) -> None:
    program = under(policy, "sync_client")
    run = ("-W", "error", "-m", "loopwright", "run", "--policy", policy, "--legacy")
    assert_does_as_ever(program, python(program, *run, *program.command, *program.arguments[0]))
    assert python(program, *run, "-c", ASK).stdout == POLICIES[policy] + "\n"


@pytest.mark.parametrize("name", ["bot_until_sigterm", "cells", "loop_in_thread", "prefork_server"])
@pytest.mark.parametrize("loop", ["native", UVLOOP])
def test_runs_unchanged_on_another_loop(name: str, loop: str) -> None:
    program = under(loop, name)
    run = ("-W", "error", "-m", "loopwright", "run", f"--policy={loop}", "--legacy")
    assert_does_as_ever(program, python(program, *run, *program.command, *program.arguments[0]))


def test_forks_unchanged_beside_a_loop_in_a_thread() -> None:
    # Since 3.12 Python warns of fork() beside threads. As an error, it is raised in the parent when the child is there
    # already: the program would end, and leave a server behind that nobody asks.
    program = under("threaded", "prefork_server")
    run = (
        "-W",
        "error",
        "-W",
        "ignore:This process:DeprecationWarning",
        "-m",
        "loopwright",
        "run",
        "--policy=threaded",
    )
    assert_does_as_ever(program, python(program, *run, "--legacy", *program.command, *program.arguments[0]))


def test_a_bot_runs_unchanged_in_a_loop_with_a_thread_of_its_own() -> None:
    program = under("threaded", "bot_until_sigterm")
    run = ("-W", "error", "-m", "loopwright", "run", "--policy=threaded", "--legacy")
    assert_does_as_ever(program, python(program, *run, *program.command, *program.arguments[0]))


def test_a_signal_stops_a_loop_in_a_thread_while_the_main_thread_waits_for_it() -> None:
    code = (
        "import asyncio, os, signal, threading\n"
        "loop = asyncio.get_event_loop()\n"
        "loop.add_signal_handler(signal.SIGTERM, loop.stop)\n"
        "loop.call_soon(threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start)\n"
        "loop.run_forever()\n"
        "print('stopped')\n"
        "loop.close()\n"
    )
    run = ("-W", "error", "-m", "loopwright", "run", "--policy=threaded", "--legacy", "-c", code)
    done = python(under("threaded", "cells"), *run)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_there_are_twenty_of_twenty_projects() -> None:
    assert len({program.project for program in PROGRAMS}) >= 20


def test_the_page_tells_of_each() -> None:
    told = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert told == [(program.name, program.project, program.leans_on) for program in PROGRAMS]

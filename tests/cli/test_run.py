"""`loopwright run` as it is typed: what a program finds and leaves is what it is with `python`, but for the policy."""

from __future__ import annotations

import functools
import py_compile
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from loopwright.cli._run import Request, parse
from tests.cli.run_session import Both, end_of, run_both, write
from tests.cli.test_main import without_packages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., Both]:
    return functools.partial(run_both, tmp_path)


#: Prints whatever a program can see of how it was started.
PROBE = """
import sys
seen = {name: value for name, value in sorted(globals().items()) if name not in ("__builtins__", "sys")}
print(seen, type(__builtins__))
print(sys.argv, sys.path, sys._getframe().f_code.co_filename, sys._getframe().f_code.co_name)
print(sys.modules["__main__"].__dict__ is globals(), sys.flags, sys.warnoptions)
import signal
print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)])
"""


@pytest.mark.parametrize(
    "command",
    [
        "probe.py",
        pytest.param("./probe.py a --policy -m --legacy", marks=pytest.mark.slow),
        pytest.param("package/../probe.py -c", marks=pytest.mark.slow),
        "linked/link.py",
        "compiled.pyc x",
        "package",
        pytest.param("./package -h", marks=pytest.mark.slow),
        "archive.zip x",
        pytest.param("-m probe --legacy", marks=pytest.mark.slow),
        pytest.param("-m package x", marks=pytest.mark.slow),
        "-m package.inner",
        "- a b",
    ],
)
@pytest.mark.parametrize("options", ["", pytest.param("-P -W error", marks=pytest.mark.slow)])
def test_a_program_finds_what_it_does_with_python(
    tmp_path: Path, both: Callable[..., Both], command: str, options: str
):
    for name in ("probe.py", "package/__init__.py", "package/__main__.py", "package/inner.py", "linked/other.py"):
        write(tmp_path, name, "" if name.endswith("__init__.py") else PROBE)
    (tmp_path / "linked/link.py").symlink_to("../probe.py")
    py_compile.compile(str(tmp_path / "probe.py"), cfile=str(tmp_path / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "probe.py", "__main__.py")
    ended = both(*command.split(), options=options.split(), stdin=PROBE)
    assert ended.loopwright == ended.python
    if "-P" not in options or not command.startswith("-m"):  # there, even python does not find it
        assert ended.python.status == 0
        assert len(ended.python.out.splitlines()) == 4


def test_code_finds_what_it_does_with_python(both: Callable[..., Both]):
    ended = both("-c", PROBE, "-c", "x")
    assert ended.loopwright == ended.python
    assert ended.python.status == 0


def test_warnings_go_by_pythons_own_options(tmp_path: Path, both: Callable[..., Both]):
    write(tmp_path, "warn.py", "import warnings\nwarnings.warn('old', DeprecationWarning)\nprint('on')\n")
    for options, status in (["-W", "error"], 1), (["-W", "ignore"], 0), ([], 0):
        ended = both("warn.py", options=options)
        assert ended.loopwright == ended.python
        assert ended.python.status == status


SPAWNS = """
import concurrent.futures, multiprocessing, pickle

class Thing:
    def __init__(self, value):
        self.value = value

def double(thing):
    return Thing(thing.value * 2), __name__

if __name__ == "__main__":
    assert type(pickle.loads(pickle.dumps(Thing(1)))) is Thing
    for method in ("spawn", "fork", "forkserver"):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            thing, name = pool.submit(double, Thing(21)).result()
        print(method, type(thing) is Thing, thing.value, name)
"""


@pytest.mark.parametrize("command", ["spawns.py", "-m spawns"])
def test_what_is_defined_in_the_program_goes_to_other_processes(
    tmp_path: Path, both: Callable[..., Both], command: str
):
    write(tmp_path, "spawns.py", SPAWNS)
    ended = both(*command.split(), options=["-W", "ignore"])
    assert ended.loopwright == ended.python
    assert ended.python.out.count("True 42") == 3


# --- policies


KIND = """
import asyncio, os, sys

async def kind():
    loop = asyncio.get_running_loop()
    return f"{type(loop).__module__}.{type(loop).__name__}"

print(asyncio.run(kind()), os.environ.get("LOOPWRIGHT_POLICY"), hasattr(asyncio, "SafeChildWatcher"))
"""

OWN = """
import asyncio
from loopwright.policies import EventLoopPolicy

class OwnLoop(asyncio.SelectorEventLoop):
    pass

def policy():
    return EventLoopPolicy(loop=OwnLoop)
"""


def test_the_program_obeys_the_policy(tmp_path: Path, loopwright):
    write(tmp_path, "inner/kind.py", KIND)
    write(tmp_path, "inner/own.py", OWN)
    had = str(sys.version_info < (3, 14))
    standard = "asyncio.unix_events._UnixSelectorEventLoop"
    assert loopwright("run", "inner/kind.py").stdout.split() == [standard, "None", had]
    assert loopwright("run", "--policy", "uvloop", "inner/kind.py").stdout.split() == ["uvloop.Loop", "uvloop", had]
    done = loopwright("run", "inner/kind.py", LOOPWRIGHT_POLICY="uvloop")
    assert done.stdout.split() == ["uvloop.Loop", "uvloop", had]
    done = loopwright("run", "--policy=own:policy", "inner/kind.py")
    assert done.stdout.split() == ["own.OwnLoop", "own:policy", had], done.stderr
    done = loopwright("run", "--legacy", "--policy", "selector; max_tasks=3", "-m", "inner.kind")
    assert done.stdout.split() == [standard, *["selector;", "max_tasks=3"], "True"]


OLD = """
import asyncio

class Policy(asyncio.DefaultEventLoopPolicy):
    pass

asyncio.set_event_loop_policy(Policy())
loop = asyncio.get_event_loop()
watcher = asyncio.SafeChildWatcher()
watcher.attach_loop(loop)
asyncio.set_child_watcher(watcher)

async def main():
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()

print(loop.run_until_complete(main()), asyncio.get_child_watcher() is watcher)
watcher.close()
loop.close()
"""


def test_an_old_program_runs_unchanged_with_legacy(tmp_path: Path):
    write(tmp_path, "old.py", OLD)
    ended = end_of(tmp_path, ["-W", "error", "-m", "loopwright", "run", "--legacy", "old.py"])
    assert ended == (0, "0 True\n", "")
    ended = end_of(tmp_path, ["-W", "error", "-m", "loopwright", "run", "old.py"])
    assert (ended.status != 0) == (sys.version_info >= (3, 12))


# --- what cannot be done


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([], "a script is missing, or -m and a module"),
        (["--legacy"], "a script is missing"),
        (["--policy"], "--policy needs something after it"),
        (["-m"], "-m needs something after it"),
        (["--polcy", "x", "probe.py"], "no such option '--polcy'; did you mean '--policy'?"),
        (["-W", "error", "probe.py"], "no such option '-W'; there are --policy, --legacy, -m and -c, and options of"),
        (["nothing.py"], "nothing.py': [Errno 2] No such file or directory"),
        (["--policy", "uvlop", "probe.py"], 'found "uvlop"; right would be "uvloop"'),
        (["--policy", "nomodule:policy", "probe.py"], "there is no module nomodule"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, loopwright, command: list[str], told: str):
    write(tmp_path, "probe.py", "print('it ran')")
    done = loopwright("run", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("loopwright run: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_or_module_without_main_is_told_as_python_tells_it(tmp_path: Path, both: Callable[..., Both]):
    (tmp_path / "empty").mkdir()
    for command in (["empty"], ["-m", "empty"], ["-m", "no.such.module"]):
        ended = both(*command)
        assert ended.loopwright == ended.python
        assert ended.python.status == 1


def test_its_help(loopwright):
    done = loopwright("run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: loopwright run [--policy POLICY] [--legacy] SCRIPT")
    assert "  run " in loopwright("--help").stdout


def test_it_needs_no_package(tmp_path: Path):
    write(tmp_path, "exits.py", "raise SystemExit(12)")
    done = without_packages(tmp_path, "run", str(tmp_path / "exits.py"))
    assert (done.returncode, done.stderr) == (12, "")


def test_options_end_where_the_program_begins():
    assert parse(["--legacy", "a.py", "--policy", "x"]) == Request("script", "a.py", ("--policy", "x"), None, True)
    assert parse(["--policy=u", "-m", "a.b", "-h"]) == Request("module", "a.b", ("-h",), "u", False)
    assert parse(["--policy", "u", "-c", "code", "--"]) == Request("code", "code", ("--",), "u", False)
    assert parse(["--", "--odd.py", "-m"]) == Request("script", "--odd.py", ("-m",))
    assert parse(["-"]) == Request("script", "-")
    assert parse(["--legacy", "-h", "a.py"]) is None

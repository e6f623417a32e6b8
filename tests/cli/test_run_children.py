"""Children of a program under `loopwright run`: those of multiprocessing have what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.run_session import end_of, write

if TYPE_CHECKING:
    from pathlib import Path

#: Each child asks as on 3.11 for a loop, and has a name that asyncio has lost by 3.14, before it starts one of its own.
PROGRAM = """
import asyncio, multiprocessing, os, pickle

asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())

class Watcher(asyncio.SafeChildWatcher):
    pass

class Thing:
    pass

def work(ways, thing, out):
    loop = asyncio.get_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.set_event_loop(None)
    strangers = {"install", "runpy", "json"} & set(globals())
    print(__name__, type(thing) is Thing, os.environ.get("LOOPWRIGHT_POLICY"), sorted(strangers), file=out, flush=True)
    start(ways, out)

def start(ways, out):
    if ways:
        child = multiprocessing.get_context(ways[0]).Process(target=run, args=(ways[1:], Thing()))
        child.start()
        child.join()
        assert child.exitcode == 0, ways

def run(ways, thing):
    with open("out", "a") as out:
        work(ways, thing, out)

if __name__ == "__main__":
    for ways in (["spawn", "spawn", "fork"], ["fork", "spawn"], ["forkserver", "spawn"]):
        start(ways, None)
"""

PLAIN = """
import asyncio, multiprocessing

def work():
    with open("out", "a") as out:
        print(hasattr(asyncio, "SafeChildWatcher"), file=out)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
    work()
"""


@pytest.mark.parametrize("command", ["program.py", pytest.param("-m program", marks=pytest.mark.slow)])
def test_they_and_their_children_are_as_the_program(tmp_path: Path, command: str):
    write(tmp_path, "program.py", PROGRAM)
    options = ["-W", "error", "-m", "loopwright", "run", "--legacy", "--policy", "selector"]
    assert end_of(tmp_path, [*options, *command.split()]) == (0, "", "")
    ends = [line.split(" ", 1) for line in (tmp_path / "out").read_text().splitlines()]
    assert [name for name, _ in ends] == ["__mp_main__"] * 3 + ["__main__", "__mp_main__"] + ["__mp_main__"] * 2
    assert {rest for _, rest in ends} == {"True selector []"}


def test_without_legacy_they_have_the_names_that_the_program_has(tmp_path: Path):
    write(tmp_path, "plain.py", PLAIN)
    assert end_of(tmp_path, ["-m", "loopwright", "run", "plain.py"]) == (0, "", "")
    child, program = (tmp_path / "out").read_text().split()
    assert child == program

"""When a keeper may be asked for, and what is told if it is lost."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.conftest import UVLOOP, factory_of
from tests.process.test_keeper import BEGINNING, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.test_keeper import Kept

    Runs = Callable[[int], bool]
    Soon = Callable[..., None]
    Start = Callable[..., Kept]

__all__ = ["start"]


# --- the keeper itself is lost


WITH_A_LOOP = """
from loopwright.loops import loop_factory

async def main():
    lost = asyncio.Event()
    keeper.when_lost(lost.set)
    say("waiting")
    try:
        await asyncio.wait_for(lost.wait(), float(sys.argv[2]))
        say("lost")
    except TimeoutError:
        say("not lost")
        keeper.forget()

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("loop_name", ["asyncio", "native", UVLOOP])
def test_a_keeper_that_is_killed(start: Start, soon: Soon, runs: Runs, loop_name: str) -> None:
    factory_of(loop_name)  # skips, or fails on CI, where there is none
    kept = start(WITH_A_LOOP, loop_name, "20")
    assert kept.line() == "waiting"
    os.kill(kept.popen.pid, signal.SIGKILL)
    assert kept.end() == (-signal.SIGKILL, "lost\n", "")
    soon(lambda: not runs(kept.pid))


@pytest.mark.long
@pytest.mark.parametrize("loop_name", ["asyncio", "native", UVLOOP])
def test_a_keeper_that_is_not(start: Start, loop_name: str) -> None:
    factory_of(loop_name)  # skips, or fails on CI, where there is none
    kept = start(WITH_A_LOOP, loop_name, "0.05")
    assert kept.end() == (0, "waiting\nnot lost\n", "")


# --- called at the wrong time


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "import threading as t; t.Thread(target=time.sleep, args=[100], name='other', daemon=True).start(); keep()",
            "other",
        ),
        ("import threading; thread = threading.Thread(target=keep); thread.start(); thread.join()", "one thread"),
        ("async def main():\n    keep()\nasyncio.run(main())", "before an event loop runs"),
    ],
    ids=["threads", "in-a-thread", "running-loop"],
)
def test_too_late(start: Start, call: str, message: str) -> None:
    """Nothing was split then: the program goes on, or ends, as the one process that it is."""
    beginning = BEGINNING.partition("keeper = keep()")[0]
    kept = start(f"{call}\n", beginning=beginning)
    _, out, err = kept.end()
    assert out == ""
    assert re.search(rf"CallerError: .*{message}", err)


def test_a_guard_and_a_keeper_refuse_each_other(start: Start) -> None:
    code = """
    from loopwright.errors import CallerError
    from loopwright.process import guard

    def refused():
        try:
            keep()
        except CallerError as error:
            say(error)

    async def main():
        async with await guard(cgroup=False) as guarding:
            say(repr(guarding))
            refused()
        say(repr(guarding))

    if sys.argv[1] == "guard":
        asyncio.run(main())
        keep(cgroup=False)  # it was dismissed
        say("kept")
    else:
        say(repr(keep(cgroup=False)))
        refused()
    """
    beginning = BEGINNING.partition("keeper = keep()")[0]
    status, said, err = start(code, "guard", beginning=beginning).end()
    assert re.fullmatch(
        r"<Guard process (\d+): without cgroups>\n"
        r"this program is guarded already, by process \1: .*; dismiss the guard first\n"
        r"<Guard process \1: dismissed>\nkept\n",
        said,
    ), err
    assert status == 0
    _, said, err = start(code, "keep", beginning=beginning).end()
    assert re.fullmatch(
        r"<Keeper process (\d+): without cgroups>\nthis program is kept already, by process \1: .* is enough\n", said
    ), err

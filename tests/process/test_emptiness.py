"""What has ended and left nothing is told without a look at every process there is."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import _proc, spawn
from tests.process.kept_program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

COUNTED = """
    from loopwright.process import _proc
    look, looks = _proc.look, []
    _proc.look = lambda: looks.append(1) or look()
    async with await spawn(["true"], start_new_session=True) as process:
        await process.wait()
        say(len(looks), process.tree_members())
        looks.clear()
        await process.wait_tree()
        say(process.signal_tree(0))
    ended = await process.end()
    say(len(looks), ended.proved, ended.left)
    process = await tree("end")
    say((await process.end(grace=0)).killed)
    if sys.argv[1].startswith("guard"):
        await above.dismiss()
"""


@pytest.mark.parametrize("kept", ["keep(cgroup=False)", "guard(cgroup=False)"])
def test_a_clean_end_under_a_keeper_needs_no_look(no_leaks: None, kept: str) -> None:
    if _proc.children(os.getpid()) is None:
        pytest.skip("this kernel does not list children (CONFIG_PROC_CHILDREN)")
    program = Program(COUNTED, kept)
    assert program.line() == "0 ()"
    assert program.line() == "False"
    assert program.line() == f"0 {kept.startswith('keep')} ()"
    _leader, *left = program.numbers()
    assert program.line() == str(tuple(sorted(left)))
    assert program.end() == (0, "", "")


@pytest.mark.parametrize("options", [{}, {"start_new_session": True}, {"process_group": 0}], ids=str)
def test_a_clean_end_of_an_ordinary_process_needs_no_look(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    async def main() -> None:
        looks: list[int] = []
        look = _proc.look
        monkeypatch.setattr(_proc, "look", lambda: looks.append(1) or look())
        async with await spawn(["true"], **options) as process:
            await process.wait()
            await process.wait_tree()
            assert (await process.end()).left == ()
        assert looks == []
        # And one that leaves something is looked for.
        async with await spawn(["sh", "-c", "sleep 100 & exit 0"], start_new_session=True) as process:
            await process.wait()
            assert len((await process.end(grace=0)).killed) == 1
        assert looks

    run(main())


def test_children_are_those_of_the_process(no_leaks: None) -> None:
    if (before := _proc.children(os.getpid())) is None:
        pytest.skip("this kernel does not list children (CONFIG_PROC_CHILDREN)")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        after = _proc.children(os.getpid())
        assert after is not None
        assert after - before == {child.pid}
    assert child.pid not in (_proc.children(os.getpid()) or ())
    assert _proc.children(child.pid) == frozenset()
    assert os.getppid() in _proc.above(os.getpid())

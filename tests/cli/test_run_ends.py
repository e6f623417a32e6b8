"""How a program ends under `loopwright run`: with the status, the words and the last acts that it has with python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.run_session import run_both, write

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTIBLE = """
import asyncio, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # who started the tests may have it ignored
"""

PROGRAMS = {
    "returns": (0, "print('done')"),
    "exits": (7, "import sys; sys.exit(7)"),
    "exits_with_words": (1, "raise SystemExit('sorry')"),
    "exits_beside_a_thread": (3, "import threading; threading.Thread(target=print, args=('t',)).start(); exit(3)"),
    "syntax": (1, "print('never')\nx = = 1"),
    "raises": (1, "def f():\n    raise ValueError('no')\nf()"),
    "raises_from": (1, "try:\n    {}['k']\nexcept KeyError as e:\n    raise OSError('x') from e"),
    "raises_a_group": (1, "raise ExceptionGroup('two', [ValueError(1), TypeError(2)])"),
    "raises_in_asyncio": (1, "import asyncio\nasync def main():\n    1 / 0\nasyncio.run(main())"),
    "has_its_own_hook": (
        1,
        """
        import sys
        def hook(kind, value, trace):
            print(kind, value.__traceback__ is trace, trace.tb_frame.f_code.co_name, trace.tb_next)
            print(sys.excepthook is hook)
        sys.excepthook = hook
        raise KeyError(1)
        """,
    ),
    "looks_at_the_last": (
        1,
        """
        import atexit, sys
        @atexit.register
        def last():
            print(sys.last_type, sys.last_value, sys.last_traceback.tb_frame.f_code.co_name)
        raise KeyError(1)
        """,
    ),
    "goes_on_afterwards": (
        0,
        """
        import atexit, threading
        go = threading.Event()
        def later():
            threading.main_thread().join()
            print(helper(), __name__)
        def helper():
            return "still there"
        threading.Thread(target=later).start()
        atexit.register(lambda: print(helper()))
        """,
    ),
    "interrupted": (-2, INTERRUPTIBLE + "signal.raise_signal(signal.SIGINT)"),
    "interrupted_in_asyncio": (
        -2,
        INTERRUPTIBLE
        + """
async def main():
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
    await asyncio.sleep(60)
asyncio.run(main())
""",
    ),
    "killed": (-15, "import os\nos.kill(os.getpid(), 15)"),
}

#: Of each of these there is another that is much like it.
MORE = ("exits_with_words", "exits_beside_a_thread", "raises_from", "raises_a_group", "raises_in_asyncio")


@pytest.mark.parametrize("how", ["script", pytest.param("module", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in MORE else []) for name in PROGRAMS]
)
def test_it_ends_as_it_does_with_python(tmp_path: Path, name: str, how: str):
    status, source = PROGRAMS[name]
    write(tmp_path, f"{name}.py", source)
    ended = run_both(tmp_path, *(["-m", name] if how == "module" else [f"{name}.py"]))
    assert ended.loopwright == ended.python
    assert ended.python.status == status


@pytest.mark.parametrize("source", ["# coding: latin-17", "x = '\0'"])
def test_what_is_no_program_is_told_without_frames_of_ours(tmp_path: Path, source: str):
    write(tmp_path, "wrong.py", source)
    ended = run_both(tmp_path, "wrong.py")
    assert ended.loopwright.status == ended.python.status == 1
    assert "SyntaxError" in ended.loopwright.err
    assert "loopwright" not in ended.loopwright.err.replace(str(tmp_path), "")

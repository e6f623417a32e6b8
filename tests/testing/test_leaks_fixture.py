"""The fixture that every test of this project has, against leaks."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import LOOPS

CONFTEST = Path(__file__).parent.parent / "conftest.py"

LEAKY = """
    import asyncio, os, subprocess, threading

    kept = []

    def test_descriptor():
        kept.append(os.dup(0))

    def test_thread():
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()

    def test_task(loop_factory):
        async def for_ever():
            await asyncio.get_running_loop().create_future()

        loop = loop_factory()
        kept.append(loop.create_task(for_ever()))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def test_loop(loop_factory):
        kept.append(loop_factory())

    def test_child():
        kept.append(subprocess.Popen(["sleep", "5"]))

    def test_clean(loop_factory):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.sleep(0))
"""


@pytest.mark.slow
def test_fixture_fails_each_test_that_leaks_and_no_other(tmp_path: Path) -> None:
    impatient = CONFTEST.read_text().replace("LeakCheck()", "LeakCheck(grace=0.05)")
    assert "grace=0.05" in impatient
    (tmp_path / "conftest.py").write_text(impatient)
    (tmp_path / "test_leaky.py").write_text(textwrap.dedent(LEAKY))
    options = ["-rE", "-q", "--color=no", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_leaky.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
    blamed = sorted(line.split(" - ")[0] for line in ran.stdout.splitlines() if line.startswith("ERROR "))
    loops = [f"[{name}]" for name in LOOPS if f"[{name}]" in ran.stdout]
    assert "[asyncio]" in loops
    assert blamed == sorted(
        [
            *(f"ERROR test_leaky.py::test_{kind}" for kind in ("child", "descriptor", "thread")),
            *(f"ERROR test_leaky.py::test_{kind}{loop}" for kind in ("loop", "task") for loop in loops),
        ]
    ), ran.stdout
    assert ran.returncode == 1

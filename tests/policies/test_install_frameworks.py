"""What others build on asyncio obeys the policy after install(): each in a Python of its own, as a program uses it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LOOP = """
import asyncio

class Loop(asyncio.SelectorEventLoop):
    pass

def kind():
    return type(asyncio.get_running_loop()).__name__
"""


@pytest.fixture(autouse=True)
def needed(request: pytest.FixtureRequest) -> None:
    """Each test is named after what it needs. The test group of pyproject.toml has it, so that CI must."""
    name = next(name for name in ("pytest_asyncio", "IPython", "uvicorn") if name.lower() in request.node.name)
    if importlib.util.find_spec(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed: on CI it must be tested with")
        pytest.skip(f"{name} is not installed")


def python(folder: Path, *arguments: str) -> str:
    # No warnings as errors here: some of these packages have their own to show on the newest Python.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"IPYTHONDIR": str(folder / ".ipython"), "HOME": str(folder)}
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def program(folder: Path, source: str) -> str:
    (folder / "program.py").write_text(LOOP + textwrap.dedent(source))
    return python(folder, "program.py")


def test_pytest_asyncio_obeys(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from test_loop import Loop\nfrom loopwright.policies import EventLoopPolicy, install\n"
        "install(EventLoopPolicy(loop=Loop))\n"
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tmp_path / "test_loop.py").write_text(
        LOOP
        + textwrap.dedent("""
        import pytest

        @pytest.fixture
        async def made_in():
            return asyncio.get_running_loop()

        async def test_function(made_in):
            assert type(made_in) is Loop and asyncio.get_running_loop() is made_in

        @pytest.mark.asyncio(loop_scope="module")
        async def test_module():
            assert kind() == "Loop"
    """)
    )
    printed = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error", ".")
    assert "2 passed" in printed


def test_ipython_obeys(tmp_path: Path) -> None:
    printed = program(
        tmp_path,
        """
        from loopwright.policies import EventLoopPolicy, installed
        with installed(EventLoopPolicy(loop=Loop)):
            from IPython.core.async_helpers import get_asyncio_loop
            print(type(get_asyncio_loop()).__name__)
            from IPython.core.interactiveshell import InteractiveShell
            shell = InteractiveShell.instance()
            shell.push({"asyncio": asyncio, "kind": kind})
            shell.run_cell("await asyncio.sleep(0); print(kind())", store_history=False)
            get_asyncio_loop().close()
        """,
    )
    assert printed == "Loop\nLoop\n"


UVICORN = """
import os, signal, sys
from loopwright.policies import EventLoopPolicy, install, uninstall

async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    print(kind(), flush=True)
    await send({"type": "lifespan.startup.complete"})
    signal.raise_signal(signal.SIGTERM)  # as soon as uvicorn listens for it, which it does before this
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

def serve(**how):
    import uvicorn
    # What uvicorn did not handle it raises again at the end, for whoever had the signal before.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(app, port=0, log_level="critical", **how)
"""


def test_uvicorn_obeys_unless_it_is_told_which_loop(tmp_path: Path) -> None:
    printed = program(
        tmp_path,
        UVICORN
        + """
install(EventLoopPolicy(loop=Loop))
assert "uvicorn" not in sys.modules
serve()
serve(loop="auto")
serve(loop="none")
serve(loop="asyncio")
install_again = uninstall()
serve(loop="asyncio")
from uvicorn.loops.auto import auto_loop_factory
print(auto_loop_factory.__module__)
assert [type(finder).__name__ for finder in sys.meta_path].count("ImportedLater") == 0
""",
    )
    standard = "_UnixSelectorEventLoop"
    assert printed.split() == ["Loop", "Loop", "Loop", standard, standard, "uvicorn.loops.auto"]


def test_uvicorn_obeys_when_it_was_imported_before(tmp_path: Path) -> None:
    printed = program(
        tmp_path,
        UVICORN
        + """
import uvicorn.loops.auto
original = uvicorn.loops.auto.auto_loop_factory
install(EventLoopPolicy(loop=Loop))
serve()
uninstall()
assert uvicorn.loops.auto.auto_loop_factory is original
""",
    )
    assert printed == "Loop\n"


def test_uvicorn_takes_new_event_loop_as_its_loop_factory(tmp_path: Path) -> None:
    printed = program(
        tmp_path,
        UVICORN
        + """
import loopwright
loopwright.set_event_loop_policy(EventLoopPolicy(loop=Loop))
serve(loop="loopwright:new_event_loop")
""",
    )
    assert printed == "Loop\n"


def test_uvicorns_module_keeps_its_own_loader(tmp_path: Path) -> None:
    printed = program(
        tmp_path,
        """
        from loopwright.policies import install
        install()
        import importlib, uvicorn.loops.auto as auto
        print(type(auto.__loader__).__name__, auto.__spec__.loader is auto.__loader__)
        print(auto.auto_loop_factory(use_subprocess=True).__module__)
        importlib.reload(auto)
        print(auto.auto_loop_factory(use_subprocess=True).__module__)
        """,
    )
    assert printed.split() == ["SourceFileLoader", "True", *["loopwright.policies._registry"] * 2]

"""The native loop under what others run loops with, as docs/reference/loops.md shows it, each in its own Python."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import factory_of
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    Program = Callable[..., str]

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs/reference/loops.md").read_text()
#: The test group of pyproject.toml has these, so that CI must.
IN_THE_GROUP = ("uvicorn", "pytest_asyncio")


def needs(package: str) -> None:
    factory_of("native")  # skips where it cannot run
    if importlib.util.find_spec(package) is None:
        if os.environ.get("CI") and package in IN_THE_GROUP:
            pytest.fail(f"{package} is not installed: on CI it must be tested with")
        pytest.skip(f"{package} is not installed")


def shown(line: str) -> str:
    """The line, which the page has for its readers."""
    assert line in PAGE
    return line


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def run(source: str, *arguments: str) -> str:
        (tmp_path / "program.py").write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, *(arguments or ("program.py",))],
            capture_output=True,
            text=True,
            timeout=50,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


ASGI = """
import asyncio, signal

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        asked = asyncio.create_task(ask())
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    body = type(asyncio.get_running_loop()).__name__.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

async def ask():
    for _ in range(200):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
    writer.write(b"GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n")
    print((await reader.read()).split()[-1].decode(), flush=True)
    writer.close()
    await end()
"""


SIGNALLED = """
async def end():
    signal.raise_signal(signal.SIGTERM)

# What uvicorn did not handle it raises again at the end, for whoever had the signal before.
signal.signal(signal.SIGTERM, lambda *_: None)
"""


def test_uvicorn(program: Program) -> None:
    needs("uvicorn")
    call = shown('uvicorn.run(app, loop="loopwright:NativeEventLoop")')
    source = f"PORT = {free_port()}\n{ASGI}{SIGNALLED}\nimport uvicorn\n{call[:-1]}, port=PORT, log_level='warning')\n"
    assert program(source) == "NativeEventLoop\n"


def test_uvicorn_from_its_command(program: Program) -> None:
    needs("uvicorn")
    port = free_port()
    option = shown("--loop loopwright:NativeEventLoop").split()
    command = ("-m", "uvicorn", *option, "--port", str(port), "--log-level", "warning", "program:app")
    source = f"PORT = {port}\n{ASGI}{SIGNALLED}"
    assert program(source, *command) == "NativeEventLoop\n"


def test_hypercorn(program: Program) -> None:
    needs("hypercorn")
    port = free_port()
    call = shown("asyncio.Runner(loop_factory=NativeEventLoop)")
    source = f"""
async def end():
    stopping.set()

async def main():
    global stopping
    stopping = asyncio.Event()
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    await serve(app, Config.from_mapping(bind="127.0.0.1:{port}", loglevel="WARNING"), shutdown_trigger=stopping.wait)

from loopwright.loops import NativeEventLoop
with {call} as runner:
    runner.run(main())
"""
    assert program(f"PORT = {port}\n{ASGI}{source}") == "NativeEventLoop\n"


def test_aiohttp(program: Program) -> None:
    needs("aiohttp")
    call = shown("web.run_app(app, loop=NativeEventLoop())")
    source = f"""
        import asyncio, signal
        from aiohttp import ClientSession, web
        from loopwright.loops import NativeEventLoop

        async def hello(request):
            return web.Response(text=type(asyncio.get_running_loop()).__name__)

        async def ask(app):
            async def later():
                async with ClientSession() as session:
                    for _ in range(200):
                        try:
                            async with session.get("http://127.0.0.1:PORT/") as response:
                                print(await response.text(), flush=True)
                                break
                        except OSError:
                            await asyncio.sleep(0.05)
                signal.raise_signal(signal.SIGTERM)
            task = asyncio.create_task(later())
            yield
            await task

        app = web.Application()
        app.add_routes([web.get("/", hello)])
        app.cleanup_ctx.append(ask)
        {call[:-1]}, host="127.0.0.1", port=PORT, print=None)
    """
    assert program(source.replace("PORT", str(free_port()))) == "NativeEventLoop\n"


def test_pytest_asyncio(program: Program, tmp_path: Path) -> None:
    needs("pytest_asyncio")
    hook = 'def pytest_asyncio_loop_factories(config, item):\n    return {"native": NativeEventLoop}\n'
    (tmp_path / "conftest.py").write_text(f"from loopwright.loops import NativeEventLoop\n\n{shown(hook)}")
    check_pytest_asyncio(program)


def test_pytest_asyncio_by_a_policy(program: Program, tmp_path: Path) -> None:
    needs("pytest_asyncio")
    (tmp_path / "conftest.py").write_text(f'import loopwright\n\n{shown("loopwright.install(")}"native")\n')
    check_pytest_asyncio(program)


def check_pytest_asyncio(program: Program) -> None:
    source = """
        import asyncio
        import pytest

        @pytest.mark.asyncio
        async def test_loop():
            assert type(asyncio.get_running_loop()).__name__ == "NativeEventLoop"
            await asyncio.sleep(0)
    """
    options = "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "program.py"
    assert "1 passed" in program(source, "-m", "pytest", "-o", "asyncio_default_fixture_loop_scope=function", *options)

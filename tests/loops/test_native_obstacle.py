"""Where the native loop cannot run: what is said, by whom, and that everything else goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from loopwright import _native
from loopwright.errors import LoopUnavailableError, MachineError, WrongPlatformError
from loopwright.loops import NativeEventLoop, available_loops, loop_factory
from loopwright.policies import EventLoopPolicy, NativeEventLoopPolicy
from tests.conftest import factory_of

ALL_SAY = """
import asyncio
from loopwright.errors import LoopUnavailableError
from loopwright.loops import NativeEventLoop, available_loops, loop_factory
from loopwright.policies import EventLoopPolicy, NativeEventLoopPolicy, policy_from

said = set()
asking = NativeEventLoop, lambda: loop_factory("native"), lambda: EventLoopPolicy(loop="native"), NativeEventLoopPolicy
for ask in (*asking, lambda: policy_from("native; max_tasks=3")):
    try:
        ask()
    except LoopUnavailableError as error:
        said.add(str(error))
said |= {report.detail for report in available_loops() if report.name == "native" and not report.available}
assert len(said) == 1, said
loop = loop_factory("asyncio")()
loop.run_until_complete(asyncio.sleep(0))
loop.close()
print(*said, flush=True)
"""


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refusal() -> str:
    """What everybody says who is asked for the loop: the same."""
    with pytest.raises(LoopUnavailableError) as told:
        NativeEventLoop()
    assert isinstance(told.value, MachineError)
    assert isinstance(told.value, ImportError)
    assert told.value.name == "loopwright._native"
    for ask in (lambda: loop_factory("native"), lambda: EventLoopPolicy(loop="native"), NativeEventLoopPolicy):
        with pytest.raises(type(told.value)) as again:
            ask()
        assert str(again.value) == str(told.value)
    (report,) = (report for report in available_loops() if report.name == "native")
    assert (report.available, report.detail) == (False, str(told.value))
    return str(told.value)


def test_where_compiled_code_is_not_to_be_used() -> None:
    said = python(ALL_SAY, LOOPWRIGHT_PURE="1")
    assert "LOOPWRIGHT_PURE is set in the environment; unset that, or use 'asyncio'" in said


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 13), reason="a subinterpreter of 3.12 that has imported asyncio ends the process"
)
def test_in_a_subinterpreter() -> None:
    within = "import sys\nsys.path[:0] = PATH\n" + ALL_SAY
    code = f"""
        import importlib, sys
        try:
            interpreters = importlib.import_module("_interpreters")
            run = "exec"
        except ModuleNotFoundError:
            interpreters = importlib.import_module("_xxsubinterpreters")
            run = "run_string"
        one = interpreters.create()
        failed = getattr(interpreters, run)(one, {within!r}.replace("PATH", repr(sys.path)))
        assert failed is None, failed
        interpreters.destroy(one)
    """
    assert "was not tested in subinterpreters, of which this is one; use 'asyncio' here" in python(code)


def test_where_it_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "MISSING", "it was not built for this Python: No module named '_core'")
    monkeypatch.setattr(_native, "WISHED_AWAY", False)
    said = refusal()
    assert "compiled code, and it was not built for this Python: No module named '_core'; install a C compiler" in said
    assert "LOOPWRIGHT_EXTENSIONS=require pip install" in said


def test_on_another_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert refusal() == "the loop 'native' is built on epoll, which is Linux's, and this is darwin; use 'asyncio'"
    with pytest.raises(WrongPlatformError):
        NativeEventLoop()


def test_on_a_free_threaded_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "abiflags", "t")
    assert "free-threaded builds of Python, of which this is one; use 'asyncio'" in refusal()


def test_a_class_of_ones_own_over_it_is_refused_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(NativeEventLoop):
        pass

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(WrongPlatformError, match="this is win32"):
        Mine()
    with pytest.raises(WrongPlatformError, match="this is win32"):
        EventLoopPolicy(loop=Mine).new_event_loop()


SCARCE = """
import gc, os, resource
from loopwright.loops import NativeEventLoop

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for left in (0, 1, 2):
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for _ in range(left):
        os.close(held.pop())
    try:
        NativeEventLoop().close()
        told = "made"
    except OSError as error:
        told = os.strerror(error.errno)
    gc.collect()  # what was not made does not complain that it was not closed
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
        more = "descriptors are left"
    except OSError:
        more = "none is left"
    for each in held:
        os.close(each)
    print(told, more, sep=", ")
"""


def test_without_descriptors_left() -> None:
    factory_of("native")  # skips where it cannot run
    assert python(SCARCE).splitlines() == [
        "Too many open files, none is left",
        "Too many open files, descriptors are left",
        "made, descriptors are left",
    ]

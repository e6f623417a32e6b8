from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import loops
from loopwright.errors import (
    CallerError,
    LoopUnavailableError,
    MachineError,
    NotALoopError,
    UnknownLoopError,
    WrongPlatformError,
)
from loopwright.loops import (
    LoopReport,
    NativeEventLoop,
    available_loops,
    loop_factory,
    loop_names,
    watches_by_itself,
)
from tests.conftest import factory_of

if TYPE_CHECKING:
    from pathlib import Path

HERE = ["asyncio", "default", "selector", "native", "uvloop"]


def expected_class(name: str) -> type[asyncio.AbstractEventLoop]:
    if name == "uvloop":
        uvloop: Any = pytest.importorskip("uvloop")
        loop_class: type[asyncio.AbstractEventLoop] = uvloop.Loop
        return loop_class
    if name == "native":
        factory_of(name)  # skips where it cannot run
        return NativeEventLoop
    return asyncio.SelectorEventLoop


@pytest.mark.parametrize("name", HERE)
def test_a_name_gives_new_loops_that_run(name: str) -> None:
    expected = expected_class(name)
    make = loop_factory(name)
    first, second = make(), make()
    try:
        assert isinstance(first, expected)
        assert first is not second
        assert first.run_until_complete(asyncio.sleep(0, "slept")) == "slept"
    finally:
        first.close()
        second.close()


class LoopOfMine(asyncio.SelectorEventLoop):
    pass


def make_mine() -> LoopOfMine:
    return LoopOfMine()


@pytest.mark.parametrize("given", [LoopOfMine, make_mine, lambda: LoopOfMine()])
def test_a_class_and_a_factory_are_taken_too(given: Any) -> None:
    loop = loop_factory(given)()
    try:
        assert type(loop) is LoopOfMine
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("uvlop", "uvloop"),
        ("Selector", "selector"),
        ("ASYNCIO", "asyncio"),
        (" defaul", "default"),
        ("NativeEventLoop", "native"),
        ("loopwright:NativeEventLoop", "native"),
        ("loopwright.loops.NativeEventLoop", "native"),
    ],
)
def test_a_misspelt_name_is_told_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(UnknownLoopError, match=re.escape(f"{wrong!r}; did you mean {right!r}?")):
        loop_factory(wrong)


@pytest.mark.parametrize("wrong", ["", "io_uring", "loop with spaces"])
def test_a_name_like_none_is_told_all(wrong: str) -> None:
    with pytest.raises(ValueError, match="no event loop is called") as caught:
        loop_factory(wrong)
    assert isinstance(caught.value, CallerError)
    assert "did you mean" not in str(caught.value)
    assert str(caught.value).endswith("there are: asyncio, selector, native, proactor, uvloop, rloop, winloop, default")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has them")
@pytest.mark.parametrize(("name", "instead"), [("proactor", "selector"), ("winloop", "uvloop")])
def test_a_loop_for_another_platform_says_what_to_use(name: str, instead: str) -> None:
    with pytest.raises(WrongPlatformError, match=rf"Windows.*this is {sys.platform}; use '{instead}'") as caught:
        loop_factory(name)
    assert isinstance(caught.value, LoopUnavailableError)
    assert isinstance(caught.value, MachineError)
    assert isinstance(caught.value, ImportError)


def test_on_windows_others_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(WrongPlatformError, match="'uvloop' is not made for Windows; use 'winloop'"):
        loop_factory("uvloop")
    with pytest.raises(WrongPlatformError, match="'rloop' is not made for Windows; use 'asyncio'"):
        loop_factory("rloop")
    with pytest.raises(LoopUnavailableError, match=r"'winloop' is not installed.*pip install winloop$"):
        loop_factory("winloop")
    monkeypatch.setitem(sys.modules, "winloop", types.SimpleNamespace(new_event_loop=LoopOfMine))
    loop = loop_factory("winloop")()
    assert type(loop) is LoopOfMine
    loop.close()


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_a_missing_package_is_told_how_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as the import system has it: not there, and not looked for
    with pytest.raises(LoopUnavailableError, match=rf"not installed.*pip install {name}$") as caught:
        loop_factory(name)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ImportError('undefined symbol: uv_loop_init')", "uv_loop_init"),
        ("import no_such_module", "no_such_module"),
    ],
)
def test_a_package_that_does_not_load_is_not_called_missing(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uvloop.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    with pytest.raises(LoopUnavailableError, match=rf"installed but does not load \(.*{reason}.*--force-reinstall"):
        loop_factory("uvloop")


@pytest.mark.parametrize("wrong", [None, 3, b"asyncio", ["asyncio"], int, object()])
def test_what_makes_no_loops_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="event loop") as caught:
        loop_factory(wrong)
    assert isinstance(caught.value, NotALoopError)


def test_a_loop_is_not_a_factory() -> None:
    loop = asyncio.SelectorEventLoop()
    try:
        with pytest.raises(NotALoopError, match="one event loop, where something that makes new ones"):
            loop_factory(loop)  # type: ignore[arg-type] # that is the mistake
    finally:
        loop.close()


async def coroutine_function() -> asyncio.AbstractEventLoop:
    raise AssertionError("nobody runs it")


def returns_nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (returns_nothing, "the loop factory returns_nothing returned None"),
        (lambda: "asyncio", "returned 'asyncio'"),
        (lambda: LoopOfMine, "returned <class"),
        (coroutine_function, "coroutine_function is a coroutine function"),
    ],
)
def test_a_factory_that_makes_something_else_is_named(factory: Any, message: str) -> None:
    make = loop_factory(factory)
    with pytest.raises(NotALoopError, match=message):
        make()


def test_what_a_factory_raises_is_passed_on() -> None:
    def fails() -> asyncio.AbstractEventLoop:
        raise OSError("no descriptors left")

    with pytest.raises(OSError, match="no descriptors left"):
        loop_factory(fails)()


def test_available_loops_tells_of_each_what_is_true() -> None:
    reports = {report.name: report for report in available_loops()}
    assert list(reports) == ["asyncio", "selector", "native", "proactor", "uvloop", "rloop", "winloop"]
    assert set(reports) < set(loop_names())
    for name, report in reports.items():
        if report.available:
            make = loop_factory(name)
            if name != "rloop":  # whose loop, in 0.5, leaves descriptors to the garbage collector when closed
                make().close()
        else:
            with pytest.raises(LoopUnavailableError, match=re.escape(report.detail)):
                loop_factory(name)
    version = ".".join(map(str, sys.version_info[:3]))
    assert reports["asyncio"].available
    assert reports["asyncio"].detail.endswith(f"EventLoop of Python {version}")


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_available_loops_gives_versions(name: str) -> None:
    package = pytest.importorskip(name)
    assert LoopReport(name, True, f"{name} {package.__version__}") in available_loops()


@pytest.mark.parametrize("name", ["uvloop", "rloop"])
def test_available_loops_says_what_to_do_for_a_missing_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    (report,) = (report for report in available_loops() if report.name == name)
    assert not report.available
    assert f"pip install {name}" in report.detail


def test_a_package_is_imported_only_when_asked_for() -> None:
    script = (
        "import sys, loopwright.loops, loopwright.policies\n"
        "loopwright.loops.loop_factory('asyncio')().close()\n"
        "print('uvloop' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_the_standard_loop_goes_by_our_name() -> None:
    assert loops.SelectorEventLoop is asyncio.SelectorEventLoop


class LoopOfTheirs(LoopOfMine):
    __module__ = "uvloop.loop"


class LoopOverTheirs(LoopOfTheirs):
    __module__ = __name__


@pytest.mark.parametrize(
    ("loop", "package"),
    [
        ("asyncio", None),
        ("default", None),
        ("native", None),
        ("uvloop", "uvloop"),
        ("rloop", "rloop"),
        (asyncio.SelectorEventLoop, None),
        (NativeEventLoop, None),
        (LoopOfTheirs, "uvloop"),
        (LoopOverTheirs, "uvloop"),
        (make_mine, None),
    ],
)
def test_loops_that_ask_no_watcher_are_known(loop: Any, package: str | None) -> None:
    assert watches_by_itself(loop) == package


@pytest.mark.parametrize(("kind", "package"), [(LoopOfMine, None), (LoopOverTheirs, "uvloop")])
def test_one_that_is_made_is_known_too(kind: type[asyncio.AbstractEventLoop], package: str | None) -> None:
    loop = kind()
    assert watches_by_itself(loop) == package
    loop.close()

"""What every test gets: loops to run on, and a check that it left nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.util
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.loops import NativeEventLoop
from loopwright.loops._native_obstacle import native_obstacle
from loopwright.process import PIPE, run
from loopwright.testing import LeakCheck
from loopwright.watchers import _plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def make_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new loop of the kind that tests call `name`, whatever policy is set."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    if name == "rloop":
        return new_rloop()
    if name == "native":
        return NativeEventLoop()
    loop: asyncio.AbstractEventLoop = importlib.import_module(name).new_event_loop()
    return loop


def has_loop(name: str) -> bool:
    if name == "native":
        return native_obstacle() is None
    return name == "asyncio" or importlib.util.find_spec(name) is not None


#: rloop 0.5 calls it, also where it is deprecated: Python 3.14.
RLOOPS_OWN = "ignore:'asyncio.iscoroutinefunction:DeprecationWarning"

#: Not rloop, which only watchers promise to work with: `watched_loop_factory`.
LOOPS = ("asyncio", "native", "uvloop")
#: In the quick runs the native loop stands for uvloop, too: either is compiled, and no loop of asyncio's own making.
UVLOOP = pytest.param("uvloop", marks=pytest.mark.slow)
RLOOP = pytest.param("rloop", marks=[pytest.mark.slow, pytest.mark.filterwarnings(RLOOPS_OWN)])


@pytest.fixture(params=["asyncio", "native", UVLOOP])
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes new loops; the test runs once for every kind of loop at hand."""
    return factory_of(request.param)


@pytest.fixture(params=["asyncio", "native", UVLOOP, RLOOP])
def watched_loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """As `loop_factory`, for tests of watchers, which are to work on rloop, too."""
    return factory_of(request.param)


@pytest.fixture(params=["asyncio", pytest.param("native", marks=pytest.mark.slow), UVLOOP, RLOOP])
def signalled_loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """As `watched_loop_factory`, for watchers by SIGCHLD: one handler tells of exits whatever loop there is."""
    return factory_of(request.param)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked long is slow, too, where it is repeated on another loop than asyncio's own; so is what the
    contract of loops, which knows nothing of pytest, calls slow."""
    for item in items:
        if isinstance(item, pytest.Function) and getattr(item.function, "slow", False):
            item.add_marker(pytest.mark.slow)
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if item.get_closest_marker("long") and {"native", "uvloop"} & {
            each for each in parameters.values() if isinstance(each, str)
        }:
            item.add_marker(pytest.mark.slow)


def factory_of(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if not has_loop(name):
        if name == "native":
            pytest.skip(str(native_obstacle()))
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed: on CI every loop must be tested")
        pytest.skip(f"{name} is not installed")
    return lambda: make_loop(name)


@functools.cache
def rloop_class() -> type[asyncio.AbstractEventLoop]:
    """rloop's loop as tests can use it. Version 0.5 leaves the descriptors that a loop polls with open for ever. And at
    the end of every run it closes both descriptors of its self-pipe behind the backs of their socket objects; those,
    when dropped, warn and close the numbers again, whatever they have come to mean in another thread by then."""
    import rloop

    class TidyLoop(rloop.RLoop):
        left_open: set[tuple[int, str]]

        def _ssock_stop(self) -> None:
            pair = self._ssock_r, self._ssock_w
            super()._ssock_stop()
            for end in pair:
                end.detach()

        def close(self) -> None:
            super().close()
            for number, _ in self.left_open:
                os.close(number)
            self.left_open.clear()
            # Were it ever collected, rloop would close the same numbers again, which are somebody else's by then.
            closed_rloops.append(self)

    return TidyLoop


def new_rloop() -> asyncio.AbstractEventLoop:
    before = polling_descriptors()
    loop: Any = rloop_class()()
    loop.left_open = polling_descriptors() - before  # it opens them in __new__
    return loop


closed_rloops: list[asyncio.AbstractEventLoop] = []


def polling_descriptors() -> set[tuple[int, str]]:
    """Those of epoll and eventfd, of which a loop of rloop has one each."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return {(number, target) for number, target in found if "[eventpoll]" in target or "[eventfd]" in target}


@pytest.fixture(scope="session", autouse=True)
def signals_are_as_at_a_terminal() -> None:
    """Whatever is ignored where the tests were started: by nohup(1), or by a shell for what it puts in the background.
    Children would inherit it. A handler is dropped at exec, and so spares the tests SIGHUP, and none of their children.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else lambda *_: None)


@pytest.fixture(scope="session", autouse=True)
def whole_process_things_are_open(signals_are_as_at_a_terminal: None) -> None:
    """Opens what libraries open once and keep: libuv, with its first loop, a pipe for its signals; libffi, as some
    systems build it, its own file, when ctypes makes its first call; we, low numbers for the ends of pipes."""
    ctypes.CDLL(None).getpid()
    _plain._usage_asker()

    async def use_everything() -> None:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        await run(["true"], stdout=PIPE)
        await asyncio.to_thread(str)

    for name in filter(has_loop, LOOPS):
        with asyncio.Runner(loop_factory=lambda name=name: make_loop(name)) as runner:
            runner.run(use_everything())
    # Before freezing: hypothesis looks for who else refers to what it seeds, and finds nobody among frozen objects.
    given(st.none())(lambda _: None)()


@pytest.fixture(scope="module", autouse=True)
def what_is_there_is_frozen(whole_process_things_are_open: None) -> None:
    """What was imported, and what pytest remembers of the files before, is nobody's leak: a check need not look through
    it, which would take several times as long as most tests do, nor a forked child copy it to do so. Whatever a test
    leaves is found at the end of that test, before it is frozen."""
    gc.collect()  # what is garbage by now would never be collected once it is frozen
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaks(what_is_there_is_frozen: None) -> Iterator[None]:
    """Fails a test that leaves a descriptor, thread, task, loop or child process behind, and names it."""
    with LeakCheck():
        yield

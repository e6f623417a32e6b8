"""What tests of CPython's check by private means (`differences`) and no other test of ours does: for the watchers
by SIGCHLD, with real children and real signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies import EventLoopPolicy
from loopwright.watchers import AbstractChildWatcher, FastChildWatcher, SafeChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Attached = SafeChildWatcher | FastChildWatcher


@pytest.fixture(params=[SafeChildWatcher, FastChildWatcher], ids=lambda kind: kind.__name__)
def watcher(request: pytest.FixtureRequest) -> Iterator[Attached]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def run(watcher: Attached) -> Iterator[Callable[[Any], None]]:
    """Runs a coroutine on a loop that the watcher has attached."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        watcher.attach_loop(runner.get_loop())
        yield lambda main: runner.run(asyncio.wait_for(main, 20))
        watcher.close()


def start(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ)


class Heard(asyncio.Future[Any]):
    """A callback that can be awaited."""

    def __call__(self, *args: Any) -> None:
        self.set_result(args)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what ends without an event is what is waited for
        await asyncio.sleep(0.005)


def ended(pid: int) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def is_ours(pid: int) -> bool:
    """Whether it is still there to be reaped."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def take(pid: int) -> int:
    """Reap it, which has ended, and give its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, os.WNOHANG)[1])


def test_the_signals_handler_comes_with_the_loop_and_goes_with_it(watcher: Attached) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    assert not watcher.is_active()
    loop = asyncio.SelectorEventLoop()
    watcher.attach_loop(loop)
    assert signal.getsignal(signal.SIGCHLD) != before
    watcher.attach_loop(None)
    assert signal.getsignal(signal.SIGCHLD) == before
    watcher.attach_loop(loop)
    watcher.close()
    assert signal.getsignal(signal.SIGCHLD) == before
    loop.close()


def test_two_children_that_end_one_after_the_other(watcher: Attached, run: Callable[[Any], None]) -> None:
    async def main() -> None:
        first, second = Heard(), Heard()
        with watcher:
            one, other = start("read _ < /dev/zero"), start("read _ < /dev/zero")
            watcher.add_child_handler(one, first, 7, 8)
            watcher.add_child_handler(other, second, 147, 18)
        os.kill(os.getpid(), signal.SIGCHLD)
        await asyncio.sleep(0)
        assert not first.done()
        os.kill(one, signal.SIGQUIT)
        assert await first == (one, -signal.SIGQUIT, 7, 8)
        os.kill(os.getpid(), signal.SIGCHLD)
        await asyncio.sleep(0)
        assert not second.done()
        os.kill(other, signal.SIGKILL)
        assert await second == (other, -signal.SIGKILL, 147, 18)
        await until(lambda: not is_ours(one) and not is_ours(other))

    run(main())


def test_a_loop_detached_with_a_child_pending_is_warned_of(watcher: Attached, run: Callable[[Any], None]) -> None:
    """The child is told of all the same, on the loop on which it was registered."""

    async def main() -> None:
        heard = Heard()
        with watcher:
            pid = start("read _ < /dev/zero")
            watcher.add_child_handler(pid, heard)
        with pytest.warns(RuntimeWarning, match="A loop is being detached"):
            watcher.attach_loop(None)
        os.kill(pid, signal.SIGKILL)
        watcher.attach_loop(asyncio.get_running_loop())
        assert await heard == (pid, -signal.SIGKILL)

    run(main())


def test_an_error_of_the_system_call_is_logged(
    watcher: Attached, run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not come out in the middle of the program, and the next signal finds the child."""

    def fail(*_: object) -> None:
        raise ValueError("not a thing that happens")

    async def main() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(repr(context["exception"])))
        heard = Heard()
        with watcher:
            pid = start("read _ < /dev/zero")
            watcher.add_child_handler(pid, heard)
        with monkeypatch.context() as patch:
            patch.setattr(os, "waitid", fail)
            patch.setattr(os, "wait4", fail)
            os.kill(os.getpid(), signal.SIGCHLD)
            await until(lambda: bool(told))
        assert set(told) == {"ValueError('not a thing that happens')"}
        os.kill(pid, signal.SIGKILL)
        assert await heard == (pid, -signal.SIGKILL)

    run(main())


def test_a_child_nobody_knows_ends_while_another_is_registered(
    watcher: Attached, run: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    reaps_all = isinstance(watcher, FastChildWatcher)

    async def main() -> None:
        known, running = Heard(), Heard()
        with caplog.at_level(logging.WARNING), watcher:
            one, stranger, other = start("exit 7"), start("exit 17"), start("read _ < /dev/zero")
            await until(lambda: ended(one) and ended(stranger) and (not reaps_all or not is_ours(stranger)))
            watcher.add_child_handler(one, known)
            watcher.add_child_handler(other, running)
            assert await known == (one, 7)
            assert not running.done()
        if reaps_all:
            assert f"reaped process {stranger}, which nobody has registered" in caplog.text
        else:
            assert take(stranger) == 17
        os.kill(other, signal.SIGKILL)
        assert await running == (other, -signal.SIGKILL)

    run(main())


def test_another_thread_has_the_policys_watcher_and_attaches_nothing(watcher: Attached) -> None:
    policy = EventLoopPolicy(child_watcher=watcher)
    found: list[object] = []

    def elsewhere() -> None:
        policy.set_event_loop(policy.new_event_loop())
        found.append(policy.get_child_watcher())
        with contextlib.suppress(RuntimeError):
            watcher.add_child_handler(1, print)
            found.append("registered, so a loop is attached")
        policy.get_event_loop().close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(20)
    assert found == [watcher]


def test_a_watcher_that_lacks_a_method_cannot_be_made() -> None:
    class Half(AbstractChildWatcher):  # subclassing warns of nothing: it would be an error here
        def close(self) -> None: ...
        def is_active(self) -> bool:
            return True

        def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None: ...

    for kind in (AbstractChildWatcher, Half):
        with pytest.raises(TypeError, match=r"abstract.*add_child_handler.*remove_child_handler"):
            kind()

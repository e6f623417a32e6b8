"""asyncio's own subprocesses, on the loops that a policy makes: who watches them, on every Python."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

import pytest

from loopwright import watchers
from loopwright.errors import CallerError, WatcherInactiveError
from loopwright.policies import (
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    Runner,
    get_event_loop_policy,
    run,
    set_event_loop_policy,
)
from loopwright.watchers import AbstractChildWatcher, PidfdChildWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

ALL_WATCHERS = sorted(
    (
        kind
        for kind in vars(watchers).values()
        if isinstance(kind, type) and issubclass(kind, AbstractChildWatcher) and kind is not AbstractChildWatcher
        if kind.__name__ != "KqueueChildWatcher"  # not for Linux
    ),
    key=lambda kind: kind.__name__,
)


class Noting(AbstractChildWatcher):
    """Notes what is asked of it, and has another watcher do it."""

    def __init__(self, inner: AbstractChildWatcher | None = None) -> None:
        self.inner = PidfdChildWatcher() if inner is None else inner
        self.asked: list[str] = []

    def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
        self.asked.append("add")
        self.inner.add_child_handler(pid, callback, *args)

    def remove_child_handler(self, pid: int) -> bool:
        return self.inner.remove_child_handler(pid)

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.inner.attach_loop(loop)

    def close(self) -> None:
        self.inner.close()

    def is_active(self) -> bool:
        self.asked.append("active")
        return self.inner.is_active()

    def __enter__(self) -> Self:
        self.asked.append("enter")
        self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.asked.append("exit" if kind is None else f"exit {kind.__name__}")
        self.inner.__exit__(kind, error, trace)


ASKED_ONCE = ["enter", "active", "add", "exit"]


@pytest.fixture(params=ALL_WATCHERS, ids=lambda kind: kind.__name__)
def watcher(request: pytest.FixtureRequest) -> Iterator[Noting]:
    made = Noting(request.param())
    yield made
    made.close()


@pytest.fixture
def noting() -> Iterator[Noting]:
    made = Noting()
    yield made
    made.close()


async def start(script: str, **options: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("sh", "-c", script, **options)


async def exit_code(script: str) -> int:
    process = await start(script)
    return await asyncio.wait_for(process.wait(), 20)


# --- served


async def everything() -> list[object]:
    """Every way in which asyncio starts a subprocess, and each way of ending."""
    ended = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.SubprocessProtocol):
        def process_exited(self) -> None:
            ended.set_result(threading.current_thread())

    by_exec = await start("read line; echo got $line; exit 3", stdin=-1, stdout=-1)
    output, _ = await by_exec.communicate(b"this\n")
    by_shell = await asyncio.create_subprocess_shell("sleep 60")
    by_shell.terminate()
    await by_shell.wait()
    transport, _ = await asyncio.get_running_loop().subprocess_exec(Protocol, "true")
    thread = await asyncio.wait_for(ended, 20)
    transport.close()
    return [output, by_exec.returncode, by_shell.returncode, transport.get_returncode(), thread]


def test_a_given_policys_watcher_serves_run(watcher: Noting) -> None:
    policy = EventLoopPolicy(child_watcher=watcher)
    here = threading.current_thread()
    assert run(everything(), policy=policy) == [b"got this\n", 3, -15, 0, here]
    assert watcher.asked == ASKED_ONCE * 3


def test_the_processs_policy_serves_asyncio_run(watcher: Noting) -> None:
    set_event_loop_policy(EventLoopPolicy(child_watcher=watcher))
    assert asyncio.run(everything())[:4] == [b"got this\n", 3, -15, 0]
    assert watcher.asked == ASKED_ONCE * 3


def test_many_at_once(watcher: Noting) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*[exit_code(f"exit {number}") for number in range(20)])

    assert run(main(), policy=EventLoopPolicy(child_watcher=watcher)) == list(range(20))
    assert watcher.asked.count("add") == 20


def test_a_given_policy_goes_before_the_processs(noting: Noting) -> None:
    other = Noting()
    set_event_loop_policy(EventLoopPolicy(child_watcher=other))
    with Runner(policy=EventLoopPolicy(child_watcher=noting)) as runner:
        assert runner.run(exit_code("exit 4")) == 4
        assert runner.run(exit_code("exit 5")) == 5
    other.close()
    assert (noting.asked, other.asked) == (ASKED_ONCE * 2, [])


def test_loops_made_by_hand_and_in_a_thread(noting: Noting) -> None:
    policy = EventLoopPolicy(loop="selector", child_watcher=noting)
    ended: list[int] = []

    def work() -> None:
        loop = policy.new_event_loop()
        ended.append(loop.run_until_complete(exit_code("exit 6")))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert (ended, noting.asked) == ([6], ASKED_ONCE)


def test_the_default_is_the_processs_watcher(monkeypatch: pytest.MonkeyPatch, noting: Noting) -> None:
    monkeypatch.setattr(watchers, "process_watcher", lambda: noting)
    assert type(get_event_loop_policy()) is DefaultEventLoopPolicy
    assert run(exit_code("exit 7")) == asyncio.run(exit_code("exit 7")) == 7
    assert noting.asked == ASKED_ONCE * 2


def test_a_watcher_set_meanwhile_serves_the_next(noting: Noting) -> None:
    policy = EventLoopPolicy(child_watcher=Noting())

    async def main() -> int:
        policy.set_child_watcher(noting)
        return await exit_code("exit 8")

    assert run(main(), policy=policy) == 8
    assert noting.asked == ASKED_ONCE


def test_a_subclass_chooses_the_watcher(noting: Noting) -> None:
    class Mine(EventLoopPolicy):
        def get_child_watcher(self) -> Any:
            return noting

    assert run(exit_code("exit 9"), policy=Mine()) == 9
    assert noting.asked == ASKED_ONCE


def test_silent_with_warnings_as_errors(script: Callable[..., str]) -> None:
    printed = script("""
        import asyncio
        from loopwright.policies import EventLoopPolicy, run, set_event_loop_policy
        from loopwright.watchers import PidfdChildWatcher

        async def main():
            process = await asyncio.create_subprocess_shell("exit 3")
            return await process.wait()

        with PidfdChildWatcher() as watcher:
            print(run(main(), policy=EventLoopPolicy(child_watcher=watcher)))
            set_event_loop_policy(EventLoopPolicy(child_watcher=watcher))
            print(asyncio.run(main()), run(main()))
            watcher.close()
    """)
    assert printed == "3\n3 3\n"


def test_a_loop_is_not_kept_by_its_policys_hook() -> None:
    loop = DefaultEventLoopPolicy().new_event_loop()
    plain = asyncio.SelectorEventLoop()
    references = weakref.ref(loop), weakref.ref(plain)
    loop.close()
    plain.close()
    del loop, plain
    assert [reference() for reference in references] == [None, None]


# --- what asyncio expects of a watcher


def test_an_inactive_watcher_starts_nothing(noting: Noting, tmp_path: Any) -> None:
    mark = tmp_path / "started"
    noting.close()
    with pytest.raises(RuntimeError, match=r"no subprocess was started.*set_child_watcher\(\)") as caught:
        run(exit_code(f"touch {mark}"), policy=EventLoopPolicy(child_watcher=noting))
    assert isinstance(caught.value, WatcherInactiveError)
    assert isinstance(caught.value, CallerError)
    assert noting.asked == ["enter", "active", "exit WatcherInactiveError"]
    assert not mark.exists()


def test_a_program_that_does_not_start_leaves_the_watcher(noting: Noting) -> None:
    async def main() -> None:
        await asyncio.create_subprocess_exec("/no/such/program")

    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        run(main(), policy=EventLoopPolicy(child_watcher=noting))
    assert noting.asked == ["enter", "active", "exit FileNotFoundError"]


def test_a_watcher_may_call_back_in_another_thread() -> None:
    class FromAThread(Noting):
        def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
            def wait() -> None:
                _, status = os.waitpid(pid, 0)
                callback(pid, os.waitstatus_to_exitcode(status), *args)

            self.thread = threading.Thread(target=wait)
            self.thread.start()

    watcher = FromAThread()
    here = threading.current_thread()
    assert run(everything(), policy=EventLoopPolicy(child_watcher=watcher)) == [b"got this\n", 3, -15, 0, here]
    watcher.thread.join(10)
    watcher.close()


def test_no_signal_is_sent_to_a_child_that_was_reaped(noting: Noting) -> None:
    """The transport knows of the end before the watcher reaps: what comes later meets no other process's pid."""

    async def main() -> list[bool]:
        process = await start("exit 0")
        seen = []
        while process.returncode is None:
            seen.append(str(process.pid) in os.listdir("/proc"))
            await asyncio.sleep(0)
        return seen

    assert all(run(main(), policy=EventLoopPolicy(child_watcher=noting)))


def test_a_cancelled_start_ends_the_child(noting: Noting) -> None:
    started: list[int] = []

    class Cancelling(Noting):
        def add_child_handler(self, pid: int, callback: Callable[..., object], *args: Any) -> None:
            super().add_child_handler(pid, callback, *args)
            started.append(pid)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    watcher = Cancelling(noting)
    with pytest.raises(asyncio.CancelledError):
        run(exit_code("sleep 60"), policy=EventLoopPolicy(child_watcher=watcher))
    (pid,) = started
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_loop_that_starts_them_in_its_own_way_is_left_alone(noting: Noting) -> None:
    class OwnWay(asyncio.SelectorEventLoop):
        async def _make_subprocess_transport(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError("none on this loop")

    with pytest.raises(NotImplementedError, match="none on this loop"):
        run(exit_code("true"), policy=EventLoopPolicy(loop=OwnWay, child_watcher=noting))
    assert noting.asked == []

"""What a loop hears of its children: all of it, though a callback raises; and what is left of it when it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus, StatusLost
from loopwright._spawning import Child, Request, launch
from loopwright.watchers import _hub
from loopwright.watchers._hubs import hub_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], asyncio.AbstractEventLoop]
    Status = ExitStatus | StatusLost


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.001)


def zombie(child: Child) -> bool:
    with open(f"/proc/{child.pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1] == b"Z"


def test_it_stays_with_a_loop_of_asyncio_and_leaves_others(loop_factory: Factory) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        heard: list[Status] = []
        child = launch(Request(["sh", "-c", "exit 3"]))
        hub_of(loop).watch(child, heard.append)
        assert hub_of(loop) is hub_of(loop)
        await until(lambda: heard)
        assert [status.returncode for status in heard] == [3]
        assert child.reaped
        if isinstance(loop, asyncio.BaseEventLoop):
            await asyncio.sleep(0.01)
            assert id(loop) in _hub.hubs
        else:
            await until(lambda: id(loop) not in _hub.hubs)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("held", [False, True])
def test_one_that_has_ended_already_is_told_of_in_a_later_pass(loop_factory: Factory, *, held: bool) -> None:
    """Not at once: whoever has started it is to have a moment to hold it in."""

    async def main() -> None:
        heard: list[Status] = []
        children = [launch(Request(["sh", "-c", f"exit {code}"])) for code in range(5)]
        for child in children:
            await until(lambda child=child: zombie(child))
        for child in children:
            hub_of(asyncio.get_running_loop()).watch(child, heard.append)
        assert (heard, [child.status for child in children]) == ([], [None] * 5)
        if held:
            children[0].hold()
        await until(lambda: len(heard) == 5 and all(child.reaped for child in children[held:]))
        assert sorted(status.returncode or 0 for status in heard) == [0, 1, 2, 3, 4]
        if held:
            assert zombie(children[0])
            children[0].release()
        assert all(child.reaped for child in children)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_callback_that_raises_hides_no_other_exit(loop_factory: Factory, kind: type[BaseException]) -> None:
    loop = loop_factory()
    told: list[type] = []
    loop.set_exception_handler(lambda _, context: told.append(type(context.get("exception"))))
    heard: list[int] = []
    children = [launch(Request(["sleep", "1000"])) for _ in range(10)]

    def on_exit(index: int) -> Callable[[Status], None]:
        def hear(status: Status) -> None:
            heard.append(index)
            if index % 3 == 0:
                raise kind("of the callback")

        return hear

    async def main() -> None:
        for index, child in enumerate(children):
            hub_of(loop).watch(child, on_exit(index))
            child.send_signal(signal.SIGKILL)
        while not all(map(zombie, children)):  # so that they are all heard of at once: the loop does not run meanwhile
            os.sched_yield()

    async def rest() -> None:
        await until(lambda: len(set(heard)) == 10 and all(child.reaped for child in children))

    for _ in range(20):
        with contextlib.suppress(KeyboardInterrupt):  # it goes through run_until_complete(), and the loop may go on
            loop.run_until_complete(rest() if heard else main())
    # An interruption may come before the callback has done anything, and so it is called again, once.
    again = range(0, 10, 3) if kind is KeyboardInterrupt else ()
    assert sorted(heard) == sorted([*range(10), *again])
    assert all(child.reaped for child in children)
    assert told == ([ValueError] * 4 if kind is ValueError else [])
    tidy(loop)


def tidy(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that an interruption has left, and close the loop."""

    async def drain() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop.run_until_complete(drain())
    loop.close()
    # asyncio's Handle._run() makes a cycle of an exception, its traceback and what was called, the hub's place in the
    # loop included.
    gc.collect()


def test_one_that_cannot_be_watched_leaves_no_hub(loop_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        child = launch(Request(["true"]))
        pidfd, child.pidfd = child.pidfd, 9999
        with pytest.raises(OSError) as caught:
            hub_of(loop).watch(child, lambda _: None)
        assert caught.value.errno == errno.EBADF
        child.pidfd = pidfd
        await until(lambda: zombie(child))
        child.note_exit(ExitStatus(0))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


class Late:
    def __init__(self, heard: list[Status]) -> None:
        self._heard = heard

    def come_due(self) -> None:
        self._heard.append(StatusLost("no"))


def test_a_closed_loop_gives_its_descriptors_back(loop_factory: Factory) -> None:
    """At once, whoever still holds the hub; and a loop that is dropped without being closed, with it."""
    before = set(os.listdir("/proc/self/fd"))
    loop = loop_factory()

    async def main() -> Any:
        hub = hub_of(asyncio.get_running_loop())
        child = launch(Request(["true"]))
        heard: list[Status] = []
        hub.watch(child, heard.append)
        hub.expect(Late(heard))
        await until(lambda: len(heard) == 2)
        return hub

    hub = loop.run_until_complete(main())
    loop.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert hub.is_idle


def test_children_of_a_closed_loop_are_reaped_later(loop_factory: Factory) -> None:
    """Whether or not a hub was made since for another loop."""
    lost: list[Status] = []

    async def leave() -> Child:
        child = launch(Request(["sleep", "1000"]))
        hub_of(asyncio.get_running_loop()).watch(child, lost.append)
        return child

    loop = loop_factory()
    child = loop.run_until_complete(leave())
    loop.close()
    del loop

    async def other() -> None:
        loop = asyncio.get_running_loop()
        heard: list[Status] = []
        hub_of(loop).watch(launch(Request(["true"])), heard.append)
        await until(lambda: heard)

    for alive in (True, False):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(other())
            if alive:
                assert not child.reaped
                child.send_signal(signal.SIGKILL)
            else:
                runner.run(until(lambda: child.reaped))
    assert child.status is not None
    assert child.status.returncode == -signal.SIGKILL
    assert lost == []


def test_a_forked_child_has_none_of_it(loop_factory: Factory) -> None:
    """Its copies are closed, so that the parent's stay whole; and a loop of its own works."""

    async def one_of_its_own() -> None:
        heard: list[Status] = []
        hub_of(asyncio.get_running_loop()).watch(launch(Request(["sh", "-c", "exit 4"])), heard.append)
        await until(lambda: heard)
        assert heard[0].returncode == 4

    def child(number: int) -> int:
        if _hub.hubs or _hub.held:
            return 1
        try:
            os.fstat(number)
        except OSError:
            pass
        else:
            return 2
        asyncio.events._set_running_loop(None)  # os.fork() does it from Python 3.12 on
        with asyncio.Runner() as runner:
            runner.run(one_of_its_own())
        return 0

    async def main() -> None:
        heard: list[Status] = []
        hub = hub_of(asyncio.get_running_loop())
        process = launch(Request(["sleep", "1000"]))
        hub.watch(process, heard.append)
        number = hub.fileno()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, if an earlier test needed a worker
            pid = os.fork()
        if pid == 0:
            code = 3
            try:
                code = child(number)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222 - of the fork
        process.send_signal(signal.SIGKILL)
        await until(lambda: heard)
        assert heard[0].returncode == -signal.SIGKILL

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())

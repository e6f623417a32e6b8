"""A place where nothing runs, as `Supervisor` sees it: held to the same contract as the real one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._core import ExitStatus
from loopwright.supervision import ServiceSpec
from loopwright.testing import Act, Refusal, Run, ScriptedPlacement, run_with_fake_clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TERM, KILL = signal.SIGTERM, signal.SIGKILL
ONE = ServiceSpec("web", ("x",)).each()[0]
TWO = ServiceSpec("web", ("x",), instances=2).each()


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Descriptors alone, which is quick: these tests are many and tiny, and nothing real is started."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


class Play:
    """A placement, and what one process in it writes and comes to."""

    def __init__(self, *script: Run | Refusal) -> None:
        self.placement = ScriptedPlacement({"web": script})
        self.lines: list[tuple[float, str]] = []

    def line(self, text: str, continued: bool) -> None:
        assert not continued
        self.lines.append((now(), text))

    def run(self, main: Callable[[Any], Awaitable[Any]]) -> Any:
        async def play() -> Any:
            return await main(await self.placement.start(ONE, self.line))

        return run_with_fake_clock(play(), patience=0.02)

    @property
    def acts(self) -> list[tuple[float, str]]:
        return [(act.at, act.what) for act in self.placement.acts]


def now() -> float:
    return asyncio.get_running_loop().time()


async def to_the_end(placed: Any) -> tuple[Any, float, Any, float]:
    status = await placed.wait()
    ended = now()
    note = await placed.wait_gone()
    return status, ended, note, now()


def test_it_runs_for_as_long_as_the_script_says() -> None:
    play = Play(Run(seconds=3.0, status=ExitStatus(7), starting=1.0, note="a note"))
    assert play.run(to_the_end) == (ExitStatus(7), 4.0, "a note", 4.0)
    assert play.acts == [(0.0, "start"), (4.0, "exit"), (4.0, "gone")]


@pytest.mark.parametrize("number", [TERM, KILL, signal.SIGUSR1])
def test_a_signal_ends_it(number: int) -> None:
    play = Play(Run(ending=2.0))

    async def main(placed: Any) -> Any:
        await asyncio.sleep(1.0)
        assert placed.signal(number) is True
        result = await to_the_end(placed)
        assert placed.signal(number) is False
        return result

    end = 1.0 if number == KILL else 3.0
    assert play.run(main) == (ExitStatus(None, number), end, None, end)
    assert play.placement.signals("web") == [(1.0, number)]


def test_a_second_signal_does_not_put_the_end_off() -> None:
    play = Play(Run(ending=2.0))

    async def main(placed: Any) -> Any:
        placed.signal(TERM)
        await asyncio.sleep(1.0)
        placed.signal(signal.SIGINT)
        return await to_the_end(placed)

    assert play.run(main) == (ExitStatus(None, TERM), 2.0, None, 2.0)


def test_what_it_ignores_does_nothing_and_sigkill_cannot_be_ignored() -> None:
    play = Play(Run(ignores=(TERM, KILL)))

    async def main(placed: Any) -> Any:
        assert placed.signal(TERM)
        await asyncio.sleep(5.0)
        assert placed.signal(KILL)
        return await to_the_end(placed)

    assert play.run(main) == (ExitStatus(None, KILL), 5.0, None, 5.0)


def test_what_it_leaves_runs_on_for_a_while() -> None:
    play = Play(Run(seconds=1.0, leaves=2.0))
    assert play.run(to_the_end) == (ExitStatus(0), 1.0, None, 3.0)
    assert play.acts == [(0.0, "start"), (1.0, "exit"), (3.0, "gone")]


def test_what_it_leaves_heeds_a_signal_to_the_group_even_one_that_came_before() -> None:
    play = Play(Run(seconds=1.0, ignores=(TERM,), leaves=10.0, ending=2.0))

    async def main(placed: Any) -> Any:
        placed.signal(TERM)
        return await to_the_end(placed)

    assert play.run(main) == (ExitStatus(0), 1.0, None, 2.0)


def test_what_it_leaves_may_have_ended_before_it() -> None:
    play = Play(Run(seconds=3.0, ignores=(TERM,), leaves=10.0))

    async def main(placed: Any) -> Any:
        placed.signal(TERM)
        return await to_the_end(placed)

    assert play.run(main) == (ExitStatus(0), 3.0, None, 3.0)


def test_what_it_leaves_may_ignore_what_ends_it() -> None:
    play = Play(Run(leaves=10.0, left_ignores=(TERM,)))

    async def main(placed: Any) -> Any:
        placed.signal(TERM)
        status = await placed.wait()
        await asyncio.sleep(4.0)
        assert placed.signal(TERM)
        await asyncio.sleep(1.0)
        assert placed.signal(KILL)
        await placed.wait_gone()
        return status, now()

    assert play.run(main) == (ExitStatus(None, TERM), 5.0)


def test_a_refusal_is_raised_and_leaves_nothing() -> None:
    error = OSError(errno.EAGAIN, "not now")
    play = Play(Refusal(error=error, starting=2.0))
    with pytest.raises(OSError, match="not now") as caught:
        play.run(to_the_end)
    assert caught.value is error
    assert play.acts == [(0.0, "start"), (2.0, "refused")]
    assert not play.placement.present


def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    placement = ScriptedPlacement({"web": [Run(starting=9.0)]})

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await placement.start(ONE, print)
        assert not placement.present

    run_with_fake_clock(main())


def test_lines_come_at_their_times_and_wait_while_they_are_held() -> None:
    play = Play(Run(seconds=5.0, lines=[(1.0, "a"), (2.0, "b"), (3.0, "c"), (6.0, "never")]))

    async def main(placed: Any) -> Any:
        await asyncio.sleep(1.5)
        placed.hold_output(True)
        placed.hold_output(True)
        await asyncio.sleep(6.0)
        task = asyncio.create_task(placed.wait_gone())
        await asyncio.sleep(0)
        assert not task.done()
        placed.hold_output(False)
        await task
        return now()

    assert play.run(main) == 7.5
    assert play.lines == [(1.0, "a"), (7.5, "b"), (7.5, "c")]
    assert [act for act in play.acts if act[1] in ("hold", "release")] == [(1.5, "hold"), (7.5, "release")]


def test_who_is_hurried_is_held_no_more() -> None:
    play = Play(Run(lines=[(1.0, "a"), (3.0, "b")]))

    async def main(placed: Any) -> None:
        placed.hold_output(True)
        await asyncio.sleep(2.0)
        placed.hurry()
        placed.hold_output(True)
        await asyncio.sleep(2.0)

    play.run(main)
    assert play.lines == [(2.0, "a"), (3.0, "b")]


def test_the_last_entry_goes_on_for_ever_and_names_come_before_services() -> None:
    placement = ScriptedPlacement({"web": [Run(seconds=1.0), Run(seconds=2.0)], "web.2": [Run(seconds=8.0)]})

    async def main() -> list[float]:
        lengths = []
        for instance in (TWO[0], TWO[0], TWO[0], TWO[1], ONE):
            began = now()
            placed = await placement.start(instance, print)
            assert placement.present == {instance.name}
            await placed.wait_gone()
            lengths.append(now() - began)
        return lengths

    assert run_with_fake_clock(main()) == [1.0, 2.0, 2.0, 8.0, 1.0]
    assert placement.starts("web.1") == [0.0, 1.0, 3.0]
    pids = {act for act in placement.acts if act.what == "start"}
    assert Act(5.0, "web.2", "start") in pids


def test_no_two_starts_have_one_pid() -> None:
    placement = ScriptedPlacement({"web": [Run(seconds=1.0)]})

    async def main() -> list[int]:
        pids = []
        for _ in range(3):
            placed = await placement.start(ONE, print)
            pids.append(placed.pid)
            await placed.wait_gone()
        return pids

    assert len(set(run_with_fake_clock(main()))) == 3


def test_two_of_one_instance_at_a_time_are_refused() -> None:
    play = Play(Run(seconds=1.0, leaves=5.0))

    async def main(placed: Any) -> None:
        await asyncio.sleep(3.0)  # its process has ended; what it left has not
        await play.placement.start(ONE, play.line)

    with pytest.raises(AssertionError, match=r"^web was started while something of it was left$"):
        play.run(main)


def test_an_empty_script_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"^the script of 'web' is empty: it needs an entry for the first start$"):
        ScriptedPlacement({"web": []})

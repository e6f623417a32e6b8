"""The supervisor cancelled, in whatever way: everything is ended, and that is waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loopwright.supervision import (
    Outcome,
    State,
)
from loopwright.testing import Refusal, Run, run_with_fake_clock
from tests.supervision.scripted import CRASH, DAY, KILL, TERM, Play, service

if TYPE_CHECKING:
    pass


def test_cancelling_it_kills_everything_and_waits_for_that(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {"web": [Run(ignores=(TERM,))], "db": [Run(starting=4.0)]}
    scene = play([service("web"), service("db"), service("later", "db")], scripts)

    async def main() -> float:
        task = asyncio.create_task(scene.supervisor.run())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.sleep(1.0)
        task.cancel()  # and again while it waits for the one that is being started
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not scene.placement.present
        return asyncio.get_running_loop().time()

    assert run_with_fake_clock(main()) == 4.0
    assert scene.placement.signals("web") == [(1.0, KILL)]
    assert scene.placement.signals("db") == [(4.0, KILL)]
    assert scene.order("start") == ["web", "db"]


def test_a_timeout_around_it_ends_everything_too(play: Play) -> None:
    scene = play([service("web")])

    async def main() -> None:
        async with asyncio.timeout(7.0):
            await scene.supervisor.run()

    with pytest.raises(TimeoutError):
        run_with_fake_clock(main())
    assert scene.placement.signals("web") == [(7.0, KILL)]


@pytest.mark.parametrize(
    "script", [Run(), Run(starting=9.0), Run(seconds=0.5, leaves=DAY, left_ignores=(TERM,)), CRASH]
)
def test_a_program_that_ends_with_a_supervisor_still_running_leaves_nothing_behind(script: Run, play: Play) -> None:
    """asyncio.run() cancels every task there is, the supervisor's own among them."""
    scene = play([service("web"), service("db")], {"web": [script], "db": [Run(ignores=(TERM,))]})

    async def main() -> asyncio.Task[Outcome]:
        task = asyncio.create_task(scene.supervisor.run())
        await asyncio.sleep(1.25)
        return task

    assert run_with_fake_clock(main()).cancelled()
    assert not scene.placement.present
    assert {life.state for life in scene.lives.values()} == {State.STOPPED}
    assert scene.events[-1][0] == 1.25


def test_who_cancels_a_services_task_ends_everything(play: Play) -> None:
    scene = play([service("web"), service("db")], {"web": [Run(ignores=(TERM,))]})

    async def main() -> Outcome:
        task = asyncio.create_task(scene.supervisor.run())
        await asyncio.sleep(1.0)
        [web] = [each for each in asyncio.all_tasks() if each.get_name() == "loopwright web"]
        web.cancel()
        return await task

    assert run_with_fake_clock(main()).reason == "the supervisor was cancelled"
    assert scene.placement.signals("web") == scene.placement.signals("db") == [(1.0, KILL)]

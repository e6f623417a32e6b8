"""Who listens to a supervisor: may raise, may have everything ended at any word."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.supervision import (
    Event,
    Exited,
    Healthy,
    Note,
    Outcome,
    Output,
    Restarting,
    RestartPolicy,
    RestartRule,
    Started,
    State,
    Stopped,
    Stopping,
    Supervisor,
)
from loopwright.testing import Run, ScriptedPlacement, run_with_fake_clock
from tests.supervision.scripted import CRASH, DAY, KILL, TERM, Play, service

if TYPE_CHECKING:
    pass


def test_a_listener_that_raises_costs_no_service(play: Play) -> None:
    problems: list[dict[str, Any]] = []

    def raises(event: Event) -> None:
        raise RuntimeError(f"{type(event).__name__} is too much for me")

    scene = play([service("web")], {"web": [CRASH, Run(lines=[(0.5, "hello")])]}, listener=raises).stop_at(5.0)
    scene.at(0.0, lambda: asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context)))
    assert scene.run().success
    # What was said before the handler was set went to the log; nothing is said before the clock's first timer but that.
    assert len(problems) in (len(scene.events), len(scene.events) - 1)
    assert all(str(problem["exception"]).endswith("is too much for me") for problem in problems)
    assert problems[-1]["message"].startswith("the supervisor's listener raised on Stopped(instance='web'")


def test_a_clock_that_raises_costs_no_service() -> None:
    problems: list[str] = []
    heard: list[Event] = []
    times = iter([0.0, 1.0])

    def clock() -> float:
        try:
            return next(times)
        except StopIteration:
            raise OSError("the clock is broken") from None

    never = RestartPolicy(rule=RestartRule.NEVER)
    placement = ScriptedPlacement({"web": [Run(seconds=1.0), Run(ignores=(TERM,))]})
    services = [service("web"), service("job", restart=never)]
    supervisor = Supervisor(services, placement=placement, listener=heard.append, clock=clock)

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context["message"]))
        loop.call_at(5.0, supervisor.stop)
        return await supervisor.run()

    assert run_with_fake_clock(main()) == Outcome("asked to stop", asked=True, failed=())
    assert len(heard) == 2
    assert placement.starts("web") == [0.0, 1.5]
    assert problems[-1] == "the supervisor's clock raised, and its listener is not told: Stopped of 'web'"


def test_nobody_has_to_listen() -> None:
    placement = ScriptedPlacement({"web": [Run(seconds=1.0)]})
    policy = RestartPolicy(rule=RestartRule.NEVER)
    assert run_with_fake_clock(Supervisor([service("web", restart=policy)], placement=placement).run()).success


@pytest.mark.parametrize("verb", ["stop", "kill"])
@pytest.mark.parametrize("kind", [Started, Output, Exited, Restarting, Stopping, Healthy, Note])
def test_a_listener_may_have_everything_ended_at_any_word(kind: type[Event], verb: str, play: Play) -> None:
    def ends(event: Event) -> None:
        if isinstance(event, kind):
            getattr(scene.supervisor, verb)("I have heard enough")

    last = Run(lines=[(0.5, "hello")], seconds=20.0, leaves=DAY, left_ignores=(TERM,), note="not sure")
    scene = play([service("web", grace_period=1.0)], {"web": [CRASH, last]}, listener=ends).stop_at(40.0)
    assert scene.run().success
    assert scene.lives["web"].state is State.STOPPED
    if verb == "kill":
        assert scene.events[-1][0] == scene.times(kind)[0]
        assert len(scene.said(Stopped)) == (kind is not Restarting)


@pytest.mark.parametrize("kind", [Restarting, Stopping])
@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_no_timer_outlives_what_a_listener_ended(verb: str, kind: type[Event], play: Play) -> None:
    def ends(event: Event) -> None:
        if isinstance(event, kind):
            getattr(scene.supervisor, verb)()

    seconds = 1.0 if kind is Restarting else DAY
    scene = play([service("web")], {"web": [Run(seconds=seconds)]}, listener=ends)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        stop = loop.call_at(1.0, scene.supervisor.stop)
        await scene.supervisor.run()
        stop.cancel()
        # While a call from another thread is waited for, the clock would go to any timer that is set.
        called = loop.create_future()
        caller = threading.Timer(0.02, loop.call_soon_threadsafe, (called.set_result, None))
        caller.start()
        await called
        caller.join()
        return loop.time()

    assert run_with_fake_clock(main()) == 1.0


def test_no_grace_period_runs_while_it_is_killed(play: Play) -> None:
    class Slow(ScriptedPlacement):
        """Where SIGKILL takes a moment of real time, during which the fake clock would go to any timer that is set."""

        async def start(self, instance: Any, on_line: Any) -> Any:
            placed = await super().start(instance, on_line)
            loop, send = asyncio.get_running_loop(), placed.signal

            def signal_later(number: int) -> bool:
                if number != KILL:
                    return send(number)
                threading.Timer(0.02, loop.call_soon_threadsafe, (send, number)).start()
                return True

            placed.signal = signal_later  # type: ignore[method-assign]  # nothing else tells what is sent
            return placed

    def kills(event: Event) -> None:
        if isinstance(event, Stopping):
            scene.supervisor.kill()

    scene = play([service("web")], {"web": [Run(ignores=(TERM,))]}, listener=kills, placement=Slow).stop_at(1.0)
    scene.run()
    assert scene.placement.signals("web") == [(1.0, TERM), (1.0, KILL)]
    assert scene.times(Stopped) == [1.0]

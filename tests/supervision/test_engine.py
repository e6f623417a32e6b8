"""The supervisor, with processes that follow a script: whole days, to the exact second."""

from __future__ import annotations

import asyncio
import errno
import signal
from typing import TYPE_CHECKING

import pytest

from loopwright._core import ExitStatus
from loopwright.errors import CallerError
from loopwright.supervision import (
    Exited,
    Failed,
    Finished,
    Note,
    Outcome,
    Restarting,
    RestartPolicy,
    RestartRule,
    Started,
    State,
    Stopped,
    Stopping,
    Supervisor,
)
from loopwright.testing import Refusal, Run, run_with_fake_clock
from tests.supervision.scripted import CRASH, DAY, KILL, TERM, Play, service

if TYPE_CHECKING:
    pass

# --- order


CHAIN = [service("web", "db"), service("db", "disk"), service("disk"), service("other")]


def test_a_service_starts_when_every_instance_of_what_it_needs_was_started(play: Play) -> None:
    services = [service("web", "db"), service("db", instances=3), service("other")]
    scripts: dict[str, list[Run | Refusal]] = {
        "db.1": [Run(starting=1.0)],
        "db.2": [Refusal(error=OSError(errno.EAGAIN, "")), Run(starting=2.0)],
    }
    scene = play(services, scripts).stop_at(10.0)
    scene.run()
    assert scene.order("start") == ["db.1", "db.2", "db.3", "other", "db.2", "web"]
    assert scene.placement.starts("web") == [2.5]
    assert scene.times(Started, "db.2") == [2.5]


def test_they_end_in_waves_each_when_all_that_need_it_are_gone(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {
        "web": [Run(ending=1.0)],
        "db": [Run(ending=2.0)],
        "disk": [Run()],
        "other": [Run(ending=0.5)],
    }
    scene = play(CHAIN, scripts).stop_at(5.0)
    outcome = scene.run()
    assert outcome == Outcome("asked to stop", asked=True, failed=())
    assert scene.times(Stopping, "web") == scene.times(Stopping, "other") == [5.0]
    assert scene.times(Stopping, "db") == scene.times(Stopped, "web") == [6.0]
    assert scene.times(Stopping, "disk") == scene.times(Stopped, "db") == [8.0]
    assert scene.order("start") == ["disk", "other", "db", "web"]
    assert scene.order("gone") == ["other", "web", "db", "disk"]
    assert {event.reason for _, event in scene.said(Stopping)} == {"asked to stop"}


def test_who_ends_at_the_same_time_is_asked_in_the_reverse_of_the_starting_order(play: Play) -> None:
    scene = play([service("a", instances=2), service("b"), service("c", instances=2)]).stop_at(1.0)
    scene.run()
    assert scene.order("start") == ["a.1", "a.2", "b", "c.1", "c.2"]
    assert scene.order("signal") == ["c.2", "c.1", "b", "a.2", "a.1"]


def test_what_crashes_while_everything_ends_is_not_started_again(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {"web": [Run(ending=3.0)], "db": [Run(seconds=6.0)]}
    scene = play(CHAIN, scripts).stop_at(5.0)
    scene.run()
    assert scene.placement.starts("db") == [0.0]
    assert scene.lives["db"].state is State.STOPPED


def test_who_depends_on_what_never_ran_is_blocked_down_to_the_last(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {"disk": [Refusal(error=FileNotFoundError(errno.ENOENT, "no"))]}
    policy = RestartPolicy(rule=RestartRule.NEVER)
    services = [*CHAIN[:3], service("other", restart=policy)]
    scene = play(services, {**scripts, "other": [Run(seconds=3.0)]})
    assert scene.run() == Outcome("nothing is left to run", asked=False, failed=("disk", "db", "web"))
    assert scene.order("start") == ["disk", "other"]
    assert scene.only(Failed, "db").reason == "it depends on disk, which failed before it was ever started"
    assert scene.only(Failed, "web").reason == "it depends on db, which failed before it was ever started"
    assert scene.only(Finished).instance == "other"


def test_who_depends_on_what_ran_and_failed_later_goes_on(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    services = [service("web", "migration"), service("migration", restart=never)]
    scene = play(services, {"migration": [Run(seconds=1.0, status=ExitStatus(3))]}).stop_at(9.0)
    outcome = scene.run()
    assert outcome == Outcome("asked to stop", asked=True, failed=("migration",))
    assert outcome.success
    assert scene.only(Exited, "web").ran_for == 9.0


# --- ending


def test_an_essential_failure_ends_everything_and_is_no_success(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    services = [service("web", "db"), service("db", restart=never, essential=True)]
    scene = play(services, {"db": [CRASH], "web": [Run(ending=2.0)]})
    outcome = scene.run()
    assert outcome == Outcome(
        "essential service db failed: exited with status 1; its restart rule is never", asked=False, failed=("db",)
    )
    assert not outcome.success
    assert scene.times(Stopped, "web") == [3.0]
    assert scene.only(Note).warning


def test_a_stop_asked_for_after_an_essential_failure_does_not_make_it_a_success(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    services = [service("web"), service("db", restart=never, essential=True)]
    scene = play(services, {"db": [CRASH], "web": [Run(ending=2.0)]}).stop_at(2.0)
    outcome = scene.run()
    assert not outcome.success
    assert outcome.reason.startswith("essential service db failed")


def test_an_essential_failure_after_a_stop_does_not_change_what_was_asked_for(play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    services = [service("web", "db"), service("db", restart=never, essential=True)]
    scene = play(services, {"db": [CRASH], "web": [Run(ending=2.0)]}).stop_at(0.5)
    outcome = scene.run()
    assert outcome == Outcome("asked to stop", asked=True, failed=("db",))
    assert outcome.success
    assert len(scene.said(Note)) == 1


def test_an_essential_service_that_finishes_well_ends_nothing(play: Play) -> None:
    rule = RestartPolicy(rule=RestartRule.ON_FAILURE)
    scene = play([service("web"), service("db", restart=rule, essential=True)], {"db": [Run(seconds=1.0)]}).stop_at(9.0)
    assert scene.run().asked
    assert scene.only(Exited, "web").ran_for == 9.0


def test_a_blocked_essential_service_ends_everything(play: Play) -> None:
    services = [service("web", "db", essential=True), service("db"), service("other")]
    scene = play(services, {"db": [Refusal(error=FileNotFoundError(errno.ENOENT, "no"))]})
    outcome = scene.run()
    assert outcome.failed == ("db", "web")
    assert outcome.reason.startswith("essential service web failed: it depends on db")
    assert scene.lives["other"].state is State.STOPPED


def test_when_all_have_finished_it_is_over_and_well(play: Play) -> None:
    rule = RestartPolicy(rule=RestartRule.ON_FAILURE)
    scene = play(
        [service("a", restart=rule), service("b", "a", restart=rule)],
        {"a": [Run(seconds=2.0)], "b": [Run(seconds=1.0)]},
    )
    outcome = scene.run()
    assert outcome == Outcome("nothing is left to run", asked=False, failed=())
    assert outcome.success
    assert scene.times(Finished) == [1.0, 2.0]


def test_a_stop_while_starting_ends_it_when_it_is_there(play: Play) -> None:
    scene = play([service("web")], {"web": [Run(starting=3.0, ending=1.0)]}).stop_at(1.0)
    assert scene.run().success
    assert scene.placement.signals("web") == [(3.0, TERM)]
    assert scene.times(Stopped) == [4.0]


def test_a_stop_while_what_it_starts_will_be_refused(play: Play) -> None:
    scene = play([service("web")], {"web": [Refusal(error=OSError(errno.EAGAIN, ""), starting=3.0)]}).stop_at(1.0)
    assert scene.run() == Outcome("asked to stop", asked=True, failed=())
    assert scene.times(Stopped) == [3.0]
    assert not scene.said(Failed, Restarting)


def test_a_stop_while_it_waits_for_its_restart_ends_at_once_and_starts_nothing(play: Play) -> None:
    scene = play([service("web")], {"web": [CRASH]}).stop_at(1.25)
    assert scene.run().success
    assert scene.placement.starts("web") == [0.0]
    assert scene.lives["web"].state is State.STOPPED
    assert scene.events[-1][0] == 1.25


def test_a_stop_while_what_is_left_is_ended_gives_it_its_whole_grace_period(play: Play) -> None:
    script = Run(seconds=1.0, leaves=DAY, left_ignores=(TERM,))
    scene = play([service("web", grace_period=5.0)], {"web": [script]}).stop_at(3.0)
    scene.run()
    assert scene.placement.signals("web") == [(1.0, TERM), (3.0, TERM), (8.0, KILL)]
    assert scene.lives["web"].state is State.STOPPED


def test_who_ignores_the_stop_signal_is_killed_after_its_grace_period(play: Play) -> None:
    services = [service("web", grace_period=2.5, stop_signal=signal.SIGINT), service("db", grace_period=0.0)]
    scripts: dict[str, list[Run | Refusal]] = {name: [Run(ignores=(signal.SIGINT, TERM))] for name in ("web", "db")}
    scene = play(services, scripts).stop_at(1.0)
    assert scene.run().success
    assert scene.placement.signals("web") == [(1.0, signal.SIGINT), (3.5, KILL)]
    assert scene.placement.signals("db") == [(1.0, TERM), (1.0, KILL)]
    reasons = [event.reason for _, event in scene.said(Stopping, of="web")]
    assert reasons == ["asked to stop", "it still runs after a grace period of 2.5 s"]
    assert scene.only(Exited, "web").status == ExitStatus(None, KILL)


def test_what_a_stopped_process_leaves_has_what_remains_of_the_grace_period(play: Play) -> None:
    script = Run(ending=1.0, leaves=DAY, left_ignores=(TERM,))
    scene = play([service("web", grace_period=4.0)], {"web": [script]}).stop_at(1.0)
    scene.run()
    assert scene.placement.signals("web") == [(1.0, TERM), (5.0, KILL)]
    assert scene.times(Exited) == [2.0]
    assert scene.said(Stopping)[1][1].reason == "something that it started still runs after a grace period of 4 s"


def test_a_kill_while_stopping_asks_nobody_to_wait_for_anybody(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {name: [Run(ignores=(TERM,))] for name in ("web", "db", "disk")}
    scene = play(CHAIN, scripts).stop_at(1.0)
    scene.at(2.0, lambda: scene.supervisor.kill("enough"))
    assert scene.run() == Outcome("asked to stop", asked=True, failed=())
    assert scene.placement.signals("web") == [(1.0, TERM), (2.0, KILL)]
    assert scene.placement.signals("db") == scene.placement.signals("disk") == [(2.0, KILL)]
    assert [event.reason for _, event in scene.said(Stopping) if event.signal is KILL] == ["enough"] * 3
    assert scene.times(Stopped)[-1] == 2.0


@pytest.mark.parametrize(
    ("script", "at"),
    [
        (Run(ignores=(TERM,)), 1.0),
        (Run(starting=3.0, ignores=(TERM,)), 1.0),
        (Run(seconds=0.5, leaves=DAY, left_ignores=(TERM,)), 1.0),
        (CRASH, 1.25),
    ],
    ids=["running", "starting", "clearing", "paused"],
)
def test_a_kill_ends_it_at_once_whatever_it_does(script: Run, at: float, play: Play) -> None:
    scene = play([service("web")], {"web": [script]})
    scene.at(at, scene.supervisor.kill)
    assert scene.run() == Outcome("asked to end at once", asked=True, failed=())
    assert scene.lives["web"].state is State.STOPPED
    assert scene.events[-1][0] == max(at, script.starting)


def test_what_waits_to_be_started_is_not_when_a_stop_comes(play: Play) -> None:
    scene = play(CHAIN, {"disk": [Run(starting=5.0)]}).stop_at(1.0)
    scene.run()
    assert scene.order("start") == ["disk", "other"]
    assert scene.lives["web"].state is scene.lives["db"].state is State.STOPPED
    assert {event.instance for _, event in scene.said(Stopped)} == {"disk", "other"}


def test_stopping_twice_is_stopping_once(play: Play) -> None:
    scene = play([service("web")], {"web": [Run(ending=2.0)]}).stop_at(1.0).stop_at(2.0)
    scene.at(2.5, lambda: scene.supervisor.stop("another reason"))
    assert scene.run().reason == "asked to stop"
    assert scene.placement.signals("web") == [(1.0, TERM)]
    assert len(scene.said(Note)) == 1


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_a_stop_before_it_runs_has_nothing_started(verb: str, play: Play) -> None:
    scene = play(CHAIN)
    supervisor = Supervisor(CHAIN, placement=scene.placement)
    getattr(supervisor, verb)("not today")  # no loop runs here
    assert run_with_fake_clock(supervisor.run()) == Outcome("not today", asked=True, failed=())
    assert not scene.placement.acts


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_a_stop_after_it_ran_says_and_does_nothing(verb: str, play: Play) -> None:
    never = RestartPolicy(rule=RestartRule.NEVER)
    scene = play([service("web", restart=never)], {"web": [Run(seconds=1.0)]})
    scene.run()
    before = list(scene.events)
    getattr(scene.supervisor, verb)()
    assert scene.events == before


def test_it_runs_once(play: Play) -> None:
    scene = play([service("web")]).stop_at(1.0)

    async def main() -> None:
        first = asyncio.create_task(scene.supervisor.run())
        await asyncio.sleep(0)
        with pytest.raises(CallerError, match=r"^a Supervisor runs once; make another to run the services again$"):
            await scene.supervisor.run()
        scene.supervisor.stop()
        await first
        with pytest.raises(CallerError, match="runs once"):
            await scene.supervisor.run()

    run_with_fake_clock(main())


def test_there_must_be_something_to_supervise() -> None:
    with pytest.raises(ValueError, match=r"^there are no services to supervise$"):
        Supervisor([])


# --- many


def test_two_hundred_instances_start_crash_and_end(play: Play) -> None:
    scripts: dict[str, list[Run | Refusal]] = {"web": [CRASH, Run(ending=0.5)]}
    scene = play([service("web", instances=200)], scripts).stop_at(10.0)
    assert scene.run() == Outcome("asked to stop", asked=True, failed=())
    assert len(scene.said(Started)) == 400
    assert set(scene.times(Stopped)) == {10.5}
    assert len(scene.said(Stopped)) == 200


def test_two_hundred_services_in_a_row_start_and_end_in_order(play: Play) -> None:
    chain = [service(f"s{number}", *([f"s{number - 1}"] if number else [])) for number in range(200)]
    scene = play(chain).stop_at(10.0)
    scene.run()
    names = [f"s{number}" for number in range(200)]
    assert scene.order("start") == names
    assert scene.order("gone") == names[::-1]

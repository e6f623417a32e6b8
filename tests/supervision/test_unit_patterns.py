"""Services that are told of, or restarted, for what they write: scripted processes on a clock that jumps."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from loopwright._core import ExitStatus, Pacing
from loopwright.supervision import (
    Event,
    Exited,
    Failed,
    Finished,
    Note,
    Outcome,
    Output,
    OutputMatched,
    Restarting,
    RestartPolicy,
    RestartRule,
    ServiceSpec,
    Started,
    Stopped,
    Stopping,
)
from loopwright.testing import Run

if TYPE_CHECKING:
    from collections.abc import Callable

Play: TypeAlias = "Callable[..., Any]"
"""The fixture that makes a `Scene` (conftest.py)."""

TERM, KILL = signal.SIGTERM, signal.SIGKILL
EXACT = Pacing(initial_delay=0.5, factor=2.0, max_delay=4.0, jitter=0.0)
WHY = "its output matched 'fatal'"


def service(restart: RestartPolicy | None = None, **options: Any) -> ServiceSpec:
    options = {"restart_on_output": ("fatal",), "tell_on_output": ("ERROR",), **options}
    return ServiceSpec("web", ("program",), restart=restart or RestartPolicy(pacing=EXACT), **options)


def test_a_match_is_told_after_its_line_and_changes_nothing(play: Play) -> None:
    lines = [(1.0, "fine"), (2.0, "an ERROR"), (3.0, "fine")]
    scene = play([service()], {"web": [Run(lines=lines)]}).stop_at(9.0)
    assert scene.run().success
    assert [type(event) for _, event in scene.said(Output, OutputMatched)] == [Output, Output, OutputMatched, Output]
    assert scene.only(OutputMatched) == OutputMatched(
        instance="web", at=2.0, line="an ERROR", pattern="ERROR", restarts=False, untold=0
    )
    assert scene.placement.starts("web") == [0.0]


def test_a_match_ends_it_like_a_failure_and_it_comes_back(play: Play) -> None:
    # Told to end, it ends with status 0: no failure to its restart rule, but for what it wrote.
    policy = RestartPolicy(rule=RestartRule.ON_FAILURE, pacing=EXACT)
    scene = play([service(policy)], {"web": [Run(lines=[(2.0, "fatal: x")], ending=1.0), Run()]}).stop_at(9.0)
    assert scene.run().success
    assert scene.placement.starts("web") == [0.0, 3.5]
    assert scene.placement.signals("web") == [(2.0, TERM), (9.0, TERM)]
    assert scene.only(OutputMatched).restarts
    assert scene.said(Stopping)[0][1].reason == WHY
    assert scene.said(Exited)[0][1].asked
    again = scene.only(Restarting)
    assert (again.at, again.delay, again.reason) == (3.0, 0.5, f"{WHY}; its restart rule is on-failure")


def test_who_writes_it_at_every_start_is_paced_and_given_up_like_one_that_crashes(play: Play) -> None:
    policy = RestartPolicy(pacing=EXACT, max_restarts=2)
    scene = play([service(policy)], {"web": [Run(lines=[(1.0, "fatal")])]})
    assert scene.run() == Outcome("nothing is left to run", asked=False, failed=("web",))
    assert scene.placement.starts("web") == [0.0, 1.5, 3.5]
    assert scene.only(Failed).reason == (
        f"{WHY}; crash-looping: 2 restarts in a row did not help, and max_restarts is 2"
    )


def test_under_never_a_match_is_a_failure_for_good(play: Play) -> None:
    scene = play([service(RestartPolicy(rule=RestartRule.NEVER))], {"web": [Run(lines=[(1.0, "fatal")])]})
    assert scene.run().failed == ("web",)
    assert scene.only(Failed).reason == f"{WHY}; its restart rule is never"


def test_who_does_not_heed_the_stop_signal_is_killed_after_its_grace_period(play: Play) -> None:
    stubborn = Run(lines=[(1.0, "fatal")], ignores=(signal.SIGINT,))
    scene = play([service(grace_period=5.0, stop_signal=signal.SIGINT)], {"web": [stubborn, Run()]}).stop_at(20.0)
    scene.run()
    assert scene.placement.signals("web")[:2] == [(1.0, signal.SIGINT), (6.0, KILL)]
    assert scene.said(Stopping)[1][1].reason == "it still runs after a grace period of 5 s"
    assert scene.placement.starts("web") == [0.0, 6.5]


def test_one_match_restarts_once_and_what_follows_in_the_same_run_is_only_told(play: Play) -> None:
    lines = [(1.0, "fatal 1"), (1.5, "fatal 2"), (2.0, "ERROR")]
    scene = play([service()], {"web": [Run(lines=lines, ending=3.0), Run()]}).stop_at(20.0)
    scene.run()
    assert [(event.line, event.restarts) for _, event in scene.said(OutputMatched)] == [
        ("fatal 1", True),
        ("fatal 2", False),
        ("ERROR", False),
    ]
    assert scene.placement.signals("web") == [(1.0, TERM), (20.0, TERM)]
    assert len(scene.said(Restarting)) == 1


def test_each_run_has_its_own_match(play: Play) -> None:
    scene = play([service()], {"web": [Run(lines=[(1.0, "fatal")]), Run(seconds=1.0, status=ExitStatus(3)), Run()]})
    scene.stop_at(20.0).run()
    assert [event.reason for _, event in scene.said(Restarting)] == [
        f"{WHY}; its restart rule is always",
        "exited with status 3; its restart rule is always",
    ]


@pytest.mark.parametrize("held", [False, True], ids=["read before its end", "read after its end"])
def test_last_words_count_whether_they_are_read_before_or_after_the_end_is_known(held: bool, play: Play) -> None:
    policy = RestartPolicy(rule=RestartRule.ON_FAILURE, pacing=EXACT)
    scene = play([service(policy)], {"web": [Run(seconds=1.0, lines=[(0.75, "fatal")], ignores=(TERM,)), Run()]})
    if held:
        scene.at(0.5, lambda: scene.supervisor.hold_output(True)).at(3.0, lambda: scene.supervisor.hold_output(False))
    scene.stop_at(9.0).run()
    assert scene.only(Restarting).reason == f"{WHY}; its restart rule is on-failure"
    assert len(scene.said(Started)) == 2
    assert not scene.said(Finished)


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_a_match_of_what_was_asked_to_end_is_only_told(verb: str, play: Play) -> None:
    scene = play([service()], {"web": [Run(lines=[(1.5, "fatal")], ending=1.0)]})
    scene.at(1.0, lambda: getattr(scene.supervisor, verb)())
    assert scene.run().success
    assert [event.restarts for _, event in scene.said(OutputMatched)] == ([False] if verb == "stop" else [])
    assert len(scene.said(Stopped)) == 1
    assert not scene.said(Restarting)


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_a_stop_overtakes_the_restart(verb: str, play: Play) -> None:
    scene = play([service()], {"web": [Run(lines=[(1.0, "fatal")], ending=5.0)]})
    scene.at(2.0, lambda: getattr(scene.supervisor, verb)())
    assert scene.run().success
    assert not scene.said(Restarting)
    assert scene.only(Stopped).at == (6.0 if verb == "stop" else 2.0)


@pytest.mark.parametrize("verb", ["stop", "kill"])
@pytest.mark.parametrize("kind", [Output, OutputMatched, Stopping])
def test_a_listener_may_have_everything_ended_at_a_match(kind: type[Event], verb: str, play: Play) -> None:
    def ends(event: Event) -> None:
        if isinstance(event, kind):
            getattr(scene.supervisor, verb)("I have heard enough")

    scene = play([service(grace_period=1.0)], {"web": [Run(lines=[(1.0, "fatal")], ignores=(TERM,))]}, listener=ends)
    assert scene.run().success
    assert scene.only(Stopped).at == (1.0 if verb == "kill" else 2.0)


def test_a_storm_is_told_in_part_and_the_rest_counted_at_the_next_and_at_the_end(play: Play) -> None:
    storm = [(1.0, "ERROR")] * 500 + [(3.0, "ERROR")] * 12
    never = RestartPolicy(rule=RestartRule.NEVER)
    scene = play([service(never)], {"web": [Run(seconds=4.0, lines=storm)]})
    assert scene.run().success
    matched = [event for _, event in scene.said(OutputMatched)]
    assert [event.untold for event in matched] == [0] * 10 + [490] + [0] * 9
    assert scene.only(Note).text == "2 more lines that matched, too many within a second to tell"
    assert len(scene.said(Output)) == 512


def test_a_healthy_while_before_the_match_makes_the_pacing_begin_anew(play: Play) -> None:
    early, late = Run(lines=[(1.0, "fatal")]), Run(lines=[(15.0, "fatal")])
    scene = play([service()], {"web": [early, early, late, Run()]}).stop_at(60.0)
    scene.run()
    assert [event.attempt for _, event in scene.said(Restarting)] == [1, 2, 1]

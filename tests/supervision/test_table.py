"""The table of states, held against a model of the world that knows nothing of states.

`World` is what can physically be the matter with a service instance: is its process being made, does it run, is
something of its group left, which timer is set, what was it sent, what was asked for. It lets happen only what can
happen, and after every step compares what the table said with what a world like that demands. It is used three times:
in random histories with a clock (hypothesis), in *every* history there is (the world has a few hundred states), and on
tables with one mistake in them, which it must notice.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright._core import ExitStatus, Pacing, StatusLost
from loopwright.supervision import TABLE, Action, Life, RestartPolicy, RestartRule, State, Stimulus, judge, step
from loopwright.supervision import _table as module
from loopwright.supervision._table import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator

S, E, A = State, Stimulus, Action
Status: TypeAlias = ExitStatus | StatusLost

WELL, BADLY, KILLED, LOST = ExitStatus(0), ExitStatus(1), ExitStatus(None, 9), StatusLost("somebody took it")
TIMERS = {A.ARM_HEALTHY: E.HEALTHY, A.ARM_DUE: E.DUE, A.ARM_GRACE: E.GRACE_OVER}
ASKED = {E.STOP: 1, E.KILL: 2}
REFUSED = {E.GONE_RESTART: E.REFUSED_RESTART, E.GONE_FAILED: E.REFUSED_FAILED}
ENDS = {
    E.BLOCKED: S.FAILED,
    E.REFUSED_FAILED: S.FAILED,
    E.GONE_FAILED: S.FAILED,
    E.GONE_FINISHED: S.FINISHED,
}

#: What can happen and changes nothing, on purpose: who is ending is not asked twice, who has ended not at all, and what
#: ends or is cleared away is not ended for what it still writes.
DELIBERATE = {
    (S.STOPPING, E.STOP),
    (S.KILLING, E.STOP),
    (S.KILLING, E.KILL),
    (S.CLEARING, E.MATCHED),
    (S.STOPPING, E.MATCHED),
    (S.KILLING, E.MATCHED),
    *itertools.product(ENDED, (E.STOP, E.KILL)),
}
#: What has a row to say that it is expected, though there is nothing to do until its group is gone.
EXPECTED = {(S.CLEARING, E.EXITED), (S.STOPPING, E.EXITED), (S.KILLING, E.EXITED)}


class BrokenLawError(AssertionError):
    """The table said what the world does not allow or did not demand."""


def demand(condition: bool, law: str, *details: object) -> None:
    if not condition:
        raise BrokenLawError(law, *details)


@dataclass(frozen=True)
class World:
    """One instance as it is, and `life` as the table sees it. `happen()` gives the world after something happened."""

    policy: RestartPolicy = dataclasses.field(compare=False)
    life: Life = dataclasses.field(default_factory=Life)
    process: str = "none"
    """`none`, `making`, `runs`, or `left`: the process has ended, what it left in its group has not."""
    status: Status | None = None
    """How the last process ended."""
    timer: Stimulus | None = None
    told: int = 0
    """The worst that its group was sent since it was there, or since an end was first asked for: 0 nothing, 1 the stop
    signal, 2 SIGKILL."""
    asked: int = 0
    """What was asked for: 0 nothing, 1 to stop, 2 to end at once."""
    pressed: bool = False
    """Whether its grace period is over, counted like `told`."""
    unwanted: bool = False
    """Whether the process, or what it left, wrote what has it restarted."""
    proven: bool = False
    """Whether the process has run for a healthy while."""
    over: State | None = None
    """What its end, once it has come, has to be called."""
    restarts: int = 0
    """In a row."""
    ever: bool = False
    """Whether it was ever started."""

    def possible(self) -> Iterator[tuple[Stimulus, Status | None]]:
        """All that can happen now."""
        yield E.STOP, None
        yield E.KILL, None
        yield from ((stimulus, None) for stimulus in (E.RELEASED, E.BLOCKED) if self.life.state is S.WAITING)
        if self.process in ("runs", "left"):
            yield E.MATCHED, None  # not to come by itself: it may write nothing
        yield from self.to_come()

    def to_come(self) -> Iterator[tuple[Stimulus, Status | None]]:
        """What can happen now without anybody's doing."""
        if self.timer is not None:
            yield self.timer, None
        if self.process == "making":
            yield E.SPAWNED, None
            yield E.REFUSED_FAILED, None
            yield REFUSED[judge(self.policy, self.life.attempts, None)[0]], None
        elif self.process == "runs":
            yield from ((E.EXITED, status) for status in (WELL, BADLY, LOST))
        elif self.process == "left":
            yield self.verdict(), None

    def verdict(self) -> Stimulus:
        """What its end leads to, once nothing of it is left: what wrote the wrong thing did not end well."""
        return judge(self.policy, self.life.attempts, None if self.unwanted else self.status)[0]

    def goes_on(self) -> bool:
        """Whether something must happen, however stubborn what runs is: only SIGKILL ends that for certain."""
        return self.timer is not None or self.process == "making" or self.told == 2

    def happen(self, stimulus: Stimulus, status: Status | None = None) -> World:
        """The world after something happened, by the table. BrokenLawError if the table broke a law."""
        life, actions = step(self.life, stimulus)
        world = self if self.over else self._by_nature(stimulus, status)
        timer = None if stimulus is self.timer or life.state is not self.life.state else self.timer
        process, told = world.process, world.told
        for action in actions:
            if action is A.SPAWN:
                demand(process == "none", "never two processes at a time", self, stimulus)
                demand(not world.asked, "nothing is started after a stop", self, stimulus)
                process = "making"
            elif action in (A.SIGNAL, A.KILL):
                worse = 1 if action is A.SIGNAL else 2
                there = process in ("runs", "left")
                # Who is to be ended while being made is told when it is there (SPAWNED); until then nobody hears it.
                demand(there or (process == "making" and self.asked > 0), "nobody is told who is not there", self)
                demand(told < worse, "nobody is told twice", self, stimulus)
                told = worse if there else told
            elif action in TIMERS:
                demand(timer is None, "no timer is set anew, so no grace period grows", self, stimulus)
                timer = TIMERS[action]
        demand((A.FORGET in actions) == (stimulus is E.HEALTHY), "forgotten after a healthy while, and only then")
        after = dataclasses.replace(world, life=life, process=process, told=told, timer=timer)
        after.check(self, stimulus, actions)
        return after

    def _by_nature(self, stimulus: Stimulus, status: Status | None) -> World:
        """What is different whatever anybody does about it."""
        unwanted = self.unwanted or (stimulus is E.MATCHED and not self.asked)
        change: dict[str, Any] = {"asked": max(self.asked, ASKED.get(stimulus, 0)), "unwanted": unwanted}
        if stimulus in ASKED and not self.asked:
            change.update(told=0, pressed=False)
        elif stimulus is E.SPAWNED:
            change.update(process="runs", ever=True, proven=False)
        elif stimulus is E.EXITED:
            change.update(process="left", status=status)
        elif stimulus is E.GRACE_OVER:
            change.update(pressed=True)
        elif stimulus is E.HEALTHY:
            change.update(restarts=0, proven=True)
        elif stimulus in ENDS or stimulus in (E.GONE_RESTART, E.REFUSED_RESTART):
            change.update(process="none", told=0, pressed=False, status=None, unwanted=False)
            if stimulus in ENDS:
                change.update(over=ENDS[stimulus])
            elif not self.asked:
                change.update(restarts=self.restarts + 1)
        if change["asked"] and change.get("process", self.process) == "none":
            change.update(over=S.STOPPED)
        return dataclasses.replace(self, **change)

    def check(self, before: World, stimulus: Stimulus, actions: tuple[Action, ...]) -> None:
        """The laws, for a world and how it came to be."""
        story = (before, stimulus, actions, self)
        if before.life.state in ENDED:
            demand(self.life == before.life and not actions, "what has ended stays as it is", *story)
        demand(self.process == "none" or not self.over, "nothing is left when it is over", *story)
        demand(self.process == "making" or stimulus not in (E.RELEASED, E.DUE), "what is due is done", *story)
        demand(self.life.state is self.right_state(), f"it is {self.right_state()}", *story)
        demand(self.timer is self.right_timer(), f"the timer set is {self.right_timer()}", *story)
        demand(self.life.attempts == self.restarts, "restarts in a row are counted", *story)
        demand(self.life.started == self.ever, "it is known whether it was ever started", *story)
        most = self.policy.max_restarts
        demand(most is None or self.restarts <= most, "max_restarts is a limit", *story)
        if self.process in ("runs", "left"):
            left = self.process == "left"
            demand(self.told == 2 or self.asked < 2, "who is to end at once is killed at once", *story)
            demand(self.told >= 1 or not (self.asked or left or self.unwanted), "who is to end is told to", *story)
            demand(
                self.told == 0 or self.asked > 0 or left or self.unwanted, "nobody is told to end for nothing", *story
            )
            demand(self.told < 2 or self.asked == 2 or self.pressed, "nobody is killed for nothing", *story)
            demand(self.told == 2 or not self.pressed, "a grace period ends", *story)

    def right_state(self) -> State:
        """What a world like this is called."""
        if self.over is not None:
            return self.over
        if self.asked:
            return S.KILLING if self.asked == 2 or self.pressed else S.STOPPING
        if self.process == "none":
            return S.PAUSED if self.restarts else S.WAITING
        if self.unwanted:
            return S.CLEARING
        return {"making": S.STARTING, "runs": S.RUNNING, "left": S.CLEARING}[self.process]

    def settled(self) -> bool:
        """Whether it may stay as it is: over, waiting to be released, or running without having been asked to end."""
        wanted = self.process == "runs" and not self.asked and not self.unwanted
        return self.over is not None or self.life.state is S.WAITING or wanted

    def right_timer(self) -> Stimulus | None:
        """The timer that a world like this has to have set."""
        if self.over is not None or self.process == "making":
            return None
        if self.process == "none":
            return E.DUE if self.restarts else None
        if self.process == "runs" and not self.asked and not self.unwanted:
            return None if self.proven else E.HEALTHY
        return None if self.pressed or self.asked == 2 else E.GRACE_OVER


# --- every history there is


POLICIES = [RestartPolicy(rule=each, max_restarts=most) for each in RestartRule for most in (0, 2)]
#: With which everything that can happen at all can happen.
RICHEST = RestartPolicy(rule=RestartRule.ON_FAILURE, max_restarts=1)


@dataclass
class Explored:
    """All that can come to be."""

    after: dict[World, list[World]]
    """What each world becomes by itself, whatever anybody asks for."""
    met: set[tuple[State, Stimulus]]
    """What can happen when."""


def explore(policy: RestartPolicy) -> Explored:
    """Try every history; BrokenLawError if one breaks a law, comes to a halt, or after a stop may go on for ever."""
    first = World(policy)
    found = Explored({}, set())
    fresh = [first]
    while fresh:
        world = fresh.pop()
        if world in found.after:
            continue
        demand(world.goes_on() or world.settled(), "nothing comes to a halt half-way", world)
        found.met.update((world.life.state, stimulus) for stimulus, _ in world.possible())
        found.after[world] = [world.happen(*event) for event in world.to_come()]
        fresh += found.after[world]
        fresh += [world.happen(*event) for event in world.possible()]
    lengths: dict[World, int] = {}
    for world in found.after:
        if world.asked:
            longest(world, found, lengths)
    return found


def longest(world: World, found: Explored, known: dict[World, int]) -> int:
    """The most that can still happen by itself; BrokenLawError if that has no end."""
    if world not in known:
        known[world] = -1
        known[world] = max((1 + longest(after, found, known) for after in found.after[world]), default=0)
    demand(known[world] >= 0, "after a stop there is an end", world)
    return known[world]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.rule.value}-{policy.max_restarts}")
def test_no_history_breaks_a_law(policy: RestartPolicy) -> None:
    found = explore(policy)
    ends = {world.over for world in found.after if world.over}
    assert ends == ENDED - ({S.FINISHED} if policy.rule is RestartRule.ALWAYS else set())


def test_after_a_stop_four_events_at_most_bring_the_end() -> None:
    found = explore(RICHEST)
    known: dict[World, int] = {}
    # Asked while it was being made: it is there, its grace period is over, it has ended, nothing of it is left.
    assert max(longest(world, found, known) for world in found.after if world.asked) == 4
    assert {world.life.state for world, left in known.items() if left == 0} == {S.STOPPED}


def test_every_row_can_happen_and_what_has_no_row_is_meant() -> None:
    met = explore(RICHEST).met
    assert met - TABLE.keys() == DELIBERATE
    assert met >= TABLE.keys()
    assert {state for state, _ in met} == set(State)
    assert {stimulus for _, stimulus in met} == set(Stimulus)


def test_what_has_no_row_changes_nothing() -> None:
    for pair in itertools.product(State, Stimulus):
        life = Life(pair[0], attempts=3, started=True)
        assert (step(life, pair[1]) == (life, ())) == (pair not in TABLE or pair in EXPECTED)


# --- tables with a mistake


def mutants(key: tuple[State, Stimulus]) -> Iterator[dict[Any, Any]]:
    """Copies of the table in which one row is missing or wrong: another state, an action less, an action more."""
    state, actions = TABLE[key]
    rest = {other: row for other, row in TABLE.items() if other != key}
    if key not in EXPECTED:
        yield rest
    for other in State:
        if other is not state:
            yield {**rest, key: (other, actions)}
    for action in Action:
        if action not in actions:
            yield {**rest, key: (state, (*actions, action))}
    for number in range(len(actions)):
        yield {**rest, key: (state, actions[:number] + actions[number + 1 :])}


@pytest.mark.parametrize("key", list(TABLE), ids=lambda key: "-".join(x.name for x in key))
def test_a_wrong_row_is_noticed(key: tuple[State, Stimulus], monkeypatch: pytest.MonkeyPatch) -> None:
    for table in mutants(key):
        monkeypatch.setattr(module, "TABLE", table)
        with pytest.raises(BrokenLawError):
            assert not explore(RICHEST), f"nobody minds {table.get(key, 'no row')} for {key}"


def test_a_row_for_what_must_change_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in DELIBERATE:
        others = [(state, ()) for state in State if state is not key[0]]
        for wrong in [*others, *((key[0], (action,)) for action in Action)]:
            monkeypatch.setattr(module, "TABLE", {**TABLE, key: wrong})
            with pytest.raises(BrokenLawError):
                assert not explore(RICHEST), f"nobody minds {wrong} for {key}"


# --- random histories with a clock


class Day(RuleBasedStateMachine):
    """One service instance on a random day, to the second."""

    @initialize(
        rule=st.sampled_from(RestartRule),
        most=st.none() | st.integers(0, 4),
        healthy_after=st.sampled_from([0.0, 1.0, 10.0]),
        grace=st.sampled_from([0.0, 2.0]),
        initial=st.sampled_from([0.0, 0.5, 4.0]),
    )
    def begin(self, rule: RestartRule, most: int | None, healthy_after: float, grace: float, initial: float) -> None:
        pacing = Pacing(initial_delay=initial, factor=2.0, max_delay=8.0, jitter=0.0)
        self.policy = RestartPolicy(rule=rule, pacing=pacing, healthy_after=healthy_after, max_restarts=most)
        self.grace = grace
        self.world = World(self.policy)
        self.now = 0.0
        self.due = 0.0
        self.gone_at: float | None = None
        self.starts_in_a_row = 0
        self.asked_at: float | None = None

    def happen(self, stimulus: Stimulus, status: Status | None = None) -> None:
        before, self.world = self.world, self.world.happen(stimulus, status)
        world = self.world
        if world.timer is not None and (world.timer is not before.timer or world.life.state is not before.life.state):
            delays = {E.HEALTHY: self.policy.healthy_after, E.GRACE_OVER: self.grace}
            if world.timer is E.DUE:
                delays[E.DUE] = self.policy.pacing.delay(world.life.attempts, 0.0)
            self.due = self.now + delays[world.timer]
        if world.process == "making" and before.process != "making":
            self.on_start()
        if stimulus is E.HEALTHY:
            self.starts_in_a_row = 1
        if before.process != "none" and world.process == "none":
            self.gone_at = self.now
        if world.asked and self.asked_at is None:
            self.asked_at = self.now

    def on_start(self) -> None:
        assert self.asked_at is None
        self.starts_in_a_row += 1
        if self.policy.max_restarts is not None:
            assert self.starts_in_a_row <= self.policy.max_restarts + 1
        if self.gone_at is not None:
            assert self.now - self.gone_at == self.policy.pacing.delay(self.starts_in_a_row - 1, 0.0)

    def can(self, *stimuli: Stimulus) -> bool:
        return any(stimulus in stimuli for stimulus, _ in self.world.possible())

    @precondition(lambda self: self.can(E.RELEASED))
    @rule(released=st.sampled_from([True, True, True, False]))
    def what_it_depends_on(self, released: bool) -> None:
        self.happen(E.RELEASED if released else E.BLOCKED)

    @precondition(lambda self: self.world.process == "making")
    @rule(how=st.sampled_from(["made", "made", "made", "refused for now", "refused"]))
    def its_process_is_made_or_not(self, how: str) -> None:
        if how == "made":
            self.happen(E.SPAWNED)
        elif how == "refused":
            self.happen(E.REFUSED_FAILED)
        else:
            self.happen(REFUSED[judge(self.policy, self.world.life.attempts, None)[0]])

    @precondition(lambda self: self.world.process == "runs")
    @rule(status=st.sampled_from([WELL, BADLY, LOST]))
    def its_process_ends(self, status: Status) -> None:
        self.happen(E.EXITED, status)

    @precondition(lambda self: self.world.process == "left")
    @rule()
    def what_it_left_ends(self) -> None:
        self.happen(self.world.verdict())

    @precondition(lambda self: self.can(E.MATCHED))
    @rule(odds=st.integers(1, 4))
    def it_writes_what_has_it_restarted(self, odds: int) -> None:
        if odds == 1:
            self.happen(E.MATCHED)

    @rule(stimulus=st.sampled_from([E.STOP, E.KILL]), odds=st.integers(1, 8))
    def somebody_asks_it_to_end(self, stimulus: Stimulus, odds: int) -> None:
        if odds == 1:
            self.happen(stimulus)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 20.0]))
    def time_goes_by(self, seconds: float) -> None:
        until = self.now + seconds
        while self.world.timer is not None and self.due <= until:
            self.now = self.due
            self.happen(self.world.timer)
        self.now = until

    @invariant()
    def who_is_to_end_has_its_grace_period_and_no_more(self) -> None:
        if self.asked_at is not None and self.world.life.state is S.STOPPING and self.world.timer is not None:
            assert self.due >= self.now

    def teardown(self) -> None:
        """However the day went: asked to stop, it ends, even if it ends of nothing but SIGKILL."""
        if not hasattr(self, "world"):
            return
        self.happen(E.STOP)
        for _ in range(4):
            if self.world.process == "making":
                self.happen(E.SPAWNED)
            elif self.world.timer is not None:
                self.time_goes_by(self.due - self.now)
            elif self.world.told == 2:
                self.happen(*next(self.world.to_come()))
        assert self.world.life.state in ENDED


Day.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDay = Day.TestCase


# --- what an end leads to


@pytest.mark.parametrize(
    ("restart", "status", "expected"),
    [
        (RestartRule.ALWAYS, WELL, E.GONE_RESTART),
        (RestartRule.ALWAYS, BADLY, E.GONE_RESTART),
        (RestartRule.ALWAYS, KILLED, E.GONE_RESTART),
        (RestartRule.ALWAYS, LOST, E.GONE_RESTART),
        (RestartRule.ALWAYS, None, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, WELL, E.GONE_FINISHED),
        (RestartRule.ON_FAILURE, BADLY, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, KILLED, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, LOST, E.GONE_RESTART),
        (RestartRule.ON_FAILURE, None, E.GONE_RESTART),
        (RestartRule.NEVER, WELL, E.GONE_FINISHED),
        (RestartRule.NEVER, BADLY, E.GONE_FAILED),
        (RestartRule.NEVER, KILLED, E.GONE_FAILED),
        (RestartRule.NEVER, LOST, E.GONE_FAILED),
        (RestartRule.NEVER, None, E.GONE_FAILED),
    ],
)
def test_what_an_end_leads_to(restart: RestartRule, status: Status | None, expected: Stimulus) -> None:
    stimulus, why = judge(RestartPolicy(rule=restart), 1_000, status)
    assert stimulus is expected
    assert why == f"its restart rule is {restart.value}"


@pytest.mark.parametrize(
    ("most", "attempts", "why"),
    [
        (0, 0, "crash-looping: 0 restarts in a row did not help, and max_restarts is 0"),
        (1, 1, "crash-looping: 1 restart did not help, and max_restarts is 1"),
        (5, 5, "crash-looping: 5 restarts in a row did not help, and max_restarts is 5"),
    ],
)
def test_restarts_have_a_limit_and_the_reason_names_it(most: int, attempts: int, why: str) -> None:
    policy = RestartPolicy(max_restarts=most)
    assert judge(policy, attempts, BADLY) == (E.GONE_FAILED, why)
    assert attempts == 0 or judge(policy, attempts - 1, BADLY)[0] is E.GONE_RESTART
    assert judge(RestartPolicy(rule=RestartRule.ON_FAILURE, max_restarts=most), attempts, WELL)[0] is E.GONE_FINISHED

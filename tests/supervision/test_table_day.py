"""The table of states on random days with a clock, held against the world (`table_world.py`)."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopwright._core import Pacing
from loopwright.supervision import RestartPolicy, RestartRule, Stimulus, judge
from loopwright.supervision._table import ENDED
from tests.supervision.table_world import BADLY, LOST, REFUSED, WELL, E, S, Status, World


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
Day.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDay = Day.TestCase

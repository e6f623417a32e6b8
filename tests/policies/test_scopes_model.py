"""The scope "context" held against a model."""

from __future__ import annotations

import contextvars
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from loopwright.policies import _scopes as scopes


class ContextsModel(RuleBasedStateMachine):
    """Contexts are copied, and loops set in them, in any order; a plain dictionary says what each is to see."""

    contexts = Bundle("contexts")

    def __init__(self) -> None:
        super().__init__()
        self.scopes = [scopes.new_scope("context"), scopes.new_scope("context")]
        self.seen: dict[tuple[int, int], Any] = {}
        self.made: list[contextvars.Context] = []

    def add(self, context: contextvars.Context) -> int:
        self.made.append(context)
        return len(self.made) - 1

    @initialize(target=contexts)
    def begin(self) -> int:
        return self.add(contextvars.Context())

    @rule(target=contexts, of=contexts)
    def copy(self, of: int) -> int:
        new = self.add(self.made[of].copy())
        self.seen |= {(new, number): place for (context, number), place in self.seen.items() if context == of}
        return new

    @rule(context=contexts, number=st.sampled_from([0, 1]))
    def put(self, context: int, number: int) -> None:
        place = scopes.Place(set_called=True)
        self.made[context].run(self.scopes[number].put, place)
        self.seen[context, number] = place

    @rule(number=st.sampled_from([0, 1]))
    def fork(self, number: int) -> None:
        self.scopes[number].leave_to_parent()
        self.seen = {key: place for key, place in self.seen.items() if key[1] != number}

    @invariant()
    def each_sees_what_it_is_to_see(self) -> None:
        for index, context in enumerate(self.made):
            for number, scope in enumerate(self.scopes):
                assert context.run(scope.place) is self.seen.get((index, number), scopes.NOWHERE)


TestContexts = ContextsModel.TestCase
TestContexts.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)

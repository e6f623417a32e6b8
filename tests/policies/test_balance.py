from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import UnknownBalanceError
from loopwright.policies import LoopLoad
from loopwright.policies._balance import balance_named, least_busy, round_robin

counts = st.integers(0, 50)
loads = st.lists(st.builds(LoopLoad, st.just("loop"), counts, counts), min_size=1, max_size=8)


@given(loads)
def test_least_busy_takes_the_first_of_those_with_the_least(given_loads: list[LoopLoad]) -> None:
    chosen = least_busy(given_loads)
    least = min(load.running for load in given_loads)
    assert given_loads[chosen].running == least
    assert all(load.running > least for load in given_loads[:chosen])


@given(st.integers(1, 8), st.lists(st.integers(0, 7), max_size=60))
def test_round_robin_takes_one_after_the_other_whatever_ends_meanwhile(number: int, ends: list[int]) -> None:
    running, done = [0] * number, [0] * number
    for turn, end in enumerate(ends):
        index = round_robin([LoopLoad("loop", *pair) for pair in zip(running, done, strict=True)])
        assert index == turn % number
        running[index] += 1
        end %= number
        if running[end]:
            running[end] -= 1
            done[end] += 1


def test_names() -> None:
    assert balance_named("least-busy") is least_busy
    assert balance_named("round-robin") is round_robin
    assert balance_named(max) is max
    with pytest.raises(UnknownBalanceError, match="did you mean 'round-robin'"):
        balance_named("roundrobin")
    with pytest.raises(UnknownBalanceError, match="there are: least-busy, round-robin"):
        balance_named("?")
    with pytest.raises(TypeError, match="not 5"):
        balance_named(5)

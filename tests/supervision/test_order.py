"""Who is started after whom, and ended before whom."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import CallerError
from loopwright.supervision import DependencyError, Life, ServiceSpec, State, start_order
from loopwright.supervision._order import blocked_by, is_free_to_start, is_free_to_stop


def service(name: str, *depends_on: str) -> ServiceSpec:
    return ServiceSpec(name, ("true",), depends_on=depends_on)


def names(services: tuple[ServiceSpec, ...]) -> list[str]:
    return [each.name for each in services]


@st.composite
def graphs(draw: st.DrawFn) -> list[ServiceSpec]:
    """Services without a circle, in any order: each depends on some of those with a smaller number."""
    count = draw(st.integers(1, 12))
    services = [
        service(f"s{number}", *(f"s{other}" for other in sorted(draw(st.sets(st.integers(0, number - 1))))))
        if number
        else service("s0")
        for number in range(count)
    ]
    return draw(st.permutations(services))


@given(graphs())
def test_each_service_comes_after_all_that_it_depends_on(services: list[ServiceSpec]) -> None:
    order = start_order(services)
    assert sorted(names(order)) == sorted(names(tuple(services)))
    for number, each in enumerate(order):
        assert set(each.depends_on) <= set(names(order[:number]))


@given(graphs())
def test_what_is_free_to_come_first_does_so_in_the_order_given(services: list[ServiceSpec]) -> None:
    left = list(services)
    for each in start_order(services):
        missing = set(names(tuple(left)))
        assert each is next(other for other in left if not missing & set(other.depends_on))
        left.remove(each)


@given(graphs())
def test_an_order_stays_as_it_is(services: list[ServiceSpec]) -> None:
    order = start_order(services)
    assert start_order(order) == order


@given(graphs(), st.data())
def test_a_circle_is_found_and_named_from_who_depends_to_what_it_depends_on(
    services: list[ServiceSpec], data: st.DataObject
) -> None:
    by_name = {each.name: each for each in services}
    chain = [data.draw(st.sampled_from(services)).name]
    while by_name[chain[-1]].depends_on:
        chain.append(data.draw(st.sampled_from(by_name[chain[-1]].depends_on)))
    by_name[chain[-1]] = service(chain[-1], *by_name[chain[-1]].depends_on, chain[0])
    with pytest.raises(DependencyError, match=r"^services depend on each other in a circle: ") as caught:
        start_order(list(by_name.values()))
    circle = str(caught.value).partition(": ")[2].split(" -> ")
    assert circle[0] == circle[-1]
    assert len(set(circle)) == len(circle) - 1
    for who, whom in itertools.pairwise(circle):
        assert whom in by_name[who].depends_on


def test_a_circle_reads_as_people_say_it() -> None:
    with pytest.raises(DependencyError, match="in a circle: ") as caught:
        start_order([service("web", "db"), service("db", "cache"), service("cache", "web"), service("other")])
    assert str(caught.value).partition(": ")[2] in (
        "web -> db -> cache -> web",
        "db -> cache -> web -> db",
        "cache -> web -> db -> cache",
    )


def test_nothing_depends_on_itself() -> None:
    with pytest.raises(DependencyError, match=r"^services depend on each other in a circle: web -> web$"):
        start_order([service("web", "web")])


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(DependencyError, match=r"^service 'web' depends on 'bd'; there is only: web, db$"):
        start_order([service("web", "bd"), service("db")])


def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(DependencyError, match=r"^two services are named 'web'$"):
        start_order([service("web"), service("db"), ServiceSpec("web", ("false",))])


def test_even_one_service_given_twice() -> None:
    web = service("web")
    with pytest.raises(DependencyError, match=r"^two services are named 'web'$"):
        start_order([web, web])


def test_the_error_is_the_callers_and_a_value_error() -> None:
    assert issubclass(DependencyError, CallerError)
    assert issubclass(DependencyError, ValueError)


def test_a_dependency_named_twice_is_one() -> None:
    assert names(start_order([service("web", "db", "db"), service("db")])) == ["db", "web"]


def test_a_chain_of_a_thousand_is_put_in_order() -> None:
    chain = [service(f"s{number}", *([f"s{number + 1}"] if number < 999 else [])) for number in range(1000)]
    assert names(start_order(chain)) == [f"s{number}" for number in reversed(range(1000))]


# --- when

NEVER = Life(State.STARTING)
STARTED = Life(State.RUNNING, started=True)
CRASHED = Life(State.FAILED, started=True)
REFUSED = Life(State.FAILED)


@pytest.mark.parametrize(
    ("lives", "free"),
    [
        ({"a": (STARTED,), "b": (STARTED,)}, True),
        ({"a": (STARTED,), "b": (NEVER,)}, False),
        ({"a": (STARTED, NEVER), "b": (STARTED,)}, False),
        ({"a": (STARTED, STARTED), "b": (Life(State.FINISHED, started=True),)}, True),
        ({"a": (STARTED,), "b": (Life(State.PAUSED, attempts=1, started=True),)}, True),
        ({"a": (STARTED,), "b": (Life(State.PAUSED, attempts=1),)}, False),
        ({"a": (CRASHED,), "b": (STARTED,)}, True),
    ],
)
def test_a_service_is_free_to_start_when_all_instances_of_all_it_needs_were_started(
    lives: dict[str, tuple[Life, ...]], free: bool
) -> None:
    assert is_free_to_start(service("web", "a", "b"), lives) is free


def test_who_depends_on_nothing_is_free_at_once() -> None:
    assert is_free_to_start(service("web"), {"web": (Life(),)})
    assert blocked_by(service("web"), {"web": (Life(),)}) is None


@pytest.mark.parametrize(
    ("lives", "name"),
    [
        ({"a": (STARTED,), "b": (NEVER,)}, None),
        ({"a": (CRASHED,), "b": (NEVER,)}, None),
        ({"a": (STARTED,), "b": (REFUSED,)}, "b"),
        ({"a": (STARTED, REFUSED), "b": (REFUSED,)}, "a"),
        ({"a": (Life(State.STOPPED),), "b": (Life(State.PAUSED, attempts=1),)}, None),
    ],
)
def test_only_what_failed_before_it_ever_ran_blocks(lives: dict[str, tuple[Life, ...]], name: str | None) -> None:
    assert blocked_by(service("web", "a", "b"), lives) == name


@pytest.mark.parametrize("state", State)
def test_a_service_is_free_to_stop_when_all_that_need_it_have_ended(state: State) -> None:
    services = [service("db"), service("web", "db"), service("worker", "web", "db"), service("other")]
    over = (Life(State.STOPPED),)
    lives = {"db": (STARTED,), "web": over, "worker": (Life(State.STOPPED), Life(state)), "other": (STARTED,)}
    ended = state in (State.STOPPED, State.FINISHED, State.FAILED)
    assert is_free_to_stop(services[0], services, lives) is ended
    assert is_free_to_stop(services[1], services, lives) is ended
    assert is_free_to_stop(services[2], services, lives)
    assert is_free_to_stop(services[3], services, lives)

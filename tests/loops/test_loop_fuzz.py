"""Transports of each loop put through anything at random, with asyncio's own as the oracle (`fuzzing.py`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.loops.fuzzing import BIG, SHAPES, Actor, DatagramActor

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = st.binary(max_size=200)
DATA = st.one_of(SMALL, st.just(b"B" * BIG))


class Streams(RuleBasedStateMachine):
    """What may be done to a stream and its peer."""

    make_loop: Callable[[], asyncio.AbstractEventLoop]
    kind: str
    oracle: Actor | None = None

    @initialize(keeps=st.booleans(), buffered=st.booleans())
    def begin(self, keeps: bool, buffered: bool) -> None:
        buffered = buffered and self.kind in ("tcp", "unix")  # asyncio's pipes know no buffered protocols
        self.oracle = Actor(asyncio.SelectorEventLoop(), self.kind, keeps=keeps, buffered=buffered)
        self.subject = Actor(self.make_loop(), self.kind, keeps=keeps, buffered=buffered)
        self.compare()

    def both(self, step: str, *args: Any, settle: bool = True) -> None:
        assert self.oracle is not None
        expected, actual = self.oracle.do(step, *args), self.subject.do(step, *args)
        assert actual == expected, f"{step} raised {actual or 'nothing'}, asyncio's {expected or 'nothing'}"
        if settle:
            self.compare()

    def compare(self) -> None:
        assert self.oracle is not None
        for actor in (self.oracle, self.subject):
            actor.settle()
            actor.check_read()
        assert self.subject.seen() == self.oracle.seen()
        assert self.subject.said() == self.oracle.said()

    # What may be done where

    def alive(self) -> bool:
        """Not lost: of what comes after that, asyncio before 3.15 has no clear idea."""
        return self.oracle is not None and not self.oracle.lost and not self.subject.lost

    def writes(self) -> bool:
        return self.alive() and self.kind != "read pipe"

    def reads(self) -> bool:
        return self.alive() and self.kind != "write pipe"

    def stream(self) -> bool:
        return self.alive() and self.kind in ("tcp", "unix")

    def peer_reads_it(self) -> bool:
        return self.oracle is not None and self.kind != "read pipe" and not self.oracle.peer_gone

    def peer_writes_it(self) -> bool:
        return self.oracle is not None and self.kind != "write pipe" and not self.oracle.peer_gone

    @rule()
    def a_while_passes(self) -> None:
        self.compare()

    @precondition(writes)
    @rule(data=DATA, shape=st.sampled_from(list(SHAPES)), settle=st.booleans())
    def write(self, data: bytes, shape: str, settle: bool) -> None:
        self.both("write", data, shape, settle=settle)

    @precondition(writes)
    @rule(parts=st.lists(SMALL, max_size=5), settle=st.booleans())
    def writelines(self, parts: list[bytes], settle: bool) -> None:
        self.both("writelines", parts, settle=settle)

    @precondition(reads)
    @rule(settle=st.booleans())
    def pause(self, settle: bool) -> None:
        self.both("pause", settle=settle)

    @precondition(reads)
    @rule(settle=st.booleans())
    def resume(self, settle: bool) -> None:
        self.both("resume", settle=settle)

    # One rule for all that ends it, or half of all machines would be over after a few steps
    @rule(how=st.sampled_from(["close", "close", "abort", "peer_closes", "peer_resets"]), settle=st.booleans())
    def end(self, how: str, settle: bool) -> None:
        possible = {
            "close": self.alive(),
            "abort": self.writes(),
            "peer_closes": self.oracle is not None and not self.oracle.peer_gone,
            "peer_resets": self.kind == "tcp" and self.oracle is not None and not self.oracle.peer_gone,
        }
        if possible[how]:
            self.both(how, settle=settle or how != "close")

    @precondition(writes)
    @rule(settle=st.booleans())
    def write_eof(self, settle: bool) -> None:
        self.both("write_eof", settle=settle)

    @precondition(writes)
    @rule(limits=st.sampled_from([(None, None), (0, None), (100_000, 1_000), (10 * BIG, None), (1, 2), (-1, None)]))
    def set_limits(self, limits: tuple[int | None, int | None]) -> None:
        self.both("set_limits", *limits)

    @precondition(stream)
    @rule(buffered=st.booleans())
    def change_protocol(self, buffered: bool) -> None:
        self.both("change_protocol", buffered)

    @precondition(peer_writes_it)
    @rule(data=st.binary(min_size=1, max_size=200), settle=st.booleans())
    def peer_writes(self, data: bytes, settle: bool) -> None:
        self.both("peer_writes", data, settle=settle)

    @precondition(lambda self: self.peer_writes_it() and self.kind != "read pipe")
    @rule(settle=st.booleans())
    def peer_ends(self, settle: bool) -> None:
        self.both("peer_ends", settle=settle)

    @precondition(peer_reads_it)
    @rule(count=st.integers(1, 30_000))
    def peer_reads(self, count: int) -> None:
        self.both("peer_reads", count)

    @precondition(peer_reads_it)
    @rule()
    def peer_reads_all(self) -> None:
        assert self.oracle is not None
        self.both("peer_reads_all")
        if not (self.oracle.unsure or self.subject.unsure):
            assert self.subject.read == self.oracle.read

    def teardown(self) -> None:
        if self.oracle is not None:
            self.oracle.strike()
            self.subject.strike()
            assert self.subject.lost, "aborted, and never told so"


class Datagrams(RuleBasedStateMachine):
    """What may be done to a datagram endpoint and its peer."""

    make_loop: Callable[[], asyncio.AbstractEventLoop]
    actors: tuple[DatagramActor, DatagramActor] | None = None

    @initialize(connected=st.booleans())
    def begin(self, connected: bool) -> None:
        self.connected = connected
        self.actors = (
            DatagramActor(asyncio.SelectorEventLoop, connected=connected),
            DatagramActor(self.make_loop, connected=connected),
        )

    def both(self, step: str, *args: Any) -> None:
        assert self.actors is not None
        expected, actual = (actor.do(step, *args) for actor in self.actors)
        assert actual == expected
        for actor in self.actors:
            actor.settle()
        oracle, subject = self.actors
        assert subject.seen() == oracle.seen()

    def alive(self) -> bool:
        return self.actors is not None and not any(actor.transport.is_closing() for actor in self.actors)

    @precondition(alive)
    @rule(data=st.binary(min_size=1, max_size=300), shape=st.sampled_from(list(SHAPES)), addressed=st.booleans())
    def sendto(self, data: bytes, shape: str, addressed: bool) -> None:
        self.both("sendto", data, shape, addressed or not self.connected)

    @precondition(alive)
    @rule(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=20))
    def peer_sends(self, sizes: list[int]) -> None:
        assert self.actors is not None
        for number, size in enumerate(sizes):
            for actor in self.actors:
                actor.peer_sends(bytes([number]) * size)
        self.both("settle")

    @precondition(alive)
    @rule()
    def one_too_big(self) -> None:
        self.both("sendto", b"x" * 70_000, "bytes", True)

    @precondition(lambda self: self.actors is not None)
    @rule()
    def peer_receives(self) -> None:
        self.both("peer_receives")

    @precondition(lambda self: self.actors is not None)
    @rule(how=st.sampled_from(["close", "abort"]))
    def end(self, how: str) -> None:
        self.both(how)

    def teardown(self) -> None:
        for actor in self.actors or ():
            actor.strike()


def run(
    machine: type[RuleBasedStateMachine], examples: int, steps: int, *, shrink: bool = True, **attributes: Any
) -> None:
    """AssertionError, with the fewest steps that were found to show it if it may `shrink` them, where both differ."""
    run_state_machine_as_test(
        type(machine.__name__, (machine,), attributes),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def native() -> asyncio.AbstractEventLoop:
    from loopwright.loops._native_loop import NativeEventLoop  # not there where it was not compiled

    return NativeEventLoop()


KINDS = ["tcp", "unix", "read pipe", "write pipe"]
LOOPS = [
    pytest.param(native, id="native"),
    pytest.param(asyncio.SelectorEventLoop, id="asyncio", marks=pytest.mark.slow),  # whether the oracle is one
]


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("kind", ["tcp", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_streams(make_loop: Callable[[], asyncio.AbstractEventLoop], kind: str) -> None:
    run(Streams, 5, 10, make_loop=staticmethod(make_loop), kind=kind)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_streams_at_length(make_loop: Callable[[], asyncio.AbstractEventLoop], kind: str) -> None:
    run(Streams, 100, 40, make_loop=staticmethod(make_loop), kind=kind)


@pytest.mark.parametrize("make_loop", LOOPS)
def test_datagrams(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    run(Datagrams, 4, 10, make_loop=staticmethod(make_loop))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("make_loop", LOOPS)
def test_datagrams_at_length(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    run(Datagrams, 150, 30, make_loop=staticmethod(make_loop))

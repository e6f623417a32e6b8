"""What is kept of a stream: the beginning and the end, exactly, however it was cut into blocks."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.process._capture import Capture, Tail

BLOCKS = st.lists(st.binary(max_size=30), max_size=12)


@given(BLOCKS, st.integers(0, 60))
def test_a_tail_is_the_end_of_all(blocks: list[bytes], longest: int) -> None:
    tail = Tail(longest)
    for block in blocks:
        tail.add(block)
    whole = b"".join(blocks)
    assert tail.value() == (whole[-longest:] if longest else b"")
    assert tail.total == len(whole)


@given(BLOCKS, st.integers(0, 200))
def test_beginning_and_end(blocks: list[bytes], limit: int) -> None:
    capture = Capture(limit)
    for block in blocks:
        capture.add(block)
    whole = b"".join(blocks)
    head, tail = capture.parts()
    assert capture.over is (len(whole) > limit)
    assert capture.omitted == len(whole) - len(head) - len(tail)
    if capture.over:
        assert len(head) + len(tail) == limit
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(tail) <= len(head)
        assert len(tail) % 4 == 0
    else:
        assert (head, tail) == (whole, b"")


@given(BLOCKS)
def test_all_without_a_limit(blocks: list[bytes]) -> None:
    capture = Capture()
    for block in blocks:
        capture.add(block)
    assert capture.parts() == (b"".join(blocks), b"")
    assert not capture.over
    assert capture.omitted == 0


def test_a_limit_that_is_none() -> None:
    with pytest.raises(ValueError, match="-1"):
        Capture(-1)


def test_memory_is_bounded() -> None:
    capture = Capture(100_000)
    tracemalloc.start()
    try:
        for _ in range(1000):
            capture.add(bytes(65_536))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 600_000
    assert capture.omitted == 1000 * 65_536 - 100_000

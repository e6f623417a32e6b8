"""What a service writes, on this machine and with its real processes."""

from __future__ import annotations

import asyncio
import signal
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loopwright.supervision import (
    Event,
    Exited,
    Finished,
    Note,
    Output,
)
from loopwright.testing import LeakCheck
from tests.supervision.stories import LoopFactory, Story, shell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_leaks(whole_process_things_are_open: None) -> Iterator[None]:
    """Here there is everything that can be left behind."""
    with LeakCheck():
        yield


def test_lines_come_in_the_order_in_which_they_were_written_whichever_way(loop_factory: LoopFactory) -> None:
    story = Story(shell("for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; printf 'the last'"))
    assert story.run(loop_factory).success
    assert story.lines() == [f"{way} {number}" for number in range(1, 6) for way in ("out", "err")] + ["the last"]
    last_output = max(story.events.index(event) for event in story.said(Output))
    assert last_output < story.events.index(story.only(Finished))


def test_bytes_that_are_no_text_lose_nothing(loop_factory: LoopFactory) -> None:
    story = Story(shell(r"printf 'caf\303\251 caf\351 \000\377\n\200\n'"))
    assert story.run(loop_factory).success
    assert story.lines() == ["café caf\\xe9 \0\\xff", "\\x80"]


def test_a_line_of_ten_megabytes_comes_in_pieces_and_in_little_memory(loop_factory: LoopFactory) -> None:
    story = Story(shell("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after"))
    pieces: list[tuple[int, bool]] = []

    def measure(event: Event) -> None:
        if isinstance(event, Output):
            pieces.append((len(event.line), event.continued))

    story.listen = measure
    tracemalloc.start()
    try:
        assert story.run(loop_factory).success
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pieces.pop() == (len("after"), False)
    assert sum(length for length, _ in pieces) == 10_000_000
    assert max(length for length, _ in pieces) <= 65_536
    assert [continued for _, continued in pieces] == [True] * (len(pieces) - 1) + [False]
    assert peak < 4_000_000


@pytest.mark.long
def test_a_service_waits_while_its_output_is_held_and_nothing_is_lost(
    loop_factory: LoopFactory, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    story = Story(shell(f"echo go; seq 1 50000; : > {written}"))
    seen: list[tuple[bool, int]] = []

    def hold() -> None:
        story.supervisor.hold_output(True)
        asyncio.get_running_loop().call_later(0.3, release)

    def release() -> None:
        seen.append((written.exists(), len(story.said(Output))))
        story.supervisor.hold_output(False)

    story.when_it_says("go", hold)
    assert story.run(loop_factory).success
    # seq(1) writes 289 kB: more than the pipe (64 KiB) and the one reading that was under way can hold.
    assert len(seen) == 1
    assert seen[0][0] is False
    assert story.lines() == ["go", *map(str, range(1, 50_001))]


def test_output_may_be_held_at_the_last_word(loop_factory: LoopFactory) -> None:
    story = Story(shell("printf 'no newline'"))

    def hold() -> None:
        story.supervisor.hold_output(True)
        asyncio.get_running_loop().call_later(0.05, story.supervisor.hold_output, False)

    story.when_it_says("no newline", hold)
    assert story.run(loop_factory).success
    assert not story.said(Note)


@pytest.mark.long
def test_what_was_written_before_the_end_is_read_however_late_it_is_released(loop_factory: LoopFactory) -> None:
    story = Story(shell("echo first; echo second"))
    story.supervisor.hold_output(True)

    def release() -> None:
        # wait_gone() looks at its output every 0.25 s. It has to find it released and, this very moment, not yet read.
        time.sleep(0.1)
        story.supervisor.hold_output(False)

    story.when(lambda event: isinstance(event, Exited), lambda: asyncio.get_running_loop().call_later(0.45, release))
    assert story.run(loop_factory).success
    assert story.lines() == ["first", "second"]
    assert not story.said(Note)


@pytest.mark.long
def test_who_writes_for_ever_can_be_killed_while_its_output_is_held(loop_factory: LoopFactory) -> None:
    story = Story(shell("trap '' TERM; echo go; while :; do echo more; done", grace_period=0.2))

    def hold_and_stop() -> None:
        story.supervisor.hold_output(True)
        story.supervisor.stop()

    story.when_it_says("go", hold_and_stop)
    # And who shows it has no room for any of what then comes.
    story.when_it_says("more", lambda: story.supervisor.hold_output(True))
    assert story.run(loop_factory).asked
    assert story.only(Exited).status.signal == signal.SIGKILL
    assert not story.said(Note)[1:]

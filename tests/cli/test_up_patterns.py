"""What `loopwright up` does about what its services write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.up_session import Up

    Start = Callable[..., Up]


def test_a_line_that_matches_is_told_from_both_outputs_and_as_whatever_bytes(up: Start) -> None:
    session = up(
        r"""
        [services.s]
        command = ['sh', '-c', 'echo fine; echo "an ERROR" >&2; printf "caf\351 ERROR\n"; printf "last ERROR"']
        tell_on_output = "ERROR"
        restart = "never"
        """
    )
    assert session.end() == 0
    told = re.findall(r" \* its output matched 'ERROR': (.*)", session.output)
    assert told == ["an ERROR", r"caf\xe9 ERROR", "last ERROR"]
    assert " * failed" not in session.output


def test_a_service_that_writes_it_at_every_start_is_ended_paced_and_given_up(up: Start) -> None:
    # A program that fails in its own eyes and goes on: only what it writes shows that.
    session = up(
        """
        [services.s]
        command = ['sh', '-c', 'echo "MemoryError: out of memory"; echo more: out of memory; exec sleep 1000']
        restart_on_output = "out of memory$"
        restart = { rule = "on-failure", initial_delay = "50ms", jitter = 0, max_restarts = 2 }
        essential = true
        """
    )
    assert session.end() == 1
    why = r"its output matched 'out of memory\$'"
    assert len(re.findall(rf" \* sent SIGTERM: {why}; SIGKILL follows", session.output)) == 3
    restarts = re.findall(rf" \* {why}; its restart rule is on-failure; (restart .*)", session.output)
    assert restarts == ["restart 1, in 50 ms", "restart 2 in a row, in 0.1 s"]
    assert re.search(rf" \* failed: {why}; crash-looping: 2 restarts in a row did not help", session.output)
    assert re.search(r"^s +3 +2 ", session.output, re.MULTILINE)


def test_a_flood_of_matches_is_shown_whole_and_told_in_part(up: Start) -> None:
    session = up(
        """
        [services.s]
        command = ['sh', '-c', 'yes ERROR | head -n 20000']
        tell_on_output = "ERROR"
        restart = "never"
        """
    )
    assert session.end() == 0
    assert len(re.findall(r" \| ERROR$", session.output, re.MULTILINE)) == 20_000
    told = len(re.findall(r" \* its output matched 'ERROR': ERROR", session.output))
    before = sum(map(int, re.findall(r"\(and (\d+) more before, too many", session.output)))
    at_the_end = sum(map(int, re.findall(r" \* (\d+) more lines? that matched, too many", session.output)))
    assert told + before + at_the_end == 20_000
    assert 10 <= told < 2_000

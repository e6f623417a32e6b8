"""The decisions of init, with made-up times."""

from __future__ import annotations

import signal

import pytest

from loopwright.process._init._rules import PATIENCE, Ending, exit_code, forwarded, signal_name, signal_number, told

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("sigterm", 15), (" 3 ", 3), ("RTMIN", signal.SIGRTMIN), ("RTMIN+3", signal.SIGRTMIN + 3),
     ("SIGRTMAX-1", signal.SIGRTMAX - 1), ("64", 64)],
)  # fmt: skip
def test_a_signal_by_name_or_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-1", "32", "TERMS", "RTMIN+99", "RTMIN-1", "RTMIN+x", "9" * 5000, "٣"]
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(ValueError, match="there is no signal"):
        signal_number(text)


def test_names_lead_back_to_their_numbers() -> None:
    for number in signal.valid_signals():
        assert signal_number(signal_name(number)) == number


def test_what_is_passed_on() -> None:
    assert forwarded(TERM, {}) == TERM
    assert forwarded(64, {}) == 64
    assert forwarded(TERM, {TERM: signal.SIGQUIT}) == signal.SIGQUIT
    assert forwarded(TERM, {TERM: 0}) is None
    assert forwarded(signal.SIGCHLD, {}) is None
    assert forwarded(signal.SIGQUIT, {TERM: signal.SIGQUIT, signal.SIGQUIT: TERM}) == TERM  # once only


def test_exit_codes_are_those_of_a_shell() -> None:
    assert [exit_code(code << 8, ()) for code in (0, 3, 255)] == [0, 3, 255]
    assert exit_code(TERM, ()) == 143
    assert exit_code(signal.SIGSEGV | 0x80, ()) == 139  # with a core dump
    assert exit_code(TERM, {143}) == 0
    assert exit_code(3 << 8, {143}) == 3


def test_an_end_in_words() -> None:
    assert told(3 << 8) == "ended with status 3"
    assert told(signal.SIGRTMIN) == "was ended by SIGRTMIN"
    assert told(signal.SIGRTMIN + 2) == "was ended by SIGRTMIN+2"


def test_each_is_asked_once_and_killed_after_the_grace() -> None:
    ending = Ending(5.0, now=100.0)
    assert ending.due([10, 11], 100.0) == (TERM, [10, 11])
    assert ending.due([10, 11, 12], 101.0) == (TERM, [12])  # an orphan of somebody's
    assert ending.due([11], 104.9) == (TERM, [])
    assert ending.killed == 0
    assert ending.due([11], 105.0) == (KILL, [11])
    assert ending.due([11, 13], 105.1) == (KILL, [11, 13])
    assert ending.killed == 2


def test_a_number_that_is_somebody_elses_now_is_asked_again() -> None:
    ending = Ending(5.0, now=0.0)
    assert ending.due([10], 0.0) == (TERM, [10])
    ending.reaped(10)
    assert ending.due([10], 1.0) == (TERM, [10])


def test_no_grace_is_sigkill_at_once() -> None:
    assert Ending(0.0, now=7.0).due([-5], 7.0) == (KILL, [-5])


def test_it_gives_up_only_long_after_sigkill() -> None:
    ending = Ending(5.0, now=0.0)
    ending.due([10], 0.0)
    assert not ending.hopeless(1e9)
    ending.due([10], 6.0)
    assert not ending.hopeless(6.0 + PATIENCE - 0.1)
    assert ending.hopeless(6.0 + PATIENCE)


@pytest.mark.parametrize("number", [TERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_wish_means_at_once(number: int) -> None:
    ending = Ending(5.0, now=0.0)
    assert not ending.hear(number, 0.1)  # one that was sent together with what ended the child
    assert ending.due([10], 0.1) == (TERM, [10])
    assert ending.hear(number, 0.2)
    assert ending.due([10], 0.2) == (KILL, [10])
    assert not ending.hear(number, 0.3)


def test_other_signals_hurry_nobody() -> None:
    ending = Ending(5.0, now=0.0)
    assert not ending.hear(signal.SIGHUP, 1.0)
    assert not ending.hear(signal.SIGWINCH, 1.0)


def test_it_sleeps_no_longer_than_until_something_is_due() -> None:
    ending = Ending(5.0, now=0.0)
    assert ending.pause(0.0, 0.05) == 0.05
    assert ending.pause(4.98, 0.05) == pytest.approx(0.02)
    assert ending.pause(6.0, 0.05) == 0.05

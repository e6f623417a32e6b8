"""Whose fault it was: decided from statuses and the order in which the stages ended."""

from __future__ import annotations

import dataclasses
import pickle
import signal
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright._core import ExitStatus, StatusLost
from loopwright.errors import ChildError, ProcessFailedError
from loopwright.process import Completed, PipelineResult
from loopwright.process._completed import blame, ended_by_sigpipe

OK = ExitStatus(0)
PIPED = ExitStatus(None, signal.SIGPIPE)
SHELL = ExitStatus(141)
LOST = StatusLost("somebody took it")
STATUSES = st.sampled_from([OK, OK, PIPED, SHELL, LOST, ExitStatus(1), ExitStatus(None, signal.SIGSEGV)])


@st.composite
def endings(draw: st.DrawFn) -> tuple[list[tuple[ExitStatus | StatusLost, bool]], list[int]]:
    statuses = draw(st.lists(STATUSES, min_size=1, max_size=6))
    return [(status, status.success) for status in statuses], draw(st.permutations(range(len(statuses))))


@given(endings())
def test_blame(given_: tuple[list[tuple[ExitStatus | StatusLost, bool]], list[int]]) -> None:
    stages, order = given_
    failed = blame(stages, order)
    last = len(stages) - 1
    culprits = {
        number
        for number, (status, success) in enumerate(stages)
        if not success and (number == last or not ended_by_sigpipe(status))
    }
    if failed is None:
        assert not culprits
        assert stages[last][1]
    else:
        assert failed in culprits
        assert all(other not in culprits for other in order[: order.index(failed)])


@pytest.mark.parametrize(
    ("statuses", "order", "failed"),
    [
        ([OK, OK], [0, 1], None),
        ([PIPED, OK], [1, 0], None),
        ([SHELL, OK], [1, 0], None),
        ([PIPED, PIPED, OK], [2, 1, 0], None),
        ([OK, PIPED], [0, 1], 1),
        ([OK, SHELL], [0, 1], 1),
        ([PIPED, ExitStatus(2)], [1, 0], 1),
        ([ExitStatus(1), ExitStatus(2)], [0, 1], 0),  # it had too little to read
        ([ExitStatus(1), ExitStatus(2)], [1, 0], 1),  # it had nobody to write to, and says so with a status
        ([LOST, OK], [0, 1], 0),
    ],
)
def test_examples_of_blame(statuses: list[ExitStatus], order: list[int], failed: int | None) -> None:
    stages = tuple(Completed([str(number)], status) for number, status in enumerate(statuses))
    result = PipelineResult(stages, tuple(order))
    assert result.failed == failed
    assert result.success is (failed is None)
    assert result.status is statuses[-1 if failed is None else failed]


def test_a_failure_says_what_why_and_for_how_long() -> None:
    failed = Completed(["make", "all"], ExitStatus(2), b"out", b"no rule\n", 1.5)
    with pytest.raises(ProcessFailedError) as caught:
        failed.check()
    error = caught.value
    assert str(error) == "`make all` exited with status 2 after 1.5 s:\n    no rule"
    assert isinstance(error, ChildError)
    assert isinstance(error, subprocess.CalledProcessError)
    assert (error.cmd, error.returncode, error.output, error.stdout, error.stderr) == (
        ["make", "all"], 2, b"out", b"out", b"no rule\n",
    )  # fmt: skip
    assert error.result is failed
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.result, again.returncode) == (str(error), failed, 2)


def test_what_is_ok_is_no_failure() -> None:
    assert Completed(["grep"], ExitStatus(1), ok=(0, 1)).check().success
    assert not Completed(["grep"], ExitStatus(2), ok=(0, 1)).success
    assert not Completed(["grep"], ExitStatus(None, signal.SIGTERM), ok=range(256)).success
    assert not Completed(["grep"], LOST, ok=range(256)).success


def test_a_pipeline_says_which_stage() -> None:
    stages = (Completed(["a"], PIPED), Completed(["b"], ExitStatus(3), stderr="bad\n"), Completed(["c"], ExitStatus(1)))
    result = PipelineResult(stages, (1, 0, 2), "out")
    with pytest.raises(ProcessFailedError) as caught:
        result.check()
    words = str(caught.value)
    assert words.startswith("stage 2 of `a | b | c` failed: `b` exited with status 3")
    assert "stage 1 was ended by SIGPIPE; stage 3 exited with status 1" in words
    assert words.endswith(":\n    bad")
    assert (caught.value.cmd, caught.value.returncode, caught.value.stdout) == (["b"], 3, "out")
    assert (result.args, result.returncode, result.stderr) == (["b"], 3, "bad\n")
    assert PipelineResult(stages[:1], (0,)).failed == 0


def test_results_are_frozen() -> None:
    result = Completed(["a"], OK)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.stdout = b""  # type: ignore[misc]


def test_as_one_line() -> None:
    done = Completed(["git", "log", "-1"], OK, b"x" * 12, b"", 0.25)
    assert str(done) == "`git log -1` exited with status 0 after 0.25 s, 12 bytes of output, 0 bytes of errors"
    text = Completed("ls", ExitStatus(2), "ä", None, 1.0, stdout_omitted=7)
    assert str(text) == "`ls` exited with status 2 after 1 s, 1 character of output (7 bytes left out)"
    piped = PipelineResult((Completed(["yes"], PIPED), Completed(["head"], OK)), (1, 0), b"y\n", 0.5)
    assert str(piped) == "`yes | head` exited with status 0 after 0.5 s, 2 bytes of output"
    failed = PipelineResult((Completed(["true"], OK), Completed(["false"], ExitStatus(1))), (0, 1), None, 0.5)
    assert str(failed) == "`true | false` failed: stage 2 exited with status 1 after 0.5 s"

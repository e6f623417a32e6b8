"""Every form in which the system tells how a process ended comes to the same value, and none is made up."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright._core import ExitStatus, ResourceUsage, StatusLost, signal_name

CODES = st.integers(0, 255)
SIGNALS = st.integers(1, signal.SIGRTMAX)
CORE_FLAG = 0x80  # wait(2): WCOREDUMP's bit on Linux


@given(CODES)
def test_code_in_every_form(code: int) -> None:
    status = ExitStatus.from_wait(code << 8)
    assert status == ExitStatus(code) == ExitStatus.from_returncode(code)
    assert status == ExitStatus.from_siginfo(os.CLD_EXITED, code)
    assert (status.code, status.signal, status.core_dumped) == (code, None, False)
    assert status.returncode == os.waitstatus_to_exitcode(code << 8)
    assert status.shell_code == code
    assert status.success is (code == 0)
    assert str(status) == f"exited with status {code}"


@given(SIGNALS, st.booleans())
def test_signal_in_every_form(number: int, dumped: bool) -> None:
    raw = number | (CORE_FLAG if dumped else 0)
    status = ExitStatus.from_wait(raw)
    assert status == ExitStatus.from_siginfo(os.CLD_DUMPED if dumped else os.CLD_KILLED, number)
    assert (status.code, status.signal, status.core_dumped) == (None, number, dumped)
    assert status.returncode == os.waitstatus_to_exitcode(raw) == -number
    assert status.shell_code == 128 + number
    assert status.success is False
    assert signal_name(number) in str(status)
    assert ("(core dumped)" in str(status)) is dumped
    if not dumped:
        assert status == ExitStatus.from_returncode(-number)


@given(st.integers(0, 0xFFFF))
def test_any_wait_status(raw: int) -> None:
    try:
        expected = os.waitstatus_to_exitcode(raw)
    except ValueError:
        with pytest.raises(ValueError, match="not that of a process that ended"):
            ExitStatus.from_wait(raw)
    else:
        assert ExitStatus.from_wait(raw).returncode == expected


@pytest.mark.parametrize("code", [os.CLD_STOPPED, os.CLD_CONTINUED, os.CLD_TRAPPED, 0])
def test_siginfo_of_a_process_that_did_not_end(code: int) -> None:
    with pytest.raises(ValueError, match=f"si_code {code}"):
        ExitStatus.from_siginfo(code, 19)


@pytest.mark.parametrize(("code", "number"), [(None, None), (0, 9)])
def test_a_code_or_a_signal_and_not_both(code: int | None, number: int | None) -> None:
    with pytest.raises(ValueError, match="by a code or by a signal"):
        ExitStatus(code, number)


def test_signals_are_named_where_python_knows_them() -> None:
    assert isinstance(ExitStatus.from_wait(signal.SIGTERM).signal, signal.Signals)
    assert str(ExitStatus.from_wait(signal.SIGTERM)) == "was ended by SIGTERM"
    assert ExitStatus.from_wait(signal.SIGRTMIN + 3).signal == signal.SIGRTMIN + 3


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (15, "SIGTERM"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMIN + 1, "SIGRTMIN+1"),
        (signal.SIGRTMAX - 1, f"SIGRTMIN+{signal.SIGRTMAX - signal.SIGRTMIN - 1}"),
        (signal.SIGRTMAX, "SIGRTMAX"),
        (signal.SIGRTMIN - 1, f"signal {signal.SIGRTMIN - 1}"),  # the C library keeps two for itself
        (signal.SIGRTMAX + 1, f"signal {signal.SIGRTMAX + 1}"),
        (0, "signal 0"),
    ],
)
def test_signal_name(number: int, name: str) -> None:
    assert signal_name(number) == name


def test_usage_is_carried_and_compared() -> None:
    usage = ResourceUsage(1.5, 0.25, 4096)
    assert usage.cpu_time == 1.75
    for status in (
        ExitStatus.from_wait(0, usage),
        ExitStatus.from_returncode(0, usage),
        ExitStatus.from_returncode(-9, usage),
        ExitStatus.from_siginfo(os.CLD_EXITED, 0, usage),
    ):
        assert status.usage is usage
    assert ExitStatus(0, usage=usage) != ExitStatus(0)


def test_usage_of_a_real_process_is_in_seconds_and_bytes() -> None:
    """60 MB taken and 0.1 s burned: off by a factor of 1,024 or a misplaced field would show."""
    program = "import time; block = b'x' * (60 << 20)\nwhile time.process_time() < 0.1: pass"
    process = subprocess.Popen([sys.executable, "-S", "-c", program])
    _, raw, rusage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(raw)
    usage = ResourceUsage.from_rusage(rusage)
    assert process.returncode == 0
    assert 0.09 < usage.cpu_time < 5.0
    assert 60 << 20 < usage.max_rss < 4 << 30
    assert usage.minor_faults > 1000
    assert usage.voluntary_switches + usage.involuntary_switches > 0


def test_usage_takes_each_field_from_its_own() -> None:
    numbers = resource.struct_rusage(range(16))
    assert ResourceUsage.from_rusage(numbers) == ResourceUsage(0, 1, 2 * 1024, 6, 7, 9, 10, 14, 15)


def test_lost_is_a_value_that_says_so() -> None:
    lost = StatusLost("os.wait() was called")
    assert (lost.code, lost.signal, lost.core_dumped, lost.success) == (None, None, False, False)
    assert lost.returncode == lost.shell_code == 255
    assert str(lost) == "ended, its status lost: os.wait() was called"
    assert lost != ExitStatus(255)

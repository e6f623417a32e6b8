"""The compiled set is there, or its absence is explained. What it does: tests/watchers/test_plain.py, for both sets."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from loopwright import _native

LOOK = "from loopwright import _native; print(_native.PidfdSet is not None, _native.MISSING, sep='|')"


def look(pure: str | None) -> tuple[str, str]:
    """Whether something compiled is in use, and why not, in a new process."""
    environment = {name: value for name, value in os.environ.items() if name != "LOOPWRIGHT_PURE"}
    if pure is not None:
        environment["LOOPWRIGHT_PURE"] = pure
    output = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True)
    used, _, missing = output.stdout.strip().partition("|")
    return used, missing


def test_absence_always_has_a_reason() -> None:
    assert (_native.PidfdSet is None) == (_native.MISSING is not None)


def test_left_aside_when_asked_to() -> None:
    assert look("1") == ("False", "LOOPWRIGHT_PURE is set in the environment")


@pytest.mark.parametrize("pure", [None, "", "0"])
def test_used_when_it_was_built(pure: str | None) -> None:
    used, missing = look(pure)
    assert used == "True" or missing.startswith("it was not built for this Python")


def test_what_is_in_use_is_compiled() -> None:
    if _native.PidfdSet is None:
        pytest.skip(f"nothing compiled is in use: {_native.MISSING}")
    assert _native.PidfdSet.__module__ == "loopwright._native._pidfds"
    assert not sys.modules["loopwright._native._pidfds"].__file__.endswith(".py")  # type: ignore[union-attr]


def test_it_cannot_be_added_to() -> None:
    if _native.PidfdSet is None:
        pytest.skip(f"nothing compiled is in use: {_native.MISSING}")
    with pytest.raises(TypeError):
        type("Subclass", (_native.PidfdSet,), {})
    with pytest.raises(AttributeError):
        _native.PidfdSet().anything = 1  # type: ignore[attr-defined]


def one_that_has_ended() -> tuple[_native.PidfdSet, subprocess.Popen[bytes], int]:
    """A set, and a process with its pidfd to be put into it."""
    if _native.PidfdSet is None:
        pytest.skip(f"nothing compiled is in use: {_native.MISSING}")
    process = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    return _native.PidfdSet(), process, pidfd


def test_nothing_is_left_of_one_that_is_closed() -> None:
    """A forked child closes what it has of its parent's, and may run the parent's loop on."""
    pidfds, process, pidfd = one_that_has_ended()
    assert not pidfds.add_or_hear(pidfd, 1)
    assert pidfds.is_left()
    pidfds.close()
    assert not pidfds.is_left()
    pidfds.hear({}, [], [])
    os.close(pidfd)
    process.wait()


def test_an_interrupt_while_it_is_told_of_makes_it_told_again_once() -> None:
    """Ctrl-C may come before whoever is told has done anything."""
    pidfds, process, pidfd = one_that_has_ended()
    pidfds.add(pidfd, 1)
    raised: list[type[BaseException]] = [KeyboardInterrupt] * 2
    told: list[object] = []

    def on_exit(status: object) -> None:
        told.append(status)
        if raised:
            raise raised.pop()

    child = SimpleNamespace(pid=process.pid, status=None)
    children = {1: (child, on_exit)}
    with pytest.raises(KeyboardInterrupt):
        pidfds.hear(children, [], [])
    assert pidfds.is_left()
    with pytest.raises(KeyboardInterrupt):  # by itself, then
        pidfds.hear(children, [], [])
    assert not pidfds.is_left()
    assert not children
    pidfds.hear(children, [], [])
    assert told == [child.status] * 2
    pidfds.close()
    os.close(pidfd)
    process.wait()

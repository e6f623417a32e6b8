"""Listeners come and go, one by one."""

from __future__ import annotations

from loopwright._core import on_process_started, tell_process_started


def test_each_is_told_until_it_stops() -> None:
    first: list[object] = []
    second: list[object] = []
    stop_first, stop_second = on_process_started(first.append), on_process_started(second.append)
    tell_process_started("a")
    stop_first()
    stop_first()
    tell_process_started("b")
    stop_second()
    tell_process_started("c")
    assert (first, second) == (["a"], ["a", "b"])

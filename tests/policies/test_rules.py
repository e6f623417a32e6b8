from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.policies._rules import WithoutLoop, stacklevel_outside, without_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.loops._asyncio_private import Rules


@pytest.mark.parametrize(
    ("rules", "in_main_thread"),
    [("3.11", WithoutLoop.MAKE), ("3.12", WithoutLoop.MAKE_AND_WARN), ("3.14", WithoutLoop.REFUSE)],
)
def test_the_table(rules: Rules, in_main_thread: WithoutLoop) -> None:
    assert without_loop(rules, main_thread=True, set_called=False) is in_main_thread
    for main_thread, set_called in [(True, True), (False, True), (False, False)]:
        assert without_loop(rules, main_thread=main_thread, set_called=set_called) is WithoutLoop.REFUSE


def in_module(name: str, source: str, **names: Any) -> Callable[[], None]:
    """The function `f` of this source, as if it stood in a module of that name."""
    module: dict[str, Any] = {"__name__": name, **names}
    exec(compile(source, f"{name}.py", "exec"), module)
    function: Callable[[], None] = module["f"]
    return function


def blamed(function: Callable[[], None]) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    (warning,) = caught
    return warning.filename


@pytest.mark.parametrize(
    ("modules", "culprit"),
    [
        (["loopwright.policies._policy"], __file__),
        (["loopwright", "asyncio.events", "asyncio"], __file__),
        (["loopwright.policies", "loopwrightish.policy", "asyncio.events"], "loopwrightish.policy.py"),
        (["loopwright.policies", "asyncio_like", "program"], "asyncio_like.py"),
    ],
)
def test_a_warning_blames_the_line_outside(modules: list[str], culprit: str) -> None:
    first, *others = modules
    function = in_module(
        first,
        "def f(): warnings.warn('careful', DeprecationWarning, stacklevel=stacklevel_outside())",
        warnings=warnings,
        stacklevel_outside=stacklevel_outside,
    )
    for module in others:
        function = in_module(module, "def f(): inner()", inner=function)

    assert blamed(lambda: function()) == culprit

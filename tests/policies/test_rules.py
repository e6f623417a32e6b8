from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.errors import PolicyOptionError
from loopwright.loops._asyncio_private import PYTHON_RULES
from loopwright.policies._rules import WithoutLoop, checked_rules, stacklevel_outside, without_loop

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


@pytest.mark.parametrize(
    ("named", "generation"),
    [("3.11", "3.11"), ("3.12", "3.12"), ("3.13", "3.12"), ("3.14", "3.14"), ("3.15", "3.14"), (None, PYTHON_RULES)],
)
def test_a_python_names_its_generation(named: str | None, generation: str) -> None:
    assert checked_rules(named) == generation


def test_the_running_python_is_among_them() -> None:
    assert checked_rules("{}.{}".format(*sys.version_info)) == PYTHON_RULES


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (3.12, "none of 3.12; did you mean the string '3.12'? "),
        ("3.12.1", "none of '3.12.1'; did you mean the string '3.12'? "),
        (313, "did you mean the string '3.13'? "),
        ("3.10", "none of '3.10'; did you mean the string '3.11'? "),
        ("3.16", "none of '3.16'; did you mean the string '3.15'? "),
        ("py311", "none of 'py311'; there are: '3.11', '3.12', '3.13', '3.14', '3.15', and None"),
        ("", "none of ''; there are"),
        (["3.11"], "there are"),
    ],
)
def test_other_rules_are_refused_with_the_nearest(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match="rules names the Python") as caught:
        checked_rules(wrong)
    assert isinstance(caught.value, PolicyOptionError)
    assert said in str(caught.value)


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

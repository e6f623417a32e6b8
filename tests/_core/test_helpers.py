"""What the library makes tasks of for itself is known."""

from __future__ import annotations

from loopwright._core import helper, is_helper


async def part() -> None:
    pass


async def other() -> None:
    pass


def test_all_that_its_function_makes_is_known_and_nothing_else() -> None:
    coroutines = [part(), part(), other()]
    assert helper(coroutines[0]) is coroutines[0]
    assert [is_helper(each) for each in coroutines] == [True, True, False]
    assert not is_helper(None)
    for each in coroutines:
        each.close()

from __future__ import annotations

import re


def test_the_policy_in_force_is_told_with_its_parts(loopwright):
    (line,) = [line for line in loopwright("doctor").stdout.splitlines() if re.match(r"ok +policy ", line)]
    assert "DefaultEventLoopPolicy loop=asyncio scope=thread>" in line
    assert line.endswith("SelectorEventLoop")

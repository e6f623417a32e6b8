from __future__ import annotations

import re

from loopwright.loops._native_obstacle import native_obstacle


def test_the_policy_in_force_is_told_with_its_parts(loopwright):
    (line,) = [line for line in loopwright("doctor").stdout.splitlines() if re.match(r"ok +policy ", line)]
    assert "DefaultEventLoopPolicy loop=asyncio scope=thread>" in line
    assert line.endswith("SelectorEventLoop")


def test_whether_the_native_loop_can_run_is_told_and_why_not(loopwright):
    (line,) = [line for line in loopwright("doctor").stdout.splitlines() if re.match(r"(ok|no) +loop native ", line)]
    if native_obstacle() is None:
        assert line.startswith("ok")
        assert "NativeEventLoop of Loopwright" in line
    else:
        assert line.endswith(str(native_obstacle()))
    (line,) = [
        line
        for line in loopwright("doctor", LOOPWRIGHT_PURE="1").stdout.splitlines()
        if re.match(r"no +loop native ", line)
    ]
    assert line.endswith("LOOPWRIGHT_PURE is set in the environment; unset that, or use 'asyncio'")

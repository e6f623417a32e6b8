from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable


FORK = """
import gc, os, sys, threading, time
from loopwright.errors import NoLoopError
from loopwright.loops import loop_factory
from loopwright.loops._asyncio_private import PYTHON_RULES
from loopwright.policies import EventLoopPolicy, run, set_event_loop_policy

policy = EventLoopPolicy(loop=sys.argv[1], scope=sys.argv[3])
set_event_loop_policy(policy)
loop = policy.new_event_loop() if sys.argv[2] == "made" else loop_factory(sys.argv[1])()
policy.set_event_loop(loop)

async def main():
    return 42

def child():
    global loop
    import warnings
    warnings.simplefilter("ignore")  # of the parent's loop: dropped unclosed, and rightly so
    mine = None
    try:
        mine = policy.get_event_loop()
    except NoLoopError:
        assert PYTHON_RULES == "3.14"
    assert mine is not loop
    policy.close()
    assert mine is None or mine.is_closed()
    assert not loop.is_closed()
    loop = None
    gc.collect()
    assert run(main()) == 42

pid = os.fork()
if pid == 0:
    status = 1
    try:
        child()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
assert os.waitpid(pid, 0) == (pid, 0)

# The parent has its loop still, and the loop hears other threads still.
assert policy.get_event_loop() is loop
begun = time.monotonic()
threading.Timer(0.05, lambda: loop.call_soon_threadsafe(loop.stop)).start()
loop.call_later(20, loop.stop)  # a deaf loop wakes up for this one only
loop.run_forever()
assert time.monotonic() - begun < 15, "the loop is deaf"
policy.close()
assert loop.is_closed() == (sys.argv[2] == "made")
loop.close()
print("fine")
"""


@pytest.mark.long
@pytest.mark.parametrize("scope", ["thread", "context", "shared"])
@pytest.mark.parametrize("origin", ["made", "given"])
def test_a_forked_child_has_no_loops_and_harms_none(
    loop_name: str, origin: str, scope: str, script: Callable[..., str]
) -> None:
    assert script(FORK, loop_name, origin, scope) == "fine\n"

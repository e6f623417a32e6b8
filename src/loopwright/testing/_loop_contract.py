"""The contract of event loops, as tests for anybody's loop."""

from __future__ import annotations

from loopwright.testing._loop_calls import LoopCalls
from loopwright.testing._loop_closing import LoopClosing
from loopwright.testing._loop_connections import LoopConnections
from loopwright.testing._loop_contexts import LoopContexts
from loopwright.testing._loop_datagrams import LoopDatagrams
from loopwright.testing._loop_debug import LoopDebug
from loopwright.testing._loop_ends import LoopEnds
from loopwright.testing._loop_flow import LoopFlow
from loopwright.testing._loop_handles import LoopHandles
from loopwright.testing._loop_interrupts import LoopInterrupts
from loopwright.testing._loop_peers import LoopPeers
from loopwright.testing._loop_pipes import LoopPipes
from loopwright.testing._loop_raising import LoopRaising
from loopwright.testing._loop_readiness import LoopReadiness
from loopwright.testing._loop_running import LoopRunning
from loopwright.testing._loop_servers import LoopServers
from loopwright.testing._loop_signals import LoopSignals
from loopwright.testing._loop_sockets import LoopSockets
from loopwright.testing._loop_sockets_cancelled import LoopSocketsCancelled
from loopwright.testing._loop_streams import LoopStreams
from loopwright.testing._loop_timers import LoopTimers
from loopwright.testing._loop_tls import LoopTLS

__all__ = ["EventLoopContract"]


class EventLoopContract(
    LoopCalls,
    LoopContexts,
    LoopHandles,
    LoopTimers,
    LoopRunning,
    LoopInterrupts,
    LoopClosing,
    LoopDebug,
    LoopReadiness,
    LoopSignals,
    LoopSockets,
    LoopSocketsCancelled,
    LoopStreams,
    LoopEnds,
    LoopFlow,
    LoopPeers,
    LoopRaising,
    LoopDatagrams,
    LoopPipes,
    LoopServers,
    LoopConnections,
    LoopTLS,
):
    """What an event loop on Linux promises, as a class of tests: what asyncio documents, and what its own does.

    Subclass it and say what is to be tested; every method whose name begins with `test_` is then a test, for pytest
    as it is, for unittest with `unittest.TestCase` as a further base::

        class TestMyLoop(EventLoopContract):
            def make_loop(self):
                return MyEventLoop()

    A test fails with an AssertionError, or with a LeakError: each checks that no descriptor, thread, task, loop or
    child is left behind in the whole process (`LeakCheck`), so they must run one at a time in a process, in its main
    thread, and without `-O`. What the loop tells its exception handler of fails a test, too, unless that is what the
    test is about. Tests that take seconds have an attribute `slow`, which is True.

    asyncio's own loop fails those whose docstrings begin with "More than asyncio".
    """

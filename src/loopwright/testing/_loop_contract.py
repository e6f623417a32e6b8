"""The contract of event loops, as tests for anybody's."""

from __future__ import annotations

from loopwright.testing._loop_calls import LoopCalls
from loopwright.testing._loop_datagrams import LoopDatagrams
from loopwright.testing._loop_debug import LoopDebug
from loopwright.testing._loop_flow import LoopFlow
from loopwright.testing._loop_pipes import LoopPipes
from loopwright.testing._loop_raising import LoopRaising
from loopwright.testing._loop_readiness import LoopReadiness
from loopwright.testing._loop_running import LoopRunning
from loopwright.testing._loop_servers import LoopServers
from loopwright.testing._loop_sockets import LoopSockets
from loopwright.testing._loop_streams import LoopStreams
from loopwright.testing._loop_tls import LoopTLS

__all__ = ["EventLoopContract"]


class EventLoopContract(LoopCalls, LoopRunning, LoopDebug, LoopReadiness, LoopSockets, LoopStreams, LoopFlow, LoopRaising, LoopDatagrams, LoopPipes, LoopServers, LoopTLS):
    """X."""

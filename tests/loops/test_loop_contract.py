"""The public contract suite on asyncio's own loop, which says what is right."""

from __future__ import annotations

import asyncio
import sys

from loopwright.testing import EventLoopContract
from tests.loops.contracts import known

DEAF = "it believes that the kernel still polls a number that it once registered"
#: Where the contract asks for more than asyncio does.
MORE_THAN_ASYNCIO = {
    "test_timers_of_the_same_time_come_in_the_order_they_were_made": "its heap knows no order among equals",
    "test_a_number_used_anew_after_it_was_closed_unannounced": DEAF,
    "test_a_number_used_anew_by_a_transport_after_it_was_closed_unannounced": DEAF,
    "test_a_number_used_anew_by_sock_calls_after_it_was_closed_unannounced": DEAF,
    "test_what_waits_when_the_socket_is_closed_reaches_nobody_else": "its selector raises FileNotFoundError",
}

if sys.version_info < (3, 14):
    MORE_THAN_ASYNCIO["test_whatever_is_done_to_a_lost_connection_does_nothing"] = "abort() then asks None for its loop"
if sys.version_info < (3, 13):
    MORE_THAN_ASYNCIO["test_an_empty_datagram_is_sent"] = "it sends none"
if (3, 12) <= sys.version_info < (3, 14):
    MORE_THAN_ASYNCIO["test_writing_lists_on_and_on_after_the_connection_was_lost"] = "writelines() forgets to look"
if (3, 13) <= sys.version_info < (3, 14):
    MORE_THAN_ASYNCIO["test_running_a_loop_within_itself_is_refused_and_changes_nothing"] = (
        "it takes itself for stopped"
    )


@known(MORE_THAN_ASYNCIO)
class TestSelectorEventLoop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()

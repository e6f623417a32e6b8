"""The public contract suite on asyncio's own loop, which says what is right."""

from __future__ import annotations

import asyncio

from loopwright.testing import EventLoopContract
from tests.loops.contracts import known

DEAF = "it believes that the kernel still polls a number that it once registered"
#: Where the contract asks for more than asyncio does.
MORE_THAN_ASYNCIO = {
    "test_timers_of_the_same_time_come_in_the_order_they_were_made": "its heap knows no order among equals",
    "test_a_number_used_anew_after_it_was_closed_unannounced": DEAF,
    "test_a_number_used_anew_by_a_transport_after_it_was_closed_unannounced": DEAF,
    "test_a_number_used_anew_by_sock_calls_after_it_was_closed_unannounced": DEAF,
}


@known(MORE_THAN_ASYNCIO)
class TestSelectorEventLoop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()

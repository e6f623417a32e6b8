"""The public contract suite on uvloop, with what it does not keep (0.23)."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from loopwright.testing import EventLoopContract
from tests.loops.contracts import by_reason, known

if TYPE_CHECKING:
    from collections.abc import Iterator

uvloop = pytest.importorskip("uvloop")
#: It is somebody else's loop: that the contract tells it apart does not change from day to day.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """It does not give all of them back; other tests are not to meet its handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


#: What fails and leaves the process as it was.
FAILS = {
    "it has none of asyncio's details of handles": """
        test_a_handle_is_what_asyncio_says
        test_handles_say_where_they_were_made
        test_timers_compare_by_their_time
    """,
    "what a callback adds may run in the same pass": """
        test_a_callback_added_by_a_callback_waits_for_the_next_pass
    """,
    "timers have milliseconds, and those due at once come by no order; what is below a half is none": """
        test_timers_are_never_early
        test_timers_of_one_pass_come_by_time
        test_cancelling_among_ten_thousand
    """,
    "debug mode asks nothing of what is to be called": """
        test_what_is_not_callable_is_refused_in_debug_mode
    """,
    "its clock cannot be replaced": """
        test_a_jump_of_the_loops_own_clock_brings_what_is_due
    """,
    "an interrupt drops what was ready after it": """
        test_an_interrupt_in_a_callback_leaves_a_loop_that_can_be_run_again
    """,
    "an interrupt in a protocol is reported and goes no further": """
        test_an_interrupt_in_a_protocol_comes_out_of_the_loop
    """,
    "signals it took are not given back as they were": """
        test_closing_gives_signals_back
    """,
    "readers and writers share a handle, which is read and written by turns": """
        test_reader_and_writer_of_one_descriptor_are_apart
        test_a_reader_is_called_while_there_is_something
        test_a_cancelled_wait_leaves_the_descriptor_free_for_a_reader
    """,
    "it keeps a duplicate or the object, so that the number is not free again": """
        test_a_number_used_anew_after_it_was_closed_unannounced
        test_a_number_used_anew_by_a_transport_after_it_was_closed_unannounced
        test_a_number_used_anew_by_sock_calls_after_it_was_closed_unannounced
        test_what_is_written_after_the_socket_was_closed_reaches_nobody_else
    """,
    "what epoll refuses stays in its books": """
        test_a_file_that_cannot_be_polled_is_refused_and_leaves_nothing
    """,
    "sock_recvfrom(), sock_recvfrom_into(), sock_sendto() and sock_sendfile() are not there": """
        test_cancelled_receipts_of_datagrams_take_nothing
        test_datagrams
        test_sockets_that_block_are_refused
        test_a_cancelled_sock_sendfile
    """,
    "sendfile() is not there": """
        test_sending_a_file_between_other_data
        test_sending_a_file_cancelled
        test_sending_a_file_to_a_peer_that_goes
    """,
    "it takes what is no data, None for one": """
        test_what_is_no_data_is_refused
        test_datagrams_of_every_shape_and_size
    """,
    "empty datagrams are not sent": """
        test_an_empty_datagram_is_sent
    """,
    "the message does not name the protocol's method": """
        test_raising_in_buffer_updated
        test_raising_in_data_received
        test_raising_in_eof_received
        test_raising_in_eof_received_of_a_buffered_protocol
        test_raising_in_get_buffer
    """,
    "get_buffer() that gives nonsense is no TypeError": """
        test_a_buffer_that_cannot_be_written_is_an_error
        test_a_buffer_that_is_none_is_an_error
    """,
    "a lost transport raises RuntimeError when it is written to": """
        test_writing_lists_on_and_on_after_the_connection_was_lost
        test_whatever_is_done_to_a_lost_connection_does_nothing
        test_writing_on_and_on_after_the_connection_was_lost
        test_writing_to_a_peer_that_is_gone
        test_writing_to_a_pipe_that_nobody_reads_any_more
    """,
    "get_write_buffer_size() still counts what an abort dropped": """
        test_abort_drops_what_was_not_sent
    """,
    "pause_reading() within connection_made() is undone": """
        test_reading_can_be_paused_within_connection_made_and_data_received
    """,
    "transports are none of asyncio's classes, nor shown as its are": """
        test_what_a_transport_says_of_itself
        test_what_a_datagram_transport_says_of_itself
        test_writing_a_pipe
    """,
    "its sockets know no shutdown()": """
        test_a_socket_shut_down_behind_its_back_ends_it
    """,
    "a context that is entered already is left all the same, and the RuntimeError of that ends the run": """
        test_a_context_that_is_entered_already_is_not_entered_again
    """,
    "call_soon() without a callback does not say what is missing": """
        test_call_soon_names_the_argument_that_is_wrong
    """,
    "a server serves as soon as it is made, and says so later": """
        test_serving
    """,
}
#: What never ends, ends the process, or leaves something in it that other tests would be blamed for.
NOT_TRIED = {
    "it never ends, with warnings as errors": """
        test_a_pseudo_terminal
        test_a_connection_cancelled_at_every_pass_leaves_nothing
        test_a_protocol_factory_that_raises_drops_that_connection_only
        test_a_server_closed_while_it_waits_for_a_descriptor
        test_reading_a_pipe
        test_nobody_is_dropped_for_want_of_a_descriptor
    """,
    "it aborts the process": """
        test_what_is_no_pipe_is_refused
    """,
    "nothing happens, and it is waited for": """
        test_datagrams_of_tls_and_sockets_without_are_told_apart
        test_a_cancelled_connection_to_a_pipe_closes_it
        test_a_forked_child_that_closes_its_copy_takes_nothing_from_the_parent
        test_raising_in_connection_made
        test_sock_sendfile
        test_a_cancelled_sending_sends_no_more
    """,
    "it leaks": """
        test_a_cancelled_connect_leaves_nothing
        test_a_cancelled_handle_lets_go_of_what_it_held
        test_a_connection_cancelled_while_the_other_end_does_not_answer
        test_a_loop_that_is_dropped_unclosed_warns_and_leaves_no_descriptor
        test_connecting_to_nobody_is_refused
        test_cycles_through_handles_of_a_loop_that_is_dropped_are_collected
        test_cycles_through_handles_that_have_run_are_collected
    """,
    "it passes by chance": """
        test_a_runner_cancels_its_task_at_ctrl_c
        test_ctrl_c_while_the_loop_sleeps
        test_ctrl_c_while_callbacks_never_stop
        test_timers_of_the_same_time_come_in_the_order_they_were_made
    """,
    "an exception there cannot be caught": """
        test_raising_in_error_received
    """,
}
if sys.version_info >= (3, 13):
    NOT_TRIED["it hands on eager_start, unasked: factories do not know it before 3.13.3, and obey it later"] = """
        test_eager_tasks
    """


@known(by_reason(FAILS))
@known(by_reason(NOT_TRIED), run=False)
class TestUvloop(EventLoopContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop

"""The contract of loops has teeth: each of these breaks asyncio's loop in one way, and the test it names says so."""

from __future__ import annotations

import asyncio
import contextvars
import os
from asyncio import selector_events
from typing import Any

import pytest

from loopwright.errors import LeakError
from loopwright.testing import EventLoopContract, _loop_recorders
from tests.loops.test_loop_fuzz import Streams, run


class Loop(asyncio.SelectorEventLoop):
    """The base of them, with transports that can be broken, too."""

    transport: type[Any] = selector_events._SelectorSocketTransport

    def _make_socket_transport(self, sock: Any, protocol: Any, waiter: Any = None, **options: Any) -> Any:
        return self.transport(self, sock, protocol, waiter, **options)


class Transport(selector_events._SelectorSocketTransport):
    """The base of broken transports."""


# Callbacks and timers


class LastInFirstOut(Loop):
    killed_by = "test_callbacks_come_in_order_with_their_arguments"

    def _run_once(self) -> None:
        self._ready.reverse()
        super()._run_once()


class EarlyTimers(Loop):
    killed_by = "test_timers_are_never_early"

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = 0.002


class TimersByTheirMaking(Loop):
    killed_by = "test_timers_of_one_pass_come_by_time"

    def _run_once(self) -> None:
        self._ready.extend(sorted((t for t in self._scheduled if t._when < self.time()), key=id))
        self._scheduled[:] = [timer for timer in self._scheduled if timer not in self._ready]
        super()._run_once()


class OneContextForAll(Loop):
    killed_by = "test_callbacks_run_in_a_copy_of_the_context_they_were_made_in"

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(callback, *args, context=context or contextvars.Context())


class IgnoresTheContextGiven(Loop):
    killed_by = "test_a_context_that_is_given_is_used_itself"

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(callback, *args, context=None if context is None else context.copy())


class CancelsInVain(Loop):
    killed_by = "test_a_callback_cancelled_by_the_one_before_it_does_not_come"

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        super().call_soon(callback, *args, context=context)
        return asyncio.Handle(callback, args, self, context)


class DoesNotWake(Loop):
    killed_by = "test_a_call_from_another_thread_wakes_a_sleeping_loop"

    def _write_to_self(self) -> None:
        """Nothing."""


# What goes wrong, running and stopping


class KeepsQuiet(Loop):
    killed_by = "test_what_a_callback_raises_goes_to_the_handler"

    def call_exception_handler(self, context: Any) -> None:
        """Nothing."""


class ClearsAtStop(Loop):
    killed_by = "test_stop_before_running_makes_one_pass"

    def run_forever(self) -> None:
        super().run_forever()
        self._ready.clear()


class TrustsEveryThread(Loop):
    killed_by = "test_calls_from_a_wrong_thread_are_refused"

    def _check_thread(self) -> None:
        """Nothing."""


# Readiness and signals


class DeafWhileBusy(Loop):
    killed_by = "test_readiness_is_looked_at_while_callbacks_never_stop"

    def __init__(self) -> None:
        super().__init__()
        select = self._selector.select
        self._selector.select = lambda timeout: [] if timeout == 0 and len(self._ready) else select(timeout)


class LosesSignals(Loop):
    killed_by = "test_a_signal_calls_its_handler_on_the_loop"

    def _handle_signal(self, sig: int) -> None:
        """Nothing."""


class SwallowsReceipts(Loop):
    killed_by = "test_cancelled_receipts_take_nothing"

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        inner = self.create_task(super().sock_recv(sock, n))
        return await asyncio.shield(inner)


# Transports


class DropsAtClose(Loop):
    killed_by = "test_close_sends_what_was_written_and_then_tells_once"

    class transport(Transport):  # noqa: N801 - as the attribute
        def close(self) -> None:
            self.abort()


class TellsTwice(Loop):
    killed_by = "test_close_sends_what_was_written_and_then_tells_once"

    class transport(Transport):  # noqa: N801
        def _call_connection_lost(self, exc: Any) -> None:
            self._protocol.connection_lost(exc)
            super()._call_connection_lost(exc)


class TellsWithinClose(Loop):
    killed_by = "test_connection_lost_is_not_called_within_close"

    class transport(Transport):  # noqa: N801
        def close(self) -> None:
            if not self._closing:
                self._protocol.connection_lost(None)
                self._protocol_connected = False
            super().close()


class NeverPauses(Loop):
    killed_by = "test_writing_is_paused_above_and_resumed_below_the_limits"

    class transport(Transport):  # noqa: N801
        def _maybe_pause_protocol(self) -> None:
            if self.get_write_buffer_size() > 10_000_000:
                self._protocol.pause_writing()


class ResumesAtOnce(Loop):
    killed_by = "test_resumed_only_once_it_is_down_to_the_low_limit"

    class transport(Transport):  # noqa: N801
        def _maybe_resume_protocol(self) -> None:
            if self._protocol_paused:
                self._protocol_paused = False
                self._protocol.resume_writing()


class HidesResets(Loop):
    killed_by = "test_a_reset_is_told_of_in_every_state"

    class transport(Transport):  # noqa: N801
        def _fatal_error(self, exc: Any, message: str = "") -> None:
            self._force_close(None)


class ReadsWhilePaused(Loop):
    killed_by = "test_reading_can_be_paused_and_resumed"

    class transport(Transport):  # noqa: N801
        def pause_reading(self) -> None:
            self._paused = True


class EndsAtHalf(Loop):
    killed_by = "test_a_peer_that_half_closes_can_be_written_to"

    class transport(Transport):  # noqa: N801
        def _read_ready__on_eof(self) -> None:
            self._protocol.eof_received()
            self.close()


class NeverEnds(Loop):
    killed_by = "test_half_closing"

    class transport(Transport):  # noqa: N801
        def write_eof(self) -> None:
            self._eof = True


class KnowsOneKindOfProtocol(Loop):
    killed_by = "test_the_protocol_can_be_changed_to_and_fro_between_the_kinds"

    class transport(Transport):  # noqa: N801
        def set_protocol(self, protocol: Any) -> None:
            kept = self._read_ready_cb
            super().set_protocol(protocol)
            self._read_ready_cb = kept or self._read_ready_cb


class HidesWhatProtocolsRaise(Loop):
    killed_by = "test_raising_in_data_received"

    class transport(Transport):  # noqa: N801
        def _fatal_error(self, exc: Any, message: str = "") -> None:
            self._force_close(exc)


class DeliversAfterClose(Loop):
    killed_by = "test_nothing_is_received_after_close"

    class transport(Transport):  # noqa: N801
        def close(self) -> None:
            self._read_ready()
            super().close()


MUTANTS = [each for each in list(globals().values()) if isinstance(each, type) and "killed_by" in vars(each)]


def contract_of(loop: type[Loop]) -> EventLoopContract:
    class Contract(EventLoopContract):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            return loop()

    return Contract()


def find_out(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that it names passes as it is, and fails for it."""
    test = mutant.killed_by
    getattr(contract_of(Loop), test)()  # which passes as it is
    # What never comes from a mutant need not be waited for as long as something that is late
    monkeypatch.setattr(_loop_recorders, "LIMIT", 0.2)
    with pytest.raises((AssertionError, LeakError)):
        getattr(contract_of(mutant), test)()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_found_out(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find_out(mutant, monkeypatch)


def test_a_loop_that_leaks_is_found_out() -> None:
    class Leaking(Loop):
        def close(self) -> None:
            if not self.is_closed():
                left.append(os.dup(0))
            super().close()

    left: list[int] = []
    try:
        with pytest.raises(LeakError, match="descriptor"):
            contract_of(Leaking).test_timers_come_by_time()
    finally:
        while left:
            os.close(left.pop())


# The fuzz


class SendsListsBackwards(Loop):
    class transport(Transport):  # noqa: N801
        def writelines(self, list_of_data: Any) -> None:
            super().writelines(list(list_of_data)[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [SendsListsBackwards, DropsAtClose, ReadsWhilePaused, EndsAtHalf, NeverPauses])
def test_found_out_by_the_fuzz(mutant: Any) -> None:
    with pytest.raises(BaseException) as found:  # several at once come as a group
        run(Streams, 400, 20, shrink=False, make_loop=staticmethod(mutant), kind="tcp")
    assert "AssertionError" in repr(found.value) or isinstance(found.value, AssertionError)

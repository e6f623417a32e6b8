"""What nobody should do to compiled objects, and what then must not crash."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import socket
import subprocess
import sys
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from loopwright._native import MISSING
from tests._native.passes import once

if TYPE_CHECKING:
    pass

if MISSING is not None:
    pytest.skip(MISSING, allow_module_level=True)


Loop = Any


def survives(code: str) -> str:
    """Run it in a process of its own, as a crash ends one."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=os.environ | {"PYTHONMALLOC": "debug"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_compiled_is_copied() -> None:
    # Cython's own way copied the loop's buffer as a pointer, which was then freed twice.
    said = survives("""
import copy, gc, pickle
from loopwright import NativeEventLoop
loop = NativeEventLoop()
for thing in (loop, loop.call_soon(print), loop.call_later(1, print), loop._ready, loop._scheduled, loop._poller):
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        try:
            copied(thing)
        except TypeError as error:
            assert "pickle" in str(error), error
        else:
            print(copied, thing)
loop.close()
del loop, thing
gc.collect()
""")
    assert said == ""


def test_handles_and_transports_that_were_never_made_raise_and_do_not_crash() -> None:
    survives("""
import asyncio, contextlib, os, socket
from loopwright import NativeEventLoop

async def main():
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    stream, _ = await loop.create_connection(asyncio.Protocol, sock=one)
    datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    source, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
    sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
    timer = loop.call_later(1, print)
    made = [stream, datagrams, source, sink, timer, loop.call_soon(int), loop.call_soon_threadsafe(int)]
    for of in made:
        kind = type(of)
        bare = kind.__new__(kind)
        for name in dir(kind):
            if name in {"__class__", "__init__", "__new__"}:
                continue
            for arguments in ((), (b"abc",), (1,), (None,), (OSError(5),), (ValueError(), "said"), ([b"x"],)):
                with contextlib.suppress(Exception):
                    getattr(bare, name)(*arguments)
    timer.cancel()
    for transport in made[:4]:
        transport.close()
    other.close()
    await asyncio.sleep(0.01)

loop = NativeEventLoop()
loop.run_until_complete(main())
loop.close()
""")


def test_a_transport_is_not_made_twice(loop: Loop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        transport, protocol = await loop.create_connection(asyncio.Protocol, sock=one)
        with pytest.raises(TypeError, match="made once"):
            type(transport).__init__(transport, loop, other, protocol)
        transport.close()
        other.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_chain_of_handles_ends_without_overflowing_the_stack() -> None:
    survives("""
import threading
from loopwright import NativeEventLoop

def chain():
    for later in (False, True):
        loop = NativeEventLoop()
        handle = loop.call_soon(print)
        for _ in range(100_000):
            handle = loop.call_later(1000, handle.cancel) if later else loop.call_soon(handle.cancel)
        loop.close()
        del loop, handle

threading.stack_size(8 * 1024 * 1024)  # as main threads have: 3.13 counts 10,000 levels, however small the stack
thread = threading.Thread(target=chain)
thread.start()
thread.join()
""")


def test_what_is_no_context_is_reported_and_the_loop_runs_on(loop: Loop) -> None:
    told: list[Any] = []
    loop.set_exception_handler(lambda _, report: told.append(report["exception"]))
    loop.call_soon(print, context=5)
    loop.call_later(0, print, context="x")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert [type(error) for error in told] == [TypeError, TypeError]


@pytest.mark.parametrize("later", [False, True])
def test_to_run_a_cancelled_handle_is_reported(loop: Loop, later: bool) -> None:
    told: list[Any] = []
    loop.set_exception_handler(lambda _, report: told.append(str(report["exception"])))
    handle = loop.call_later(1, print) if later else loop.call_soon(print)
    handle.cancel()
    handle._run()
    assert told == ["this handle has nothing to call: it is cancelled"]


@pytest.mark.parametrize("number", [2**31 - 1, 2**28, 2**22])
def test_a_number_that_is_no_descriptor_costs_no_memory(loop: Loop, number: int) -> None:
    tracemalloc.start()
    try:
        for add in (loop.add_reader, loop.add_writer):
            with pytest.raises(OSError, match="Bad file descriptor"):
                add(number, print)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


def test_a_socket_that_goes_with_somebody_elses_callback_there(loop: Loop) -> None:
    unraised: list[Any] = []
    before: Any = sys.unraisablehook
    sys.unraisablehook = unraised.append

    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        waiting = loop.create_task(loop.sock_recv(one, 1))
        await asyncio.sleep(0)
        loop._add_writer(one.fileno(), print)
        other.send(b"x")
        await waiting
        one.close()
        del waiting, one
        gc.collect()
        other.close()

    try:
        loop.run_until_complete(main())
    finally:
        sys.unraisablehook = before
    assert [hook.exc_value for hook in unraised] == []


def test_a_failed_callbacks_handle_is_collected_with_what_has_it(loop: Loop) -> None:
    class Told:
        def fail(self) -> None:
            raise ValueError

    told = Told()
    loop.set_exception_handler(lambda _, report, told=told: setattr(told, "report", report))
    loop.call_soon(told.fail)
    loop.call_soon(int)
    once(loop)
    loop.set_exception_handler(None)
    gone = weakref.ref(told)
    del told
    gc.collect()
    assert gone() is None


def test_copies_in_this_process(loop: Loop) -> None:
    for copied in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            copied(loop.call_soon(int))
    once(loop)


def test_a_loop_found_after_the_collector_has_cleared_it() -> None:
    # Cython's own clearing left None where compiled code expects the queue, the timers and contexts: it crashed.
    said = survives("""
import asyncio, contextlib, contextvars, gc, sys
from loopwright import NativeEventLoop

variable = contextvars.ContextVar("variable", default=None)
seen = set()

class Late:  # made by a finalizer, and so gone only after the collector has cleared what it found
    def __del__(self):
        found = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("loopwright._native.")]
        loops = [thing for thing in gc.get_objects() if type(thing) is NativeEventLoop]
        for loop in loops:
            loop._closed = False
            seen.add(type(loop))
            timers = [loop.call_later(0, int) for _ in range(5)]
            for context in (None, contextvars.Context()):
                loop.call_soon(int, context=context)
            loop.call_soon_threadsafe(int)
            timers[2].cancel()
            found += [*loop._ready, *loop._scheduled]
            loop._thread_id = None
            loop._run_once()
        for thing in found:
            for name in ("_run", "get_context", "cancelled", "cancel", "clear", "__len__", "__repr__", "_check_thread"):
                with contextlib.suppress(AttributeError):
                    getattr(thing, name)()

class Holder:
    def __del__(self):
        self.late = Late()

def once(ahead):
    loop = NativeEventLoop()
    holder = Holder()
    holder.before = [Holder() for _ in range(ahead)]
    holder.loop = loop
    variable.set(holder)
    if ahead % 2:
        loop.call_soon(loop.stop)
        loop.run_forever()
    holder.handles = [loop.call_soon(lambda: holder) for _ in range(ahead)]
    holder.handles += [loop.call_later(1000, lambda: holder) for _ in range(ahead)]
    holder.handles += [loop.call_soon_threadsafe(lambda: holder)]
    loop.call_soon(lambda: holder)
    loop.call_later(1000, lambda: holder)
    last = Holder()
    last.late = None
    last.itself, last.handles = last, holder.handles
    variable.set(None)

import logging
logging.disable()
sys.unraisablehook = lambda _: None  # that it was not closed
for ahead in range(8):
    once(ahead)
    gc.collect()
print(*(kind.__name__ for kind in seen))
""")
    assert said == "NativeEventLoop\n"


def test_a_thread_safe_callback_that_is_run_by_hand_cancels_itself(loop: Loop) -> None:
    handle: Any = loop.call_soon_threadsafe(lambda: handle.cancel())
    handle._run()  # from Python 3.14 on it waited for itself to end
    assert handle.cancelled()


def test_timers_cancelled_by_what_goes_with_the_heap(loop: Loop) -> None:
    class Cancels:
        def __del__(self) -> None:
            for timer in timers:
                timer.cancel()

    timers = [loop.call_later(1000, print) for _ in range(20)]
    loop.call_later(1, print, Cancels())
    loop._scheduled.clear()
    assert all(timer.cancelled() for timer in timers)
    assert len(loop._scheduled) == 0


def test_what_is_cleared_may_queue_more(loop: Loop) -> None:
    class Queues:
        def __del__(self) -> None:
            loop.call_soon(int)

    loop.call_soon(print, Queues())
    loop._ready.clear()
    assert len(loop._ready) == 1  # that one is new

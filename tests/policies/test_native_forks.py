"""A native loop that a forked child has of its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import factory_of

if TYPE_CHECKING:
    from collections.abc import Callable

FORKS = """
import asyncio, gc, os, socket, sys, threading, time, warnings
from loopwright.loops import NativeEventLoop

loop = NativeEventLoop()
ours, theirs = socket.socketpair()
ours.setblocking(False)
heard, connected = [], []
loop.add_reader(ours, lambda: heard.append(ours.recv(100)))

class Protocol(asyncio.Protocol):
    def data_received(self, data):
        connected.append(data)

async def connect():
    one, other = socket.socketpair()
    transport, _ = await loop.create_connection(Protocol, sock=one)
    return transport, other

transport, far_end = loop.run_until_complete(connect())

def close():
    loop.remove_reader(ours)
    transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    print("closed", flush=True)

def drop():
    global loop, transport
    loop = transport = None
    gc.collect()
    print("dropped", flush=True)

def use():
    asked = threading.Timer(0.01, lambda: loop.call_soon_threadsafe(loop.stop))
    asked.start()
    loop.run_forever()
    asked.join()
    one, other = socket.socketpair()
    got = loop.create_future()
    loop.add_reader(one, lambda: got.done() or got.set_result(one.recv(10)))
    loop.call_later(0.001, other.send, b"child's")
    assert loop.run_until_complete(asyncio.wait_for(got, 20)) == b"child's"
    loop.remove_reader(one)
    loop.remove_reader(ours)
    transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    print("used", flush=True)

for child in (close, drop, use):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            warnings.simplefilter("ignore")  # of what is dropped unclosed, and rightly so
            child()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0) == (pid, 0)
    heard.clear(), connected.clear()
    theirs.send(b"to the reader")
    far_end.send(b"to the transport")
    begun = time.monotonic()
    asked = threading.Timer(0.05, lambda: loop.call_soon_threadsafe(loop.stop))
    asked.start()
    late = loop.call_later(20, loop.stop)  # a deaf loop wakes up for this one only
    loop.run_forever()
    late.cancel()
    asked.join()  # the next fork() warns of a thread that has yet to end
    assert time.monotonic() - begun < 15, "the loop is deaf"
    assert (heard, connected) == ([b"to the reader"], [b"to the transport"]), (heard, connected)
loop.remove_reader(ours)
transport.abort()
loop.run_until_complete(asyncio.sleep(0))
loop.close()
for each in (ours, theirs, far_end):
    each.close()
print("fine")
"""


def test_what_a_forked_child_does_to_the_loop_does_not_reach_the_parent(script: Callable[..., str]) -> None:
    """To close it, to drop it, to use it: with a descriptor that is watched, one that is connected, and a timer."""
    factory_of("native")  # skips where it cannot run
    printed = script(FORKS)
    assert printed.splitlines() == ["closed", "dropped", "used", "fine"]

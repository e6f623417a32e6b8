"""That connections leave nothing behind: neither memory nor a descriptor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loopwright._native import MISSING

pytestmark = [pytest.mark.slow, pytest.mark.skipif(MISSING is not None, reason=f"no compiled modules: {MISSING}")]

#: LOOPWRIGHT_LONG=1 asks for the million that the loop is meant to bear, which takes a minute or two.
CONNECTIONS = 1_000_000 if os.environ.get("LOOPWRIGHT_LONG") else 50_000
AT_ONCE = 20

#: In a process of its own, so that what grows is the loop's. A first part warms up what is kept on purpose (free
#: lists, tables); clients end by a reset, or the ports of the machine would be used up.
PROGRAM = """
import asyncio, gc, os, socket, struct, sys
from loopwright import NativeEventLoop

CONNECTIONS, AT_ONCE = int(sys.argv[1]), int(sys.argv[2])

async def held():
    while Echo.open:  # the server's ends go a moment after the clients'
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))

class Echo(asyncio.Protocol):
    open = 0
    def connection_made(self, transport):
        self.transport = transport
        Echo.open += 1
    def data_received(self, data):
        self.transport.write(data)
    def connection_lost(self, exception):
        Echo.open -= 1

class Client(asyncio.Protocol):
    used = 0
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()
    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.write(b"x" * 100)
    def data_received(self, data):
        Client.used += 1
        self.transport.close()
    def connection_lost(self, exception):
        self.lost.set_result(exception)

async def use(port, connections):
    loop = asyncio.get_running_loop()
    for _ in range(connections // AT_ONCE):
        made = [loop.create_connection(Client, "127.0.0.1", port) for _ in range(AT_ONCE)]
        for _, client in await asyncio.gather(*made):
            await client.lost

async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await use(port, max(CONNECTIONS // 10, 20_000))
    before, used = await held(), Client.used
    await use(port, CONNECTIONS)
    after = await held()
    server.close()
    await server.wait_closed()
    print(Client.used - used, after[0] - before[0], after[1] - before[1])

loop = NativeEventLoop()
loop.run_until_complete(main())
loop.close()
"""


@pytest.mark.timeout(1800)
def test_connections_opened_used_and_closed_leave_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(CONNECTIONS), str(AT_ONCE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1700,
    )
    assert done.returncode == 0, done.stderr
    used, grown, descriptors = map(int, done.stdout.split())
    assert used == CONNECTIONS
    assert grown < 1024 * 1024
    assert descriptors == 0

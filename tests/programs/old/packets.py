"""Packets that a child process writes, given out by a generator that runs its loop for each of them.

Project: KimiNewt/pyshark
Where: src/pyshark/capture/capture.py at 025e390e3567, `Capture._setup_eventloop` and `_packets_from_tshark_sync`
Leans on: `set_child_watcher(SafeChildWatcher())`, then `get_child_watcher().attach_loop()`
Arguments: 4
Plain: fails: AttributeError: module 'asyncio' has no attribute 'set_child_watcher'
Prints:
    packet 1
    packet 2
    packet 3
    packet 4
    of more there are, 4 were taken, and the child ended with -9
    all 2 were taken, and the child ended with 0
"""

import asyncio
import sys
import threading

ENDLESS = 'n=1; while :; do echo "<p>$n</p>"; n=$((n + 1)); sleep 0.01; done'
SHORT = "echo '<p>a</p><p>b</p>'"


class Capture:
    def __init__(self, command):
        self.command = command
        self.code = None
        self.eventloop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.eventloop)
        if threading.current_thread() is threading.main_thread():
            asyncio.set_child_watcher(asyncio.SafeChildWatcher())
            asyncio.get_child_watcher().attach_loop(self.eventloop)

    def packets(self, packet_count=None):
        child = self.eventloop.run_until_complete(self.start())
        data, captured = b"", 0
        try:
            while packet_count is None or captured < packet_count:
                packet, data = self.eventloop.run_until_complete(self.next_packet(child.stdout, data))
                if packet is None:
                    break
                captured += 1
                yield packet
        finally:
            self.eventloop.run_until_complete(self.clean_up(child))

    async def start(self):
        return await asyncio.create_subprocess_exec("sh", "-c", self.command, stdout=asyncio.subprocess.PIPE)

    async def next_packet(self, stream, data):
        while b"</p>" not in data:
            new = await stream.read(100)
            if not new:
                return None, data
            data += new
        packet, _, rest = data.partition(b"</p>")
        return packet.strip().removeprefix(b"<p>").decode(), rest

    async def clean_up(self, child):
        if child.returncode is None and not child.stdout.at_eof():
            child.kill()
        self.code = await asyncio.wait_for(child.wait(), 10)
        await child.stdout.read()  # till its own children have let go of the pipe, too

    def close(self):
        self.eventloop.run_until_complete(asyncio.sleep(0))
        self.eventloop.close()


wanted = int(sys.argv[1])
capture = Capture(ENDLESS)
for packet in capture.packets(wanted):
    print("packet", packet)
capture.close()
print(f"of more there are, {wanted} were taken, and the child ended with {capture.code}")
capture = Capture(SHORT)
taken = len(list(capture.packets()))
capture.close()
print(f"all {taken} were taken, and the child ended with {capture.code}")

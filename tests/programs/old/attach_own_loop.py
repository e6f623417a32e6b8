"""An editor that is talked to over pipes, by a loop of the library's own that runs whenever an answer is awaited.

Project: neovim/pynvim
Where: pynvim/msgpack_rpc/event_loop/asyncio.py at 060ea0756e62, `AsyncioEventLoop._connect_child` and `_close`
Leans on: `asyncio.get_child_watcher().attach_loop()` with a loop that is not the thread's, and its `close()`
Plain: fails: AttributeError: module 'asyncio' has no attribute 'get_child_watcher'
Prints:
    2 + 3 = 5
    40 + 2 = 42
    the editor ended with 7
"""

import asyncio

EDITOR = "while read a b; do echo $((a + b)); done; exit 7"


class Protocol(asyncio.SubprocessProtocol):
    def __init__(self, session):
        self.session = session

    def pipe_data_received(self, fd, data):
        self.session.answer = int(data)
        self.session.loop.stop()

    def process_exited(self):
        self.session.loop.stop()


class Session:
    """Blocks while it waits, and runs its loop for as long."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.answer = None
        self.watcher = asyncio.get_child_watcher()
        self.watcher.attach_loop(self.loop)
        starting = self.loop.subprocess_exec(lambda: Protocol(self), "/bin/sh", "-c", EDITOR)
        self.transport, _ = self.loop.run_until_complete(starting)

    def request(self, first, second):
        self.transport.get_pipe_transport(0).write(f"{first} {second}\n".encode())
        self.loop.run_forever()
        return self.answer

    def close(self):
        self.transport.get_pipe_transport(0).close()
        self.loop.run_forever()
        code = self.transport.get_returncode()
        self.transport.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.watcher.close()
        return code


session = Session()
print("2 + 3 =", session.request(2, 3))
print("40 + 2 =", session.request(40, 2))
print("the editor ended with", session.close())

"""A test runner that puts a policy of its own in force for each test, and the old policy and loop back afterwards.

Project: pytest-dev/pytest-asyncio
Where: pytest_asyncio/plugin.py at 0008e94a8836, `_temporary_event_loop_policy`
Leans on: `get_event_loop_policy()`, `set_event_loop_policy()`, and `get_event_loop()` making a loop
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    passed: test_echo, on a loop that the test's policy made: True
    failed: test_wrong (3 is not 4), on a loop that the test's policy made: True
    the policy is as before: True
    the loop is as before, and works: True
"""

import asyncio
import contextlib


class TestPolicy(asyncio.DefaultEventLoopPolicy):
    """Remembers what it made."""

    def __init__(self):
        super().__init__()
        self.made = []

    def new_event_loop(self):
        self.made.append(super().new_event_loop())
        return self.made[-1]


@contextlib.contextmanager
def temporary_policy(policy):
    old_policy = asyncio.get_event_loop_policy()
    old_loop = asyncio.get_event_loop()
    asyncio.set_event_loop_policy(policy)
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(old_policy)
        asyncio.set_event_loop(old_loop)


async def test_echo():
    reader, writer = await asyncio.open_connection(*server_address())
    writer.write(b"hello\n")
    assert await reader.readline() == b"HELLO\n"
    writer.close()
    await writer.wait_closed()


async def test_wrong():
    await asyncio.sleep(0)
    raise AssertionError("3 is not 4")


def server_address():
    return servers[-1].sockets[0].getsockname()


async def shout(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()


def run_test(test):
    policy = TestPolicy()
    with temporary_policy(policy), asyncio.Runner() as runner:
        loop = runner.get_loop()
        servers.append(runner.run(asyncio.start_server(shout, "127.0.0.1", 0)))
        try:
            runner.run(test())
        except AssertionError as error:
            outcome = f"failed: {test.__name__} ({error})"
        else:
            outcome = f"passed: {test.__name__}"
        servers.pop().close()
        print(f"{outcome}, on a loop that the test's policy made: {policy.made == [loop]}")


servers = []
before = asyncio.get_event_loop(), asyncio.get_event_loop_policy()
for test in (test_echo, test_wrong):
    run_test(test)
print("the policy is as before:", asyncio.get_event_loop_policy() is before[1])
loop = asyncio.get_event_loop()
works = loop.run_until_complete(asyncio.sleep(0, "works")) == "works"
print("the loop is as before, and works:", loop is before[0] and works)
loop.close()

"""A selector that also serves a bus that is no socket, and the policy that gives it to every loop."""

import asyncio
import collections
import selectors


class Bus:
    """Messages are delivered when it is told to dispatch."""

    def __init__(self):
        self.waiting = collections.deque()
        self.listeners = []

    def post(self, message):
        self.waiting.append(message)

    def dispatch(self):
        if not self.waiting:
            return False
        message = self.waiting.popleft()
        for listener in self.listeners:
            listener(message)
        return True


class Selector(selectors.DefaultSelector):
    def __init__(self, bus):
        super().__init__()
        self.bus = bus

    def select(self, timeout=None):
        while self.bus.dispatch():
            timeout = 0  # a listener may have called call_soon()
        return super().select(timeout)


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, bus):
        super().__init__()
        self.bus = bus

    def new_event_loop(self):
        return asyncio.SelectorEventLoop(Selector(self.bus))


def run_async(main, bus):
    asyncio.set_event_loop_policy(EventLoopPolicy(bus))
    return asyncio.run(main)

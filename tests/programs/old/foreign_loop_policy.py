"""An application with a queue of events of its own, and `asyncio.run()` on a loop that keeps it going.

Project: CabbageDevelopment/qasync
Where: qasync/__init__.py at 0167a391f092, `DefaultQEventLoopPolicy`, `_set_event_loop_policy` and `run`
Leans on: `asyncio.run()` obeying a policy with a loop class of one's own, for the time of one call
Plain: warns: 'asyncio.DefaultEventLoopPolicy' is deprecated
Prints:
    running on: ApplicationLoop
    clicked: open
    clicked: save
    saved after 2 clicks
    afterwards a new loop is one of those: False
"""

import asyncio
import collections
import contextlib
import selectors


class Application:
    """What a toolkit would be: events, and handlers for them."""

    def __init__(self):
        self.events = collections.deque()
        self.handlers = []

    def process_events(self):
        """Whether there were any."""
        processed = 0
        while self.events:
            processed += 1
            event = self.events.popleft()
            for handler in self.handlers:
                handler(event)
        return processed > 0


class ApplicationSelector(selectors.DefaultSelector):
    """Lets the application work before each wait."""

    def select(self, timeout=None):
        return super().select(0 if application.process_events() else timeout)


class ApplicationLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__(ApplicationSelector())


class PolicyMixin:
    def new_event_loop(self):
        return ApplicationLoop()


class ApplicationPolicy(PolicyMixin, asyncio.DefaultEventLoopPolicy):
    pass


@contextlib.contextmanager
def policy_in_force(policy):
    old = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(policy)
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(old)


def run(main):
    with policy_in_force(ApplicationPolicy()):
        return asyncio.run(main)


async def main():
    print("running on:", type(asyncio.get_event_loop()).__name__)
    clicks, saved = [], asyncio.get_event_loop().create_future()

    def clicked(button):
        print("clicked:", button)
        clicks.append(button)
        if button == "save":
            saved.set_result(len(clicks))

    application.handlers.append(clicked)
    application.events.append("open")
    await asyncio.sleep(0.01)
    application.events.append("save")
    return await saved


application = Application()
print("saved after", run(main()), "clicks")
loop = asyncio.new_event_loop()
print("afterwards a new loop is one of those:", isinstance(loop, ApplicationLoop))
loop.close()

"""Threads that get an event loop by asking for one.

Project: tornadoweb/tornado
Where: tornado/platform/asyncio.py at 00aa1cfc869e, `AnyThreadEventLoopPolicy`
Leans on: a policy derived from `asyncio.DefaultEventLoopPolicy` that answers `get_event_loop()` in any thread
Arguments: 3
Plain: warns: 'asyncio.DefaultEventLoopPolicy' is deprecated
Prints:
    the main thread has one, too: True
    thread 0: answer 0, the same loop when asked again: True
    thread 1: answer 2, the same loop when asked again: True
    thread 2: answer 4, the same loop when asked again: True
    different loops: 4
"""

import asyncio
import sys
import threading


class AnyThreadPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes a loop for whichever thread asks."""

    def get_event_loop(self):
        try:
            return super().get_event_loop()
        except RuntimeError:
            loop = self.new_event_loop()
            self.set_event_loop(loop)
            return loop


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


def work(number, loops, answers):
    loop = asyncio.get_event_loop()
    answer = loop.run_until_complete(double(number))
    answers[number] = f"answer {answer}, the same loop when asked again: {asyncio.get_event_loop() is loop}"
    loops.append(loop)


def main():
    asyncio.set_event_loop_policy(AnyThreadPolicy())
    loops, answers = [asyncio.get_event_loop()], {}
    print("the main thread has one, too:", loops[0].run_until_complete(double(4)) == 8)
    threads = [threading.Thread(target=work, args=(number, loops, answers)) for number in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in sorted(answers):
        print(f"thread {number}: {answers[number]}")
    print("different loops:", len(set(loops)))
    for loop in loops:
        loop.close()


if __name__ == "__main__":
    main()

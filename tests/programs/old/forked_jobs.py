"""A scheduler of jobs that are forked by multiprocessing and reaped by asyncio's watcher.

Project: apache/buildstream
Where: src/buildstream/_scheduler/jobs/job.py at 0026e3791899, `Process.start` and `Job.start`
Leans on: `get_child_watcher().add_child_handler()` for processes that asyncio did not start
Plain: fails: RuntimeError: There is no current event loop in thread 'MainThread'
Prints:
    fetch: code 0, result 'fetched'
    build: code 0, result 'built'
    break: code 1, result None
    killed: code -9, result None
    the queue is empty; 2 of 4 succeeded
"""

import asyncio
import multiprocessing
import os
import signal
import sys

multiprocessing.set_start_method("fork")


class Process(multiprocessing.Process):
    """Does not call waitpid by itself: that is the watcher's business."""

    def start(self):
        self._popen = self._Popen(self)
        self._sentinel = self._popen.sentinel


class Job:
    def __init__(self, name, action, completed):
        self.name, self.action, self.completed = name, action, completed
        self.code = self.result = None
        self.receiver, self.sender = multiprocessing.Pipe(duplex=False)

    def start(self):
        self.process = Process(target=self.in_child)
        self.process.start()
        self.sender.close()
        watcher = asyncio.get_child_watcher()
        watcher.add_child_handler(self.process.pid, self.child_completed)

    def in_child(self):
        self.sender.send(self.action())

    def child_completed(self, pid, returncode):
        self.code = returncode
        if self.receiver.poll():
            try:
                self.result = self.receiver.recv()
            except EOFError:
                self.result = None
        self.receiver.close()
        self.completed(self)


class Scheduler:
    def __init__(self, actions):
        self.loop = asyncio.get_event_loop()
        self.waiting = [Job(name, action, self.completed) for name, action in actions.items()]
        self.done = []

    def run(self):
        self.loop.call_soon(self.start_next)
        self.loop.run_forever()
        return self.done

    def start_next(self):
        if self.waiting:
            self.waiting.pop(0).start()
        else:
            self.loop.stop()

    def completed(self, job):
        print(f"{job.name}: code {job.code}, result {job.result!r}")
        self.done.append(job)
        # ThreadedChildWatcher's way of telling may be another thread's
        self.loop.call_soon_threadsafe(self.start_next)


actions = {
    "fetch": lambda: "fetched",
    "build": lambda: "built",
    "break": lambda: sys.exit(1),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
done = Scheduler(actions).run()
print(f"the queue is empty; {sum(job.code == 0 for job in done)} of {len(done)} succeeded")
asyncio.get_event_loop().close()

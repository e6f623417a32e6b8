"""Test cases that put a policy between the tests and the real one, with a loop and a watcher for each test.

Project: Martiusweb/asynctest
Where: asynctest/case.py at 08c52bf40112, `_Policy`, `TestCase._init_loop` and `_unset_loop`
Leans on: a policy derived from `asyncio.AbstractEventLoopPolicy`, its watcher included
Plain: fails: test_child: AttributeError: module 'asyncio' has no attribute 'get_child_watcher'
Prints:
    test_child: ok
    test_default_loop: ok
    test_forbidden: ok
    test_wrong: AssertionError: 5 != 6
    the original policy is back: True
"""

# ruff: noqa: PT009, PT027 - unittest is what it is about
import asyncio
import sys
import unittest


class Policy(asyncio.AbstractEventLoopPolicy):
    def __init__(self, original, loop, forbidden):
        self.original = original
        self.loop = loop
        self.forbidden = forbidden
        self.watcher = None

    def get_event_loop(self):
        if self.forbidden:
            raise AssertionError("get_event_loop() must not be called")
        return self.loop or self.original.get_event_loop()

    def set_event_loop(self, loop):
        self.original.set_event_loop(loop)
        self.loop = loop

    def new_event_loop(self):
        return self.original.new_event_loop()

    def get_child_watcher(self):
        if self.watcher is None:
            self.watcher = asyncio.SafeChildWatcher()
            self.watcher.attach_loop(self.loop)
        return self.watcher

    def set_child_watcher(self, watcher):
        self.original.set_child_watcher(watcher)
        self.watcher = watcher

    def reset_watcher(self):
        if self.watcher:
            self.watcher.close()
            self.original.set_child_watcher(None)


class TestCase(unittest.TestCase):
    forbid_get_event_loop = False

    def run(self, result=None):
        self.loop = asyncio.new_event_loop()
        policy = Policy(asyncio.get_event_loop_policy(), self.loop, self.forbid_get_event_loop)
        asyncio.set_event_loop_policy(policy)
        try:
            return super().run(result)
        finally:
            self.loop.close()
            policy.reset_watcher()
            asyncio.set_event_loop_policy(policy.original)

    def _callTestMethod(self, method):  # noqa: N802 - unittest's name
        self.loop.run_until_complete(method())


class Tests(TestCase):
    async def test_child(self):
        child = await asyncio.create_subprocess_shell("exit 5")
        self.assertEqual(await child.wait(), 5)
        self.assertIsInstance(asyncio.get_child_watcher(), asyncio.SafeChildWatcher)

    async def test_default_loop(self):
        self.assertIs(asyncio.get_event_loop_policy().get_event_loop(), self.loop)
        self.assertIs(asyncio.get_event_loop(), self.loop)

    async def test_wrong(self):
        child = await asyncio.create_subprocess_shell("exit 5")
        self.assertEqual(await child.wait(), 6)


class Strict(TestCase):
    forbid_get_event_loop = True

    async def test_forbidden(self):
        self.assertIs(asyncio.get_event_loop(), self.loop)  # one is running
        with self.assertRaisesRegex(AssertionError, "must not be called"):
            asyncio.get_event_loop_policy().get_event_loop()


before = asyncio.get_event_loop_policy()
result = unittest.TestResult()
loader = unittest.defaultTestLoader
tests = [test for case in (Tests, Strict) for test in loader.loadTestsFromTestCase(case)]
for test in sorted(tests, key=lambda test: test._testMethodName):
    test.run(result)
    bad = [report for case, report in result.errors + result.failures if case is test]
    print(f"{test._testMethodName}:", bad[0].splitlines()[-1] if bad else "ok")
print("the original policy is back:", asyncio.get_event_loop_policy() is before)
sys.exit(len(result.errors))  # failures are as wanted

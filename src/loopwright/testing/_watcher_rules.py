"""The contract of child watchers while nothing goes wrong: who is called, where, how often, and with what."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import tempfile
import threading

from loopwright.testing._watcher_stage import QUIET, Hearing, WatcherTests, refused

__all__ = ["WatcherRules"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


class WatcherRules(WatcherTests):
    """One call a registration, with a true status, on the right loop."""

    # What is told

    def test_exit_codes(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                for code in (0, 1, 3, 127, 254, 255):
                    hearing, pid = Hearing(), stage.start(f"exit {code}")
                    stage.watcher.add_child_handler(pid, hearing)
                    assert await hearing.heard() == [(pid, code)]

            stage.run(play())

    def test_signals(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGRTMIN + 3):
                    hearing, pid = Hearing(), stage.start("exit 0", held=True)
                    stage.watcher.add_child_handler(pid, hearing)
                    os.kill(pid, number)
                    assert await hearing.heard() == [(pid, -number)]

            stage.run(play())

    def test_core_dump(self) -> None:
        with self.stage() as stage, tempfile.TemporaryDirectory() as folder:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start(f"cd {folder}; ulimit -c unlimited; kill -ABRT $$")
                stage.watcher.add_child_handler(pid, hearing)
                assert await hearing.heard() == [(pid, -signal.SIGABRT)]

            stage.run(play())

    def test_called_once_with_its_arguments(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 7", held=True)
                stage.watcher.add_child_handler(pid, hearing, "a", None, [1])
                stage.go()
                assert await hearing.only() == (pid, 7, "a", None, [1])

            stage.run(play())

    def test_registered_after_the_exit(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 4")
                stage.await_exit(pid)
                stage.watcher.add_child_handler(pid, hearing)
                assert hearing.calls == [], "called within add_child_handler()"
                assert await hearing.only() == (pid, 4)

            stage.run(play())

    def test_registered_after_the_exit_within_the_block(self) -> None:
        """`with watcher:` is for watchers that may hear of an exit before they know of the child."""
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                with stage.watcher:
                    pid = stage.start("exit 4")
                    stage.await_exit(pid)
                    await asyncio.sleep(QUIET)
                    stage.watcher.add_child_handler(pid, hearing)
                assert await hearing.only() == (pid, 4)

            stage.run(play())

    def test_callback_registers_the_next_child(self) -> None:
        with self.stage() as stage:
            order: list[int] = []

            def start_next(_pid: int, code: int) -> None:
                order.append(code)
                if code < 5:
                    stage.watcher.add_child_handler(stage.start(f"exit {code + 1}"), hearing)

            hearing = Hearing(start_next)

            async def play() -> None:
                stage.watcher.add_child_handler(stage.start("exit 0"), hearing)
                await hearing.heard(6)
                assert order == [0, 1, 2, 3, 4, 5]

            stage.run(play())

    def test_pid_is_kept_until_the_callback_has_returned(self) -> None:
        self.skip_if_it_reaps_everybody()
        with self.stage() as stage:
            reaped: list[bool] = []
            hearing = Hearing(lambda pid, _code: reaped.append(stage.is_reaped(pid)))

            async def play() -> None:
                stage.watcher.add_child_handler(stage.start("exit 0"), hearing)
                await hearing.heard()
                assert reaped == [False], "the pid was given back before its exit was told"

            stage.run(play())

    # Where it is told

    def test_on_the_loop_that_was_running_and_in_its_thread(self) -> None:
        with self.stage() as stage:
            stage.watcher.attach_loop(stage.new_loop())  # never runs: the running one goes first

            async def play() -> None:
                hearing = Hearing()
                stage.watcher.add_child_handler(stage.start("exit 0"), hearing)
                await hearing.only()
                assert hearing.loops == [stage.loop]
                assert hearing.threads == [threading.get_ident()]

            stage.run(play())

    def test_on_a_loop_outside_the_main_thread(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = Hearing(), stage.start("exit 6")
                stage.watcher.add_child_handler(pid, hearing)
                assert await hearing.only() == (pid, 6)
                assert hearing.threads == [threading.get_ident()]

            stage.elsewhere(lambda: stage.run(play()))

    def test_in_the_context_of_registration(self) -> None:
        with self.stage() as stage:
            seen: list[str | None] = []
            hearing = Hearing(lambda *_: seen.append(variable.get(None)))

            async def play() -> None:
                for pid, value in ((stage.start("exit 0", held=True), value) for value in ("one", "two")):
                    variable.set(value)
                    stage.watcher.add_child_handler(pid, hearing)
                variable.set("later")
                stage.go()
                await hearing.heard(2)
                assert sorted(seen, key=str) == ["one", "two"]

            contextvars.copy_context().run(stage.run, play())

    def test_registered_in_another_thread_on_the_attached_loop(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                stage.watcher.attach_loop(stage.loop)
                seen: list[str | None] = []
                hearing, pid = Hearing(lambda *_: seen.append(variable.get(None))), stage.start("exit 2")

                def register() -> None:
                    variable.set("elsewhere")
                    stage.watcher.add_child_handler(pid, hearing)

                stage.elsewhere(register)
                assert await hearing.only() == (pid, 2)
                assert hearing.loops == [stage.loop]
                assert hearing.threads == [threading.get_ident()]
                assert seen == ["elsewhere"]

            stage.run(play())

    def test_registered_in_another_thread_while_the_loop_sleeps(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                stage.watcher.attach_loop(stage.loop)
                hearing, pid = Hearing(), stage.start("exit 2", held=True)

                def register() -> None:
                    stage.watcher.add_child_handler(pid, hearing)
                    stage.go()

                later = threading.Timer(QUIET, register)
                later.start()
                assert await hearing.only() == (pid, 2)
                later.join()

            stage.run(play())

    def test_registered_before_the_attached_loop_runs(self) -> None:
        with self.stage() as stage:
            stage.watcher.attach_loop(stage.loop)
            hearing, pid = Hearing(), stage.start("exit 8")
            stage.watcher.add_child_handler(pid, hearing)
            stage.await_exit(pid)
            assert stage.run(hearing.only()) == (pid, 8)

    def test_attaching_another_loop_moves_nobody(self) -> None:
        with self.stage() as stage:
            hearing, pid = Hearing(), stage.start("exit 0", held=True)
            stage.watcher.attach_loop(stage.loop)
            stage.watcher.add_child_handler(pid, hearing)
            stage.watcher.attach_loop(stage.new_loop())
            stage.watcher.attach_loop(None)
            stage.go()
            stage.run(hearing.only())
            assert hearing.loops == [stage.loop]

    def test_refused_where_there_is_no_loop(self) -> None:
        with self.stage() as stage:
            hearing, pid = Hearing(), stage.start("exit 0", held=True)
            refused(stage.watcher.add_child_handler, pid, hearing)
            stage.watcher.attach_loop(stage.loop)
            stage.watcher.attach_loop(None)
            refused(stage.watcher.add_child_handler, pid, hearing)
            assert stage.watcher.remove_child_handler(pid) is False
            stage.end(pid)

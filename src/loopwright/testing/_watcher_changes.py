"""The contract of child watchers when minds are changed: registering again, removing, closing."""

from __future__ import annotations

from loopwright.testing._watcher_stage import Hearing, WatcherTests, refused

__all__ = ["WatcherChanges"]


class WatcherChanges(WatcherTests):
    """A callback that was replaced or removed stays away, however late; what a watcher answers is true."""

    # Registering again

    def test_registering_again_replaces(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                (first, pid), second = await stage.watched("exit 1"), Hearing()
                stage.watcher.add_child_handler(pid, second, "second")
                stage.go()
                assert await second.only() == (pid, 1, "second")
                await first.nothing()

            stage.run(play())

    def test_registering_again_after_the_exit_replaces(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                (first, pid), second = await stage.watched("exit 1"), Hearing()
                stage.ended(pid)
                stage.watcher.add_child_handler(pid, second)
                assert await second.only() == (pid, 1)
                await first.nothing()

            stage.run(play())

    def test_registering_again_moves_it_to_the_loop_that_runs_now(self) -> None:
        with self.stage() as stage:
            other, second = stage.new_loop(), Hearing()
            first, pid = stage.run(stage.watched("exit 1"), other)
            stage.run(stage.register(second, pid))
            stage.go()
            stage.run(second.only())
            assert second.loops == [stage.loop]
            stage.run(first.nothing(), other)

    # Removing

    def test_removing_answers_truly(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                within: list[bool] = []
                hearing = Hearing(lambda pid, _code: within.append(stage.watcher.remove_child_handler(pid)))
                pid = stage.start("exit 0", held=True)
                assert stage.watcher.remove_child_handler(pid) is False, "there was none yet"
                stage.watcher.add_child_handler(pid, hearing)
                assert stage.watcher.remove_child_handler(pid) is True, "there was one"
                assert stage.watcher.remove_child_handler(pid) is False, "it was removed"
                stage.watcher.add_child_handler(pid, hearing)
                stage.go()
                await hearing.only()
                assert within == [False], "it was being called"
                assert stage.watcher.remove_child_handler(pid) is False, "it was called"

            stage.run(play())

    def test_removed_is_neither_called_nor_reaped(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched()
                assert stage.watcher.remove_child_handler(pid) is True
                stage.ended(pid)
                await hearing.nothing()
                stage.check_left(pid, 0)

            stage.run(play())

    def test_removed_in_another_thread(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched()
                assert stage.elsewhere(stage.watcher.remove_child_handler, pid) is True
                assert stage.elsewhere(stage.watcher.remove_child_handler, pid) is False
                stage.ended(pid)
                await hearing.nothing()
                stage.check_left(pid, 0)

            stage.run(play())

    def test_removed_after_the_exit(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched("exit 9")
                stage.ended(pid)
                assert stage.watcher.remove_child_handler(pid) is True
                await hearing.nothing()
                stage.check_left(pid, 9)

            stage.run(play())

    def test_removed_between_exit_and_delivery(self) -> None:
        """Two exits are seen at once; whichever callback comes first removes the other, and it must stay away."""
        with self.stage() as stage:
            answers: list[bool] = []

            def remove_the_other(pid: int, _code: int) -> None:
                answers.append(stage.watcher.remove_child_handler(pids[1 - pids.index(pid)]))

            hearing = Hearing(remove_the_other)
            pids = [stage.start("exit 0", held=True) for _ in range(2)]

            async def play() -> None:
                await stage.register(hearing, *pids)
                stage.ended(*pids)
                called, _ = await hearing.only()
                assert answers == [True]
                stage.check_left(pids[1 - pids.index(called)], 0)

            stage.run(play())

    def test_removed_and_registered_again(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                (first, pid), second = await stage.watched("exit 4"), Hearing()
                for _ in range(3):
                    assert stage.watcher.remove_child_handler(pid) is True
                    await stage.register(second, pid)
                assert stage.watcher.remove_child_handler(pid) is True
                stage.ended(pid)
                await stage.register(second, pid)
                assert await second.only() == (pid, 4)
                await first.nothing()

            stage.run(play())

    # Closing

    def test_closing(self) -> None:
        with self.stage() as stage:
            assert stage.watcher.is_active() is True
            stage.watcher.close()
            assert stage.watcher.is_active() is False
            stage.watcher.close()
            pid = stage.start("exit 0")

            async def play() -> None:
                refused(stage.watcher.add_child_handler, pid, Hearing())

            stage.run(play())
            stage.end(pid)

    def test_closing_forgets_callbacks_and_leaves_children_alone(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                alive, ended = stage.start("exit 0", held=True), stage.start("exit 3")
                for pid in (alive, ended):
                    stage.watcher.add_child_handler(pid, hearing)
                stage.await_exit(ended)
                stage.watcher.close()
                assert stage.watcher.remove_child_handler(alive) is False, "closing forgot it"
                await hearing.nothing()
                stage.check_left(ended, 3)
                stage.end(alive)

            stage.run(play())

    def test_closing_in_a_callback(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, _ = await stage.watched(then=lambda *_: stage.watcher.close())
                stage.go()
                await hearing.only()

            stage.run(play())

    def test_closing_in_another_thread(self) -> None:
        with self.stage() as stage:

            async def play() -> None:
                hearing, pid = await stage.watched()
                stage.elsewhere(stage.watcher.close)
                stage.ended(pid)
                await hearing.nothing()
                stage.check_left(pid, 0)

            stage.run(play())

    def test_as_a_context_manager(self) -> None:
        """As asyncio uses it: the block brackets starting and registering, and the watcher lives on."""
        with self.stage() as stage:

            async def play() -> None:
                hearing = Hearing()
                with stage.watcher as same:
                    assert same is stage.watcher
                    pid = stage.start("exit 5")
                    stage.watcher.add_child_handler(pid, hearing)
                assert stage.watcher.is_active() is True
                assert await hearing.only() == (pid, 5)

            stage.run(play())

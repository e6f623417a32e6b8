# mypy: disable-error-code="func-returns-value"
"""The contract of event loops: closing, dropping and forking them."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

from loopwright.testing._loop_stage import LoopTests, eventually, raises
from loopwright.testing._watcher_apart import apart, open_descriptors

if TYPE_CHECKING:
    pass

__all__ = ["LoopClosing"]


class LoopClosing(LoopTests):
    """What is closed stays closed; of what is dropped nothing is left; a fork takes nothing from its parent."""

    # Closing

    def test_closing(self) -> None:
        with self.stage() as stage:
            stage.loop.call_soon(print)
            stage.loop.call_later(100, print)
            assert not stage.loop.is_closed()
            stage.loop.close()
            stage.loop.close()
            assert stage.loop.is_closed()
            assert "closed=True" in repr(stage.loop)
            for call in (
                lambda: stage.loop.call_soon(print),
                lambda: stage.loop.call_soon_threadsafe(print),
                lambda: stage.loop.call_later(1, print),
                lambda: stage.loop.call_at(1, print),
                stage.loop.run_forever,
                lambda: stage.loop.run_until_complete(stage.loop.create_future()),
                lambda: stage.loop.run_in_executor(None, print),
                lambda: stage.loop.add_signal_handler(signal.SIGUSR1, print),
            ):
                raises(RuntimeError, call)

    def test_a_loop_that_is_dropped_unclosed_warns_and_leaves_no_descriptor(self) -> None:
        self.make_loop().close()
        before = open_descriptors()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            loop = self.make_loop()
            loop.call_soon(loop.stop)
            loop.call_soon(id, loop)  # a cycle through what is queued
            loop.call_later(1000, id, loop)
            gone = weakref.ref(loop)
            del loop
            gc.collect()
            kinds = [each.category for each in warned]
            warned.clear()  # a warning keeps its source
            gc.collect()
        assert gone() is None, "a loop that nobody has any more is still there"
        assert open_descriptors() <= before
        assert any(issubclass(kind, ResourceWarning) for kind in kinds), kinds

    def test_what_is_queued_in_a_closed_loop_is_let_go(self) -> None:
        class Thing:
            pass

        with self.stage() as stage:
            thing = Thing()
            gone = weakref.ref(thing)
            stage.loop.call_soon(id, thing)
            stage.loop.call_later(1000, id, thing)
            stage.loop.close()
            del thing
            gc.collect()
            assert gone() is None

    # Forks

    def test_a_forked_child_runs_a_loop_of_its_own(self) -> None:
        with self.stage() as stage:

            def child() -> None:
                asyncio.set_event_loop(None)
                loop = self.make_loop()
                assert loop.run_until_complete(asyncio.sleep(0.001, "ran")) == "ran"
                loop.close()

            async def main() -> None:
                mine, peer = stage.pair("unix")
                seen: list[bytes] = []
                stage.loop.add_reader(mine, lambda: seen.append(mine.recv(10)))
                apart(lambda: (_forget_running(), child()))
                await peer.write(b"still heard")
                await eventually(lambda: seen)
                stage.loop.remove_reader(mine)

            stage.run(main())

    def test_a_forked_child_is_not_running_its_parents_loop(self) -> None:
        with self.stage() as stage:

            async def main() -> None:
                apart(lambda: raises(RuntimeError, asyncio.get_running_loop))

            stage.run(main())

    def test_a_forked_child_that_closes_its_copy_takes_nothing_from_the_parent(self) -> None:
        with self.stage() as stage:
            mine, peer = stage.pair("unix")
            seen: list[bytes] = []
            stage.loop.add_reader(mine, lambda: seen.append(mine.recv(10)))
            stage.run(asyncio.sleep(0))

            def child() -> None:
                stage.loop.close()

            apart(child)
            stage.run(peer.write(b"still heard"))
            stage.run(eventually(lambda: seen))
            woken: list[int] = []
            thread = threading.Thread(target=lambda: stage.loop.call_soon_threadsafe(woken.append, 1))
            thread.start()
            stage.run(eventually(lambda: woken))
            thread.join()
            stage.loop.remove_reader(mine)


def _forget_running() -> None:
    """What a forked child does that goes on within a callback of its parent's loop."""
    asyncio._set_running_loop(None)

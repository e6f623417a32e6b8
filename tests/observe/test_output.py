"""What a process printed, in bounded memory."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import CallerError, WatcherStartError
from loopwright.observe import ProcessWatcher
from loopwright.observe._output import Output
from loopwright.process import DEVNULL, PIPE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def line(watcher: ProcessWatcher) -> str:
    """What it prints up to the end of a line, in however many pieces."""
    text = ""
    while not text.endswith("\n"):
        piece = await watcher.read_output()
        assert piece
        text += piece
    return text


@given(st.lists(st.one_of(st.text(max_size=20).map(str.encode), st.just(None)), max_size=30), st.data())
def test_whatever_is_taken_when_all_of_it_is_there(pieces: list[bytes | None], data: st.DataObject) -> None:
    """Cut anywhere, taken at any time: the same text in the end."""
    whole = b"".join(piece for piece in pieces if piece)
    cut = data.draw(st.integers(0, len(whole)))
    output = Output(1 << 20)
    text = ""
    for part in (whole[:cut], whole[cut:]):
        output.feed(part)
        text += output.take()
    output.end()
    assert text + output.take() == whole.decode()
    assert output.dropped == 0


@given(st.lists(st.text(max_size=40), max_size=20), st.integers(4, 64))
def test_the_newest_is_kept(pieces: list[str], limit: int) -> None:
    output = Output(limit)
    for piece in pieces:
        output.feed(piece.encode())
    output.end()
    text, whole = output.take(), "".join(pieces)
    assert len(text.encode()) <= limit
    assert len(text.encode()) > limit - 4 or text == whole
    assert whole.endswith(text)
    assert output.dropped == len(whole.encode()) - len(text.encode())


def test_read_output(run: Run) -> None:
    script = "import sys; print('one', flush=True); input(); print('two', file=sys.stderr)"

    async def main() -> None:
        async with ProcessWatcher([sys.executable, "-c", script], stdin=PIPE) as watcher:
            assert await line(watcher) == "one\n"
            watcher.process.stdin.write(b"\n")  # type: ignore[union-attr]
            assert await line(watcher) == "two\n"
            assert await watcher.read_output() == ""
            assert (await watcher.wait()).success
            assert await watcher.read_output() == ""

    run(main())


def test_nobody_reads_and_it_ends_all_the_same(run: Run) -> None:
    script = "import sys; sys.stdout.write('x' * 3_000_000 + 'end')"

    async def main() -> None:
        async with ProcessWatcher([sys.executable, "-c", script], output_limit=1000) as watcher:
            assert (await watcher.wait()).success
            text = ""
            while part := await watcher.read_output():
                text = part
            assert text.endswith("end")
            assert len(text) <= 1000
            assert watcher.output_dropped >= 3_000_000 - 70_000

    run(main())


def test_when_output(run: Run) -> None:
    script = "echo fine; echo 'ERROR 42'; echo fine; printf 'ERROR 43'"

    async def main() -> None:
        called: list[str] = []

        async def callback(event: Any) -> None:
            called.append(event.match[1])

        watcher = ProcessWatcher(["sh", "-c", script])
        events = watcher.when_output(r"ERROR (\d+)", callback=callback)  # before it can have printed anything
        async with watcher:
            seen = [(event.pid, event.line, event.match[1]) async for event in events]
            assert seen == [(watcher.pid, "ERROR 42", "42"), (watcher.pid, "ERROR 43", "43")]
            assert "fine" in await watcher.read_output()
            await asyncio.sleep(0)
        assert called == ["42", "43"]

    run(main())


def test_when_output_of_a_start_that_fails(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "program"

    async def main() -> None:
        called: list[str] = []
        watcher = ProcessWatcher([program, "-c", "echo x"])
        events = watcher.when_output("x", callback=lambda event: called.append(event.line))
        unwanted = watcher.when_output("x", callback=lambda _: called.append("unwanted"))
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        with pytest.raises(FileNotFoundError):
            await watcher.start()
        with pytest.raises(WatcherStartError, match="FileNotFoundError"):
            await waiting
        assert [event async for event in events] == []
        unwanted.close()
        program.symlink_to("/bin/sh")
        async with watcher:
            await watcher.wait()
            assert await line(watcher) == "x\n"
            await asyncio.sleep(0)
        assert called == ["x"]

    run(main())


@given(st.lists(st.sampled_from([b"ERR", b" a", b"\n", b"b\nERR c", b"x" * 70_000]), max_size=12), st.integers(0, 12))
def test_a_pattern_that_comes_late(pieces: list[bytes], when: int) -> None:
    """It sees the whole of the line that has not ended yet, and every line after that."""
    output = Output(1 << 20)
    seen: list[str] = []
    for piece in pieces[:when]:
        output.feed(piece)
    output.matches(re.compile("ERR"), lambda line, _match: seen.append(line))
    for piece in pieces[when:]:
        output.feed(piece)
    output.end()
    begun = b"".join(pieces[:when]).rpartition(b"\n")[2]
    lines = (begun + b"".join(pieces[when:])).split(b"\n")
    if all(len(line) <= 65_536 for line in lines):
        assert seen == [line.decode() for line in lines if b"ERR" in line]


def test_lines_that_nobody_looks_at_cost_little(run: Run) -> None:
    """Two million short ones: cut one by one they would hold the loop for seconds."""

    async def main() -> float:
        async with ProcessWatcher(["sh", "-c", "yes | head -c 4000000"]) as watcher:
            before = time.thread_time()
            assert (await watcher.wait()).code == 0  # type: ignore[union-attr]
            return time.thread_time() - before

    assert run(main()) < 1


def test_closed_watcher_wakes_its_reader(run: Run) -> None:
    async def main() -> None:
        async with ProcessWatcher(["sleep", "100"]) as watcher:
            reading = asyncio.create_task(watcher.read_output())
            await asyncio.sleep(0)
        assert await reading == ""

    run(main())


def test_output_that_goes_elsewhere(run: Run) -> None:
    async def main() -> None:
        async with ProcessWatcher(["sleep", "100"], stdout=DEVNULL) as watcher:
            with pytest.raises(CallerError, match="elsewhere"):
                await watcher.read_output()
            with pytest.raises(CallerError, match="elsewhere"):
                watcher.when_output("x")

    run(main())

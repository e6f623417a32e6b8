"""The report: two real processes joined by a pipe, `tail -F access.log | tally.py`, and an eye on both.

What it shows: `loopwright.process.spawn()`. A pipeline must run for as long as the shop does, so the end of
either stage is a failure, whatever its status: this program says which stage ended and how, ends the other
one, and fails itself. The supervisor then starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import shop

from loopwright.policies import run
from loopwright.process import DEVNULL, Process, spawn

GRACE = 2.0  # seconds a stage has to end after SIGTERM
EVERY = "5"  # seconds between two tallies


async def start(log: Path) -> dict[str, Process]:
    """Start both stages, the first one's output being the second one's input."""
    reading, writing = os.pipe()
    try:
        tail = await spawn(["tail", "-n", "0", "-F", str(log)], stdin=DEVNULL, stdout=writing)
        try:
            program = Path(__file__).with_name("tally.py")
            tally = await spawn([sys.executable, program, EVERY], stdin=reading)
        except BaseException:
            await end(tail)
            raise
    finally:
        # The stages have their own copies. As long as this program kept one of the writing end open, the
        # tally would never see the end of its input.
        os.close(reading)
        os.close(writing)
    return {"tail": tail, "tally": tally}


async def end(process: Process) -> None:
    """SIGTERM, and SIGKILL if that does not help."""
    if process.status is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def main() -> int:
    """Follow the log until SIGTERM or SIGINT; 1 if a stage ends before that."""
    log = shop.data_folder() / "access.log"
    log.touch(mode=0o600)  # tail complains about a file that is not there yet
    stopping = asyncio.Event()
    shop.stop_on_signals(asyncio.get_running_loop(), stopping)
    try:
        stages = await start(log)
    except FileNotFoundError as error:
        raise shop.SetupError(f"there is no program {error.filename!r} on PATH; tail comes with coreutils") from error
    pipeline = " | ".join(f"{stage} ({process.pid})" for stage, process in stages.items())
    print(f"following {log} with {pipeline}", flush=True)

    asked = asyncio.create_task(stopping.wait())
    ends = {asyncio.create_task(process.wait()): stage for stage, process in stages.items()}
    await asyncio.wait({asked, *ends}, return_when=asyncio.FIRST_COMPLETED)
    # The supervisor's SIGTERM goes to the whole process group, so a stage may be seen to end before the
    # signal to this program is: that is no failure.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await stopping.wait()
    asked.cancel()
    failed = [] if stopping.is_set() else [stage for stage, process in stages.items() if process.status is not None]
    if len(failed) == 2:
        # The one brought the other down: who writes to a stage that has ended is killed by SIGPIPE, and who reads from
        # one that has ended comes to the end of its input.
        consequence = "tail" if stages["tail"].returncode == -signal.SIGPIPE else "tally"
        if consequence == "tail" or stages["tally"].returncode == 0:
            failed.remove(consequence)
    for stage in failed:
        text = f"report: {stage} {stages[stage].status}, though it should go on for ever"
        print(text, file=sys.stderr, flush=True)

    # tail first: the tally then sees the end of its input, and gives its last words.
    for process in stages.values():
        await end(process)
    await asyncio.gather(*ends)
    if not failed:
        print("goodbye", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(run(main()))
    except shop.SetupError as trouble:
        sys.exit(f"report: {trouble}")

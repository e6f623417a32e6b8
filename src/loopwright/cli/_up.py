"""`loopwright up`: starts the services of a file and keeps them until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import resource
import shutil
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import click

from loopwright.cli._file import argument, load
from loopwright.cli._render import Renderer, duration, use_color
from loopwright.cli._sink import Sink
from loopwright.cli._summary import Summary
from loopwright.policies import DefaultEventLoopPolicy, run
from loopwright.process import ResourceUsage, current_guarantee, keep, keeper_obstacle
from loopwright.supervision import LevelFell, Note, Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from loopwright.process import Keeper
    from loopwright.supervision import Event, Outcome
    from loopwright.supervision.config import Configuration

__all__ = ["up"]

#: Two signals closer than this were one wish: `timeout -s INT` and others send theirs to a process and to its group.
ONE_WISH = 0.15
#: Held back until there is somebody to hear them, and from the last line on.
WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: The reader has gone (`| head`), or the terminal has: as good as a wish to stop. A full disk, say, is none.
NOBODY_READS = frozenset({errno.EPIPE, errno.EIO})
#: Seconds that the last lines may take to be written to a terminal that is stuck.
LAST_WORDS = 2.0


@click.command
@argument
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour the output; auto: on a terminal, unless NO_COLOR is set.",
)
def up(file: Path, color: str) -> None:
    """Starts the services of FILE (loopwright.toml if not given; of a folder, the one in it) and keeps them.

    Ctrl-C, or SIGTERM or SIGHUP, ends them in the reverse order with their grace periods; a second one ends
    them at once.

    Exits with 0 if it was asked to stop, or if all services finished well; with 1 if an essential service
    failed, or if nothing is left to run and something failed; with 2, having started nothing, if FILE is wrong.
    """
    _open_standard_streams()
    configuration = load(file)
    # SIGTTOU only for the sake of the thread that writes, which is made before signals are let through: the keeper
    # puts us into a group in the background of our terminal, whose output `stty tostop` would have us stopped for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*WISHES, signal.SIGTTOU})
    obstacle = keeper_obstacle()
    keeper = keep() if obstacle is None else None
    session = _Session(configuration, keeper, obstacle, color)
    # LOOPWRIGHT_POLICY is for the services: what suits them (a bound on tasks, a loop that is not installed here) must
    # not steer what keeps them.
    sys.exit(run(session.run(), policy=DefaultEventLoopPolicy()))


class _Session:
    """One run of the command: the supervisor, what is shown of it, and the signals that steer it."""

    def __init__(self, configuration: Configuration, keeper: Keeper | None, obstacle: str | None, color: str) -> None:
        self._configuration = configuration
        self._keeper = keeper
        self._obstacle = obstacle
        self._color = use_color(color, terminal=sys.stdout.isatty(), environ=os.environ)
        names = [instance.name for service in configuration.services for instance in service.each()]
        self._renderer = Renderer(names, color=self._color, own_memory=_own_memory)
        self._summary = Summary(names, own_memory=_own_memory)
        self._level = current_guarantee()
        self._keeper_lost = False
        self._arrived: deque[tuple[signal.Signals, float]] = deque()
        self._last_wish = -math.inf
        self._wishes = 0
        self._over = False
        self._room: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Until all is over; the exit status."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._sink = Sink(sys.stdout.fileno(), encoding=sys.stdout.encoding, on_broken=self._on_broken)
        self._supervisor = Supervisor(self._configuration.services, listener=self._show)
        self._take_signals(loop)
        self._say_hello()
        try:
            outcome = await self._supervisor.run()
            await self._say_goodbye(outcome, loop.time() - began)
        finally:
            # Somebody who hammers on Ctrl-C must not hit the interpreter on its way out.
            signal.pthread_sigmask(signal.SIG_BLOCK, WISHES)
            if self._keeper is not None and not self._keeper_lost:
                self._keeper.forget()
        if (error := self._sink.broken) is not None and error.errno not in NOBODY_READS:
            with contextlib.suppress(OSError):  # may be the same full disk
                click.echo(f"loopwright: cannot write to standard output: {error.strerror}", err=True)
            return 1
        return 0 if outcome.success and not self._keeper_lost else 1

    async def _say_goodbye(self, outcome: Outcome, seconds: float) -> None:
        self._sink.write("")
        self._sink.write(
            self._summary.render(
                _result(outcome, self._configuration.name, seconds, keeper_lost=self._keeper_lost),
                color=self._color,
                width=shutil.get_terminal_size((100, 24)).columns,
            )
        )
        self._over = True
        await self._sink.close(LAST_WORDS)

    def _take_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        # A program under nohup(1) is started with SIGHUP ignored, and that is meant.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._signals = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))

        def note_arrival(number: int, _frame: object) -> None:
            self._arrived.append((signal.Signals(number), time.monotonic()))
            # The loop may have been woken, and have found nothing yet, before the interpreter came to call this.
            loop.call_soon_threadsafe(self._hear_wishes)

        for number in self._signals:
            # For the descriptor that this has every signal wake the loop by; a handler of signal.signal()'s alone
            # would wait for a loop that was just about to sleep.
            loop.add_signal_handler(number, self._hear_wishes)
            # And in place of the handler, which does nothing, one that knows when: a loop that is busy with a flood
            # of lines would hear two signals half a second apart in one instant, and take them for one wish.
            signal.signal(number, note_arrival)
        # A shell starts what it puts in the background with SIGINT and SIGQUIT ignored; services would inherit it,
        # as they would what whoever started us has blocked.
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if self._keeper is not None:
            self._keeper.when_lost(self._on_keeper_lost)

    def _say_hello(self) -> None:
        services = self._configuration.services
        count = sum(service.instances for service in services)
        processes = "1 process" if count == 1 else f"{count} processes"
        self._note(
            f"{self._configuration.name}: starting {processes} of {', '.join(service.name for service in services)}, "
            f"from {self._configuration.path}"
        )
        if self._keeper is not None:
            self._note(
                f"process {os.getpid()}, kept by process {self._keeper.pid}: should the first be killed, "
                "the second kills all that it leaves"
            )
            self._note(f"a service is ended with what has left its process group: {self._level.title}")
        else:
            self._note(
                f"process {os.getpid()}, without a keeper: if it is killed with SIGKILL, services go on running "
                f"({self._obstacle})",
                warning=True,
            )

    def _show(self, event: Event) -> None:
        self._summary.feed(event)
        self._sink.write(self._renderer.render(event))
        if self._room is None and self._sink.full:
            self._supervisor.hold_output(True)
            self._room = asyncio.get_running_loop().create_task(self._go_on_when_there_is_room())

    async def _go_on_when_there_is_room(self) -> None:
        await self._sink.wait_for_room()
        self._room = None
        self._supervisor.hold_output(False)

    def _note(self, text: str, *, warning: bool = False) -> None:
        self._show(Note(instance="", at=time.time(), text=text, warning=warning))

    def _hear_wishes(self) -> None:
        while self._arrived:
            self._on_signal(*self._arrived.popleft())

    def _on_signal(self, number: signal.Signals, arrived: float) -> None:
        if self._over or arrived - self._last_wish < ONE_WISH:
            return
        self._last_wish = arrived
        self._wishes += 1
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        if self._wishes == 1:
            self._supervisor.stop(name)
            self._note("once more ends everything at once")
        else:
            self._supervisor.kill(f"{name} again")

    def _on_keeper_lost(self) -> None:
        self._keeper_lost = True
        now = current_guarantee()
        self._show(LevelFell(instance="", at=time.time(), was=self._level, now=now, reason="the keeper was killed"))
        self._supervisor.kill("its keeper was killed, and without it nothing would end them if this were killed too")

    def _on_broken(self, error: OSError) -> None:
        self._supervisor.stop(f"its output cannot be written any more: {error.strerror}")


def _open_standard_streams() -> None:
    """Give each that was closed by whoever started us (`>&-`) to /dev/null: the next file opened would get its number,
    and with it what is written there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)
    # Not 1 and 2 themselves: a library that was loaded before us may have been given those numbers (libffi keeps its
    # own file open).
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115 - likewise


def _own_memory() -> int:
    return ResourceUsage.from_rusage(resource.getrusage(resource.RUSAGE_SELF)).max_rss


def _result(outcome: Outcome, name: str, seconds: float, *, keeper_lost: bool) -> str:
    if keeper_lost:
        how = "ended: its keeper was killed"
    elif outcome.asked:
        how = "stopped as asked"
    elif outcome.success:
        how = "all services have finished"
    else:
        how = f"ended: {outcome.reason}"
    if outcome.left:
        how = f"{how}; {', '.join(outcome.left)} could not be ended"
    return f"{name}: {how}, after {duration(seconds)}"

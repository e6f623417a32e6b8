"""From a request to a child that can be watched and signalled safely, and the ledger of those children."""

from loopwright._spawning._launch import compiled_obstacle, launch, numbers_taken, order, start_here, taken
from loopwright._spawning._ledger import Child, child_of, keep_unclaimed, living, note_exits, starting
from loopwright._spawning._popen import launch_plain
from loopwright._spawning._request import INHERITED, NULL, Command, Program, Request, listed

__all__ = [
    "INHERITED",
    "NULL",
    "Child",
    "Command",
    "Program",
    "Request",
    "child_of",
    "compiled_obstacle",
    "keep_unclaimed",
    "launch",
    "launch_plain",
    "listed",
    "living",
    "note_exits",
    "numbers_taken",
    "order",
    "start_here",
    "starting",
    "taken",
]

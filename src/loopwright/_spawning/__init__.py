"""From a request to a child that can be watched and signalled safely, and the ledger of those children."""

from loopwright._spawning._launch import Command, launch
from loopwright._spawning._ledger import Child, child_of, living

__all__ = ["Child", "Command", "child_of", "launch", "living"]

"""Child processes on any event loop: started, waited for, signalled, read from, joined to pipelines, never lost."""

from loopwright._core import ExitStatus, ResourceUsage, StatusLost
from loopwright.process._cgroup import cgroup_obstacle
from loopwright.process._cmd import Cmd, Pipeline, cmd, pipeline
from loopwright.process._completed import Completed, PipelineResult
from loopwright.process._ended import Ended, Left
from loopwright.process._guarantee import Guarantee
from loopwright.process._guarding import Guard, guard
from loopwright.process._keeping import Keeper, keep, keeper_obstacle
from loopwright.process._lines import LineReceiver, LineSplitter
from loopwright.process._options import RunOptions, SpawnOptions
from loopwright.process._output import BytesLine, Lines, TextLine
from loopwright.process._pipeline import RunningPipeline
from loopwright.process._pool import ProcessPool
from loopwright.process._process import Process
from loopwright.process._run import check, run
from loopwright.process._spawn import DEVNULL, PIPE, STDOUT, spawn
from loopwright.process._standing import current_guarantee
from loopwright.process._text import TextReader, TextWriter
from loopwright.process._text_process import TextProcess

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "BytesLine",
    "Cmd",
    "Completed",
    "Ended",
    "ExitStatus",
    "Guarantee",
    "Guard",
    "Keeper",
    "Left",
    "LineReceiver",
    "LineSplitter",
    "Lines",
    "Pipeline",
    "PipelineResult",
    "Process",
    "ProcessPool",
    "ResourceUsage",
    "RunOptions",
    "RunningPipeline",
    "SpawnOptions",
    "StatusLost",
    "TextLine",
    "TextProcess",
    "TextReader",
    "TextWriter",
    "cgroup_obstacle",
    "check",
    "cmd",
    "current_guarantee",
    "guard",
    "keep",
    "keeper_obstacle",
    "pipeline",
    "run",
    "spawn",
]

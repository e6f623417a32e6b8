"""Things watched that are not exits of our own children: any process, and the tasks that a task starts."""

from loopwright.observe._events import Events
from loopwright.observe._output import OutputEvent
from loopwright.observe._process_watcher import ProcessWatcher
from loopwright.observe._sampling import UsageEvent
from loopwright.observe._task_watcher import TaskTree, TaskWatcher
from loopwright.observe._usage import Usage

__all__ = ["Events", "OutputEvent", "ProcessWatcher", "TaskTree", "TaskWatcher", "Usage", "UsageEvent"]

"""Watching the tasks that a task starts, and those that they start; the rules are those of `_lineage` and `_held`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from loopwright._core import on_process_started
from loopwright.errors import CallerError, WatcherClosedError, WatcherStartError, WrongLoopError
from loopwright.observe._handlers import Handler, Handlers, check_callable
from loopwright.observe._held import Held
from loopwright.observe._lineage import Factory, Node, apart_from

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from loopwright.process import Process

__all__ = ["TaskTree", "TaskWatcher"]

C = TypeVar("C", bound="Callable[..., object]")


@dataclass(frozen=True, slots=True)
class TaskTree:
    """A task and those that descend from it, as they were at one moment; as text, a line for each."""

    name: str
    """The task's name."""
    what: str
    """The qualified name of the coroutine that it runs."""
    state: Literal["running", "held", "done"]
    """`held`: its first step waits for room; `done`: it is done, and is here for its descendants."""
    children: tuple[TaskTree, ...] = ()
    """In the order in which they were started."""

    def __str__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}{self.name} ({self.what}): {self.state}"
        for child in self.children:
            yield from child._lines(indent + "  ")


class TaskWatcher:
    """Watches the tasks that a task starts, their own included, on any loop::

        async with TaskWatcher(limit=10) as watcher:
            watcher.on_task_done(log)
            for url in urls:
                asyncio.create_task(fetch(url))
            await watcher.wait()

    `task` is the one whose children are watched, by default the one that enters the block; those that it starts in the
    block are, by whatever way it starts them. Leaving the block ends the watching, and neither waits for them nor
    cancels them.

    With `limit` no more than so many of its children are under way at once: the first step of another is held back, in
    the order of their creation, until one is done. A task that is held back can be cancelled, and is never lost: what
    is held when the block is left goes ahead. A grandchild rides in its parent's place, so that whoever awaits its own
    children cannot wait for ever; children that wait for one another can. Tasks that Loopwright makes to do a part of
    what somebody awaits, such as reading a process's two streams at once, are none of its children.

    Watching keeps no task alive, and takes no exception away. All of it belongs to one loop, in its thread. A task
    factory that is set meanwhile and does not call the one before it hides new tasks. ValueError for a limit below 1.
    """

    def __init__(self, task: asyncio.Task[Any] | None = None, *, limit: int | None = None) -> None:
        if task is not None and not isinstance(task, asyncio.Future):
            raise TypeError(f"a TaskWatcher watches a task, not {task!r}")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit must be a number of tasks or None, not {limit!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be 1 or more: with {limit} no task would ever begin")
        self._watched = task
        self._limit = limit
        self._under_way = 0
        self._queue: deque[tuple[Node, asyncio.Future[None]]] = deque()
        self._started: list[Handler] = []
        self._done: list[Handler] = []
        self._processes: list[Handler] = []
        self._root: Node | None = None
        self._factory: Factory | None = None
        self._token: contextvars.Token[Any] | None = None
        self._handlers: Handlers | None = None
        self._undo = contextlib.ExitStack()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not started" if self._root is None else f"{len(self.tasks)} tasks"
        return f"<TaskWatcher {'' if self._root is None else f'of {self._name(self._root)!r}: '}{state}>"

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Begin to watch; what the block does when it is entered. Gives the watcher.

        WatcherStartError if it was started before; CallerError where no task runs and none was given; WrongLoopError if
        the task belongs to another loop than the one that runs here.
        """
        if self._factory is not None:
            raise WatcherStartError(f"{self!r} was started already; make another")
        loop = asyncio.get_running_loop()
        current = asyncio.current_task()
        task = current if self._watched is None else self._watched
        if task is None:
            raise CallerError("no task runs here, so there is none to watch: give one, TaskWatcher(task)")
        if task.get_loop() is not loop:
            raise WrongLoopError(
                f"cannot watch {task!r} from here: it belongs to {task.get_loop()!r}, this is {loop!r}"
            )
        self._handlers = Handlers(loop)
        self._root = Node(None, self, _what(task))
        self._root.join(task, Node.leave)
        self._watched = None  # held weakly from here on
        self._factory = Factory(loop, self)
        self._factory.nodes[task] = self._root
        self._factory.on_new = self._on_new
        if task is current:
            self._token = self._factory.take_in(self._root)
        self._undo.callback(on_process_started(self._on_process))
        return self

    def close(self) -> None:
        """End the watching: what happens from now on is not told, and what is held back goes ahead. Idempotent."""
        self._closed = True
        self._undo.close()
        factory, token, self._token = self._factory, self._token, None
        if factory is None:
            return
        factory.close()
        if token is not None:
            factory.give_back(token)
        self._limit = None
        self._admit()

    def on_task_started(self, callback: C) -> C:
        """Have `callback(task)` called soon after each task of the tree was made; gives the callback, as a decorator.

        A function or a coroutine function, called in the context (contextvars) of this call. One that raises meets the
        loop's exception handler. What it starts itself is not watched. Also before the watching begins.
        """
        return self._add(self._started, callback)

    def on_task_done(self, callback: C) -> C:
        """Have `callback(task)` called when a task of the tree is done; otherwise as `on_task_started()`."""
        return self._add(self._done, callback)

    def on_process_started(self, callback: C) -> C:
        """Have `callback(process)` called when a task of the tree, or the watched one, has started a process.

        For those started by Loopwright's `spawn()`, whose `Process` it gets; otherwise as `on_task_started()`.
        """
        return self._add(self._processes, callback)

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks of the tree that are not done, parents first; without the watched one."""
        nodes = self._root.walk() if self._root is not None else ()
        return tuple(task for node in nodes if (task := node.task) is not None and not task.done())

    async def wait(self) -> None:
        """Wait until all tasks of the tree are done, also those that are started meanwhile.

        Whatever they raise stays with them. Called by a task of the tree it waits for all but that task and those that
        it descends from. Cancelling it leaves them alone.
        """
        self._check_started()
        while left := self._others():
            await asyncio.wait(left)

    def cancel(self, msg: object = None) -> int:
        """Ask every task of the tree to end, by `task.cancel(msg)`; how many were asked.

        Not the watched one; and if a task of the tree calls this, neither that nor those that it descends from.
        """
        self._check_started()
        return sum(task.cancel(msg) for task in self._others())

    def tree(self) -> TaskTree:
        """The watched task and all under it, as they are now. WatcherStartError before the watching began."""
        return self._tree(self._check_started())

    # --- underneath

    def _on_new(self, node: Node, coro: Any, make: Callable[[Any], Any]) -> Any:
        counted = self._limit is not None and node.parent is self._root
        if counted and (self._queue or self._under_way >= (self._limit or 0)) and asyncio.iscoroutine(coro):
            turn = asyncio.get_running_loop().create_future()
            node.held = True
            self._queue.append((node, turn))
            coro = Held(coro, turn)
        elif counted:
            self._under_way += 1
            node.counted = True
        try:
            task = make(coro)
        except BaseException:
            self._over(node)
            raise
        node.join(task, self._collected)
        if self._factory is not None:
            self._factory.nodes[task] = node
        task.add_done_callback(lambda task: self._on_done(node, task))
        self._tell(self._started, task)
        return task

    def _on_done(self, node: Node, task: asyncio.Task[Any]) -> None:
        self._over(node)
        self._tell(self._done, task)

    def _collected(self, node: Node) -> None:
        # The garbage collector runs in any thread.
        if self._factory is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits for a place any more
                self._factory.loop.call_soon_threadsafe(self._over, node)

    def _over(self, node: Node) -> None:
        """It is done, or was collected, or never came to be."""
        if node.held:
            self._queue = deque(each for each in self._queue if each[0] is not node)
        if node.counted:
            node.counted = False
            self._under_way -= 1
        node.name = self._name(node)
        node.leave()
        self._admit()

    def _admit(self) -> None:
        while self._queue and (self._limit is None or self._under_way < self._limit):
            node, turn = self._queue.popleft()
            node.held = False
            if not turn.done():  # cancelled, with its task
                node.counted = True
                self._under_way += 1
                turn.set_result(None)

    def _on_process(self, process: Process) -> None:
        # A listener hears of all threads' processes; a tree belongs to one loop.
        factory = self._factory
        if factory is not None and asyncio._get_running_loop() is factory.loop and factory.parent_here() is not None:
            self._tell(self._processes, process)

    def _tell(self, handlers: list[Handler], thing: object) -> None:
        if self._handlers is not None and not self._closed:
            for handler in handlers:
                self._handlers.call(handler, thing)

    def _add(self, handlers: list[Handler], callback: C) -> C:
        check_callable(callback, "a TaskWatcher's callback")
        if self._closed:
            raise WatcherClosedError(f"{self!r} is closed; make another")
        handlers.append(Handler(callback, context=apart_from(self)))
        return callback

    def _others(self) -> list[asyncio.Task[Any]]:
        """The tasks that are not done, without the one that runs here and its ancestors."""
        current, factory = asyncio.current_task(), self._factory
        here = None if factory is None or current is None else factory.nodes.get(current)
        line = {node.task for node in here.line()} if here is not None else set()
        return [task for task in self.tasks if task not in line]

    def _check_started(self) -> Node:
        if self._root is None:
            raise WatcherStartError(f"{self!r}: use `async with` or call its start() first")
        return self._root

    def _name(self, node: Node) -> str:
        # Asked late: up to 3.13 a loop names a task after the factory has made it.
        return node.name if (task := node.task) is None else task.get_name()

    def _tree(self, node: Node) -> TaskTree:
        state: Literal["running", "held", "done"] = "held" if node.held else "running"
        task = node.task
        if node.gone or task is None or task.done():
            state = "done"
        return TaskTree(self._name(node), node.what, state, tuple(self._tree(child) for child in node.children))


def _what(task: asyncio.Task[Any]) -> str:
    coro = task.get_coro()
    return getattr(coro, "__qualname__", None) or type(coro).__qualname__

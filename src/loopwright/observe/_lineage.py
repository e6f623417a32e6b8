"""Whose child a task is.

Theory of operation. A task factory (`loop.set_task_factory()`) sees every task being made on a loop, whoever makes it:
`create_task`, `gather`, `TaskGroup`, a stream server. Whose child the new task is, is told by, in this order:

1. The task that is running, if it is one of the watched tree.
2. The task being made at this moment, if the one that is running is not known at all: an eager task (3.12) takes its
   first steps inside the factory, before anybody has seen it. (Only in this loop's thread, so one list will do.)
3. A context variable, which a task's context inherits from whoever made it, and so do callbacks (`call_soon`,
   `add_done_callback`) and `asyncio.to_thread()`, in which no task runs. It is set around the making of a task and
   reset after, so that nobody's own context changes; a context given as `context=` is not touched.

The library's own helpers (`loopwright._core.helper`) are nobody's children, nor are those that they start: whoever
awaits what a helper does a part of cannot wait for a place that it holds itself.

A node stands for a task; it holds the task weakly, and the tree its nodes only while they or a descendant live. Other
factories are chained: what was set before is called by ours, with whatever it was given. Ours steps aside when it is
closed if it is still the one that is set; otherwise it stays in the chain of whoever wrapped it and only passes on. A
factory set over ours that does not call it hides new tasks from us; their own children are credited, by the variable,
to the nearest ancestor that was seen, once ours is called again.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from typing import TYPE_CHECKING, Any

from loopwright._core import is_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Factory", "Node", "apart_from"]

#: One node for each tree that this context belongs to. Nodes know their tree.
_ancestors: contextvars.ContextVar[tuple[Node, ...]] = contextvars.ContextVar("loopwright-watched-by", default=())


class Node:
    """A task in a tree."""

    __slots__ = ("__weakref__", "_task", "children", "counted", "gone", "held", "name", "parent", "tree", "what")

    def __init__(self, parent: Node | None, tree: object, what: str) -> None:
        self.parent = parent
        self.tree = tree
        self.what = what
        """What it runs, as far as it has a name."""
        self.name = what
        self.children: dict[Node, None] = {}
        self.counted = False
        """Whether it takes one of a limited number of places."""
        self.held = False
        """Whether its first step is held back."""
        self.gone = False
        """Whether it is done, or was collected unfinished."""
        self._task: weakref.ref[asyncio.Task[Any]] | None = None

    @property
    def task(self) -> asyncio.Task[Any] | None:
        return None if self._task is None else self._task()

    def join(self, task: asyncio.Task[Any], on_collected: Callable[[Node], object]) -> None:
        """The task exists now, and is a child of its parent until `leave()`."""
        me = weakref.ref(self)  # a weak reference in a node, whose callback holds that node, would be a cycle

        def collected(_: object) -> None:
            if (node := me()) is not None and not node.gone:
                on_collected(node)

        self._task = weakref.ref(task, collected)
        if self.parent is not None:
            self.parent._adopt(self)

    def _adopt(self, child: Node) -> None:
        self.children[child] = None
        if self.parent is not None and self not in self.parent.children:
            self.parent._adopt(self)  # this one is done and was let go; a callback of its has made another

    def leave(self) -> None:
        """It is done. Whoever is done and has no descendant that lives is let go."""
        self.gone = True
        node: Node | None = self
        while node is not None and node.gone and not node.children and node.parent is not None:
            node.parent.children.pop(node, None)
            node = node.parent

    def walk(self) -> Iterator[Node]:
        """The nodes under this one, parents first."""
        waiting = list(self.children)
        while waiting:
            node = waiting.pop(0)
            yield node
            waiting += node.children

    def line(self) -> Iterator[Node]:
        """This node and its ancestors."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


class Factory:
    """A task factory that tells one tree of its new members.

    `on_new(node, make)` is called for each, and makes the task by `make(coroutine)`; what it returns is the task.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tree: object) -> None:
        self.loop = loop
        self.tree = tree
        self.active = True
        self.on_new: Callable[[Node, Any, Callable[[Any], Any]], Any] | None = None
        self.nodes: weakref.WeakKeyDictionary[asyncio.Task[Any], Node] = weakref.WeakKeyDictionary()
        self._making: list[Node | None] = []
        self._before: Any = loop.get_task_factory()
        loop.set_task_factory(self)

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        """What a loop calls to have a task made."""
        on_new = self.on_new
        parent = self.parent_here() if self.active and on_new is not None else None
        if parent is None or on_new is None:
            return self._make(loop, coro, options)
        if is_helper(coro):
            return self._make_for(None, loop, coro, options)
        node = Node(parent, self.tree, getattr(coro, "__qualname__", None) or type(coro).__qualname__)
        return on_new(node, coro, lambda coro: self._make_for(node, loop, coro, options))

    def _make_for(self, node: Node | None, loop: asyncio.AbstractEventLoop, coro: Any, options: dict[str, Any]) -> Any:
        """Make the task for which a node stands; one without, and whatever that starts, is not of this tree."""
        token = _ancestors.set((*_others(self.tree), *([] if node is None else [node])))
        self._making.append(node)
        try:
            return self._make(loop, coro, options)
        finally:
            self._making.pop()
            _ancestors.reset(token)

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, options: dict[str, Any]) -> Any:
        if self._before is not None:
            return self._before(loop, coro, **options)
        return asyncio.Task(coro, loop=loop, **options)

    def parent_here(self) -> Node | None:
        """Whose child a task, or a process, is that is started here and now; None if nobody's in this tree."""
        if (task := asyncio.current_task(self.loop)) is not None:
            if (node := self.nodes.get(task)) is not None:
                return node
            if self._making:
                return self._making[-1]
        return next((node for node in _ancestors.get() if node.tree is self.tree), None)

    def take_in(self, root: Node) -> contextvars.Token[Any]:
        """Make this context one of the tree's, for callbacks that are scheduled from it."""
        return _ancestors.set((*_others(self.tree), root))

    def give_back(self, token: contextvars.Token[Any]) -> None:
        """Undo `take_in()`."""
        try:
            _ancestors.reset(token)
        except ValueError:  # in another context: that one ends with its task
            _ancestors.set(_others(self.tree))

    def close(self) -> None:
        """Step aside, or pass on from now on where another factory was set over this one."""
        self.active = False
        self.on_new = None
        if not self.loop.is_closed() and self.loop.get_task_factory() is self:
            before = self._before
            while isinstance(before, Factory) and not before.active:
                before = before._before  # closed before us, when it was we who stood over it
            self.loop.set_task_factory(before)


def _others(tree: object) -> tuple[Node, ...]:
    return tuple(node for node in _ancestors.get() if node.tree is not tree)


def apart_from(tree: object) -> contextvars.Context:
    """A copy of the context here, out of the tree: for handlers, which are not children of what they are told of."""
    context = contextvars.copy_context()
    context.run(lambda: _ancestors.set(_others(tree)))
    return context

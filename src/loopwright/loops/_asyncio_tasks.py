"""Private names of asyncio that concern tasks, as `_asyncio_private.py` has those that concern loops and policies.

Read in the sources of CPython 3.11.7, 3.12.1, 3.13.0, 3.14 and 3.15, and tried on 3.11, 3.13 and 3.15:

- A first step goes through `loop.call_soon()` within the task's `__init__`: the future in it is complete by then,
  its coroutine, loop and context are set, and it may not yet be in `all_tasks()`. A step is a C object of the type
  `TaskStepMethWrapper`, or the bound method `__step` of a task in Python; a wake-up is the method `task_wakeup` or
  `__wakeup`. Each has the task as its `__self__`, as `task.cancel` has.
- An eager task (3.12) has taken its first step before the loop hears of it.
- `Future.cancel()` and `Task.cancel()` of what a task waits for are looked up as attributes, by C code too
  (`_asyncio_Task_cancel_impl`, `task_step_handle_result_impl`), so that an attribute of the one task is found.
  `add_done_callback` of exact tasks and futures is not, when a task waits for one; everything else looks it up.
- Steps, wake-ups and the callbacks of futures go through `loop.call_soon` as looked up on the loop, in C
  (`PyObject_VectorcallMethod`) as in Python, so that an attribute of the one loop is found before its class's method.
- `run_until_complete(future)` adds `_run_until_complete_cb` to the future before it runs the loop; asyncio.Runner has
  made the task before. uvloop (0.21 to 0.23) adds `run_until_complete.<locals>.done_cb`, rloop (0.5) its method
  `_run_until_complete_cb`. Both look `add_done_callback` up as an attribute.
- `_fut_waiter` of a task is what it waits for, `_must_cancel` whether its next step brings a CancelledError.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.tasks
import inspect
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import NoLoopError
from loopwright.loops._asyncio_private import running_loop
from loopwright.loops._stands_for import loop_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "HeldStep",
    "add_done_callback",
    "is_first_step",
    "is_housekeeping",
    "loop_asked",
    "on_idle",
    "runs_until_complete",
    "stays_cancelled",
    "waits_for",
]

_PyTask: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]
_base_loop: Any = asyncio.BaseEventLoop
#: Every coroutine of its own that asyncio makes a task of, beside those that it runs until complete: for a subprocess's
#: pipes and `communicate()`; to listen, take connections, and try the addresses of a host.
_HOUSEKEEPING = frozenset(
    {
        "BaseSubprocessTransport._connect_pipes",
        "Process._feed_stdin",
        "Process._noop",
        "Process._read_stream",
        "BaseEventLoop._create_server_getaddrinfo",
        "BaseSelectorEventLoop._accept_connection2",
        "IocpProactor.accept.<locals>.accept_coro",
        "staggered_race.<locals>.run_one_coro",
    }
)
_ASYNCIO = Path(asyncio.__file__).parent
_WAIT = asyncio.tasks._wait.__code__  # type: ignore[attr-defined]


async def _generator() -> Any:
    yield


_closing = _generator().aclose()
_AsyncGeneratorClosing = type(_closing)
_closing.close()


class HeldStep(asyncio.Handle):
    """What a loop's `call_soon()` gives for a step that it does not queue yet."""

    __slots__ = ()

    def queue(self, call_soon: Callable[..., asyncio.Handle]) -> None:
        """Queue the step, unless it was cancelled, by this."""
        if not self.cancelled():
            call_soon(self._callback, *self._args, context=self._context)  # type: ignore[attr-defined]


def is_first_step(handle: Any, task: asyncio.Task[Any]) -> bool:
    """Whether this handle of this task's is the one that begins its coroutine."""
    callback = handle._callback
    if type(callback).__name__ != "TaskStepMethWrapper" and getattr(callback, "__name__", "") != "__step":
        return False
    coro = task.get_coro()
    # Not every coroutine of Cython's, nor what closes an asynchronous generator, can tell: eager tasks that run such a
    # thing and have given way once by `sleep(0)` are taken for new ones. They wait, then, where they need not.
    if isinstance(coro, types.CoroutineType):
        return inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
    if isinstance(coro, types.GeneratorType):
        return inspect.getgeneratorstate(coro) == inspect.GEN_CREATED
    return True


def add_done_callback(task: asyncio.Task[Any], callback: Callable[[Any], object], context: Any) -> None:
    """As the method, but for a task whose `__init__` is under way: a subclass's own method may need what follows."""
    kind = _PyTask if isinstance(task, _PyTask) else asyncio.Task
    kind.add_done_callback(task, callback, context=context)


def runs_until_complete(callback: object) -> bool:
    """Whether it is what `loop.run_until_complete()` adds to the future that it waits for."""
    if callback is asyncio.base_events._run_until_complete_cb:  # type: ignore[attr-defined]
        return True
    *outer, name = str(getattr(callback, "__qualname__", "")).split(".")
    return name == "_run_until_complete_cb" or outer[-2:] == ["run_until_complete", "<locals>"]


def is_housekeeping(task: asyncio.Task[Any]) -> bool:
    """Whether it is asyncio's own, by which it closes an asynchronous generator or moves data."""
    coro = task.get_coro()
    code = getattr(coro, "cr_code", None)
    if code is None:
        return type(coro) is _AsyncGeneratorClosing
    return code.co_qualname in _HOUSEKEEPING and Path(code.co_filename).parent == _ASYNCIO


def loop_asked(loop: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    """The loop whose limit is meant, not what stands for it; NoLoopError if it is the running one, and none runs."""
    asked = running_loop() if loop is None else loop
    if asked is None:
        raise NoLoopError("no event loop runs in this thread; say whose limit is meant: task_limit(loop)")
    meant: asyncio.AbstractEventLoop = loop_behind(asked)
    return meant


def stays_cancelled(task: Any) -> bool:
    """Whether the next step of a task that has not begun brings a CancelledError."""
    return bool(task._must_cancel)


def waits_for(task: Any) -> Iterator[asyncio.Task[Any]]:
    """The tasks without which `task` cannot go on, as far as can be known.

    Seen through: `await task`, gather(), shield(), wait_for(), and wait() for all, without a limit of time. Not seen:
    what waits for an event, a queue or a lock, for nobody can know who would set it.
    """
    future = task._fut_waiter
    if future is None or future.done():
        return
    if isinstance(future, asyncio.Task):
        yield future
    elif (children := getattr(future, "_children", None)) is not None:  # gather()'s
        yield from (child for child in children if isinstance(child, asyncio.Task) and not child.done())
    else:
        yield from _shielded(future)
        yield from _waited_for(task)


def _shielded(future: Any) -> Iterator[asyncio.Task[Any]]:
    for callback, _ in future._callbacks or ():
        code = getattr(callback, "__code__", None)
        if code is not None and code.co_qualname == "shield.<locals>._outer_done_callback":
            inner = callback.__closure__[code.co_freevars.index("inner")].cell_contents
            if isinstance(inner, asyncio.Task):
                yield inner


def _waited_for(task: asyncio.Task[Any]) -> Iterator[asyncio.Task[Any]]:
    """Of wait() and, up to 3.11, wait_for(), which wait for a future of their own: found in the innermost frame."""
    coro: Any = task.get_coro()
    while isinstance(awaited := getattr(coro, "cr_await", None), types.CoroutineType):
        coro = awaited
    frame = getattr(coro, "cr_frame", None)
    if frame is None:
        return
    names = frame.f_locals
    if frame.f_code is _WAIT and names.get("timeout") is None and names.get("return_when") == asyncio.ALL_COMPLETED:
        yield from (each for each in names["fs"] if isinstance(each, asyncio.Task) and not each.done())
    elif frame.f_code is asyncio.wait_for.__code__ and isinstance(names.get("fut"), asyncio.Task):
        yield names["fut"]


def on_idle(loop: asyncio.AbstractEventLoop, idle: Callable[[], bool]) -> Callable[[], None]:
    """Have `idle()` called whenever a standard loop has nothing to do at once and is about to wait; gives what ends it.

    In the loop's thread. True says that there may be something to do now. Any other loop never calls it.
    """
    selector: Any = getattr(loop, "_selector", None)
    if selector is None:
        return lambda: None
    # Not the class: every other loop has it, too. Not `type(selector).select`: somebody may stand there already.
    before = selector.select

    def select(timeout: float | None = None) -> Any:
        # Not by asking `_ready`, which may be a queue of ours that is to be asked once a pass.
        if (timeout is None or timeout > 0) and idle():
            timeout = 0
        return before(timeout)

    own = "select" in selector.__dict__
    selector.select = select

    def stop() -> None:
        if selector.__dict__.get("select") is select:
            del selector.select
            if own:
                selector.select = before

    return stop

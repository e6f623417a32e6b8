"""All of asyncio with its low-level names of Python 3.11, on every Python: `import loopwright.aio as asyncio`.

Policies, child watchers and the functions that go with them are Loopwright's, and do not warn; `run()`, `Runner` and
`get_event_loop()` obey the current policy. Everything else is asyncio's own, the very objects, looked up there at each
use: `aio.Task is asyncio.Task`, `aio.subprocess is asyncio.subprocess`, and whatever is patched in asyncio is patched
here. Setting a name here sets it here alone. `aio.events` and `aio.unix_events` are asyncio's modules with the names
back in the same way.

Nothing is changed in asyncio: other modules' `import asyncio` brings what it brought before.
`loopwright.install()` changes that, for the whole process.
"""

from __future__ import annotations

import asyncio as _asyncio
import sys
import types as _types
from typing import TYPE_CHECKING, Any

from loopwright import policies as _policies
from loopwright.loops._asyncio_names import LOW_LEVEL as _LOW_LEVEL
from loopwright.loops._asyncio_names import UNDERNEATH as _UNDERNEATH
from loopwright.policies._low_level import ASKS as _ASKS
from loopwright.policies._low_level import OURS as _OURS

if TYPE_CHECKING:
    # What `__getattr__` and the table of names bring at run time, spelt out for type checkers: a name that is both in a
    # star import and here would be the star's for some of them, and the latter's for others.
    # fmt: off
    # isort: off
    from asyncio import (
        ALL_COMPLETED as ALL_COMPLETED, FIRST_COMPLETED as FIRST_COMPLETED, FIRST_EXCEPTION as FIRST_EXCEPTION,
        AbstractEventLoop as AbstractEventLoop, AbstractServer as AbstractServer, Barrier as Barrier,
        BaseEventLoop as BaseEventLoop, BaseProtocol as BaseProtocol, BaseTransport as BaseTransport,
        BoundedSemaphore as BoundedSemaphore, BrokenBarrierError as BrokenBarrierError,
        BufferedProtocol as BufferedProtocol, CancelledError as CancelledError, Condition as Condition,
        DatagramProtocol as DatagramProtocol, DatagramTransport as DatagramTransport, Event as Event,
        Future as Future, Handle as Handle, IncompleteReadError as IncompleteReadError,
        InvalidStateError as InvalidStateError, LifoQueue as LifoQueue, LimitOverrunError as LimitOverrunError,
        Lock as Lock, PriorityQueue as PriorityQueue, Protocol as Protocol, Queue as Queue, QueueEmpty as QueueEmpty,
        QueueFull as QueueFull, ReadTransport as ReadTransport, SelectorEventLoop as SelectorEventLoop,
        Semaphore as Semaphore, SendfileNotAvailableError as SendfileNotAvailableError, Server as Server,
        StreamReader as StreamReader, StreamReaderProtocol as StreamReaderProtocol, StreamWriter as StreamWriter,
        SubprocessProtocol as SubprocessProtocol, SubprocessTransport as SubprocessTransport, Task as Task,
        TaskGroup as TaskGroup, Timeout as Timeout, TimeoutError as TimeoutError,  # noqa: A004
        TimerHandle as TimerHandle,
        Transport as Transport, WriteTransport as WriteTransport, _enter_task as _enter_task,
        _get_running_loop as _get_running_loop, _leave_task as _leave_task, _register_task as _register_task,
        _set_running_loop as _set_running_loop, _unregister_task as _unregister_task, all_tasks as all_tasks,
        as_completed as as_completed, create_subprocess_exec as create_subprocess_exec,
        create_subprocess_shell as create_subprocess_shell, create_task as create_task, current_task as current_task,
        ensure_future as ensure_future, gather as gather, get_running_loop as get_running_loop,
        iscoroutine as iscoroutine, iscoroutinefunction as iscoroutinefunction, isfuture as isfuture,
        open_connection as open_connection, open_unix_connection as open_unix_connection,
        run_coroutine_threadsafe as run_coroutine_threadsafe, shield as shield, sleep as sleep,
        start_server as start_server, start_unix_server as start_unix_server, timeout as timeout,
        timeout_at as timeout_at, to_thread as to_thread, wait as wait, wait_for as wait_for,
        wrap_future as wrap_future,
    )
    from asyncio import (
        base_events as base_events, base_futures as base_futures, base_subprocess as base_subprocess,
        base_tasks as base_tasks, constants as constants, coroutines as coroutines, events as events,
        exceptions as exceptions, format_helpers as format_helpers, futures as futures, locks as locks, log as log,
        mixins as mixins, protocols as protocols, queues as queues,
        runners as runners, selector_events as selector_events, sslproto as sslproto, staggered as staggered,
        streams as streams, subprocess as subprocess, taskgroups as taskgroups, tasks as tasks, threads as threads,
        timeouts as timeouts, transports as transports, trsock as trsock,
    )
    if sys.version_info >= (3, 12):
        from asyncio import (
            create_eager_task_factory as create_eager_task_factory, eager_task_factory as eager_task_factory,
        )
    if sys.version_info >= (3, 13):
        from asyncio import (
            EventLoop as EventLoop, QueueShutDown as QueueShutDown,
        )
    if sys.version_info >= (3, 14):
        from asyncio import (
            FrameCallGraphEntry as FrameCallGraphEntry, FutureCallGraph as FutureCallGraph,
            capture_call_graph as capture_call_graph, format_call_graph as format_call_graph,
            future_add_to_awaited_by as future_add_to_awaited_by,
            future_discard_from_awaited_by as future_discard_from_awaited_by, graph as graph,
            print_call_graph as print_call_graph,
        )
    if sys.platform == "win32":
        from asyncio import (
            IocpProactor as IocpProactor, ProactorEventLoop as ProactorEventLoop, windows_events as windows_events,
            proactor_events as proactor_events, windows_utils as windows_utils,
        )
        from loopwright.policies import (
            WindowsProactorEventLoopPolicy as WindowsProactorEventLoopPolicy,
            WindowsSelectorEventLoopPolicy as WindowsSelectorEventLoopPolicy,
        )
    else:
        from asyncio import unix_events as unix_events
    from loopwright.policies import (
        AbstractEventLoopPolicy as AbstractEventLoopPolicy, DefaultEventLoopPolicy as DefaultEventLoopPolicy,
        get_child_watcher as get_child_watcher, get_event_loop as get_event_loop,
        get_event_loop_policy as get_event_loop_policy, new_event_loop as new_event_loop,
        set_child_watcher as set_child_watcher, set_event_loop as set_event_loop,
        set_event_loop_policy as set_event_loop_policy,
    )
    from loopwright.watchers import (
        AbstractChildWatcher as AbstractChildWatcher, FastChildWatcher as FastChildWatcher,
        MultiLoopChildWatcher as MultiLoopChildWatcher, PidfdChildWatcher as PidfdChildWatcher,
        SafeChildWatcher as SafeChildWatcher, ThreadedChildWatcher as ThreadedChildWatcher,
    )
    # isort: on
    # fmt: on
    from collections.abc import Callable, Coroutine
    from typing import TypeVar

    T = TypeVar("T")


class Runner(_policies.Runner):
    """`asyncio.Runner`, with the arguments it has since 3.12, by the current policy of `get_event_loop_policy()`."""

    def __init__(
        self, *, debug: bool | None = None, loop_factory: Callable[[], _asyncio.AbstractEventLoop] | None = None
    ) -> None:
        super().__init__(debug=debug, loop_factory=loop_factory)


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], _asyncio.AbstractEventLoop] | None = None,
) -> T:
    """`asyncio.run()`, with the arguments it has since 3.12, by the current policy of `get_event_loop_policy()`."""
    return _policies.run(main, debug=debug, loop_factory=loop_factory)


class _WithNames(_types.ModuleType):
    """A module of asyncio's with names of ours before its own."""

    def __init__(self, module: _types.ModuleType, ours: dict[str, Any]) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(ours, __all__=tuple(dict.fromkeys((*module.__all__, *ours))), _loopwright_module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_loopwright_module"], name)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["_loopwright_module"])})


if not TYPE_CHECKING:
    globals().update(_OURS, **_ASKS)
    globals().update(
        {
            name: _WithNames(
                vars(_asyncio)[name],
                {low: _OURS[low] for low in names if low in _OURS}
                | (_ASKS if name == "events" else {})
                | {low: _OURS[like] for low, like in _UNDERNEATH[name].items()},
            )
            for name, names in _LOW_LEVEL.items()
            if name in vars(_asyncio)  # each platform has one of two
        }
    )

    def __getattr__(name: str) -> Any:
        # With asyncio's this would be a package, and `import loopwright.aio.subprocess` a second copy of that module.
        if name == "__path__":
            raise AttributeError(f"module {__name__!r} is no package")
        try:
            return getattr(_asyncio, name)
        except AttributeError:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}, and asyncio has none either"
            ) from None

    def __dir__() -> list[str]:
        return sorted({*globals(), *dir(_asyncio)})

    __all__ = tuple(dict.fromkeys((*_asyncio.__all__, *_OURS, *_ASKS, "Runner", "run")))

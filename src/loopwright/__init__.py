"""asyncio's low-level layer as a library: which event loop runs where, how a program learns that a process it started
has ended, and the supervisor that people build from the two.

The names that most programs need are here. Each layer is a package of its own with the rest: `loopwright.policies`,
`loopwright.loops`, `loopwright.watchers`, `loopwright.process`, `loopwright.observe`, `loopwright.supervision`,
`loopwright.testing`.

`import loopwright` by itself imports none of that: each layer is imported when the first name of it is asked for.
"""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from loopwright.errors import ChildError, LoopwrightError, ProcessFailedError, ProcessTimeoutError
    from loopwright.loops import (
        NativeEventLoop,
        TaskScheduler,
        deadline,
        group,
        groups,
        priority,
        schedule,
        task_limit,
    )
    from loopwright.observe import ProcessWatcher, TaskWatcher
    from loopwright.policies import (
        AbstractEventLoopPolicy,
        ContextEventLoopPolicy,
        DefaultEventLoopPolicy,
        EventLoopPolicy,
        LimitedEventLoopPolicy,
        LoopPool,
        NativeEventLoopPolicy,
        PriorityEventLoopPolicy,
        Runner,
        SharedEventLoopPolicy,
        ThreadedEventLoopPolicy,
        UvloopEventLoopPolicy,
        get_event_loop,
        get_event_loop_policy,
        install,
        new_event_loop,
        on,
        policy,
        policy_from,
        run,
        set_event_loop,
        set_event_loop_policy,
        submit,
        uninstall,
    )
    from loopwright.process import (
        DEVNULL,
        PIPE,
        STDOUT,
        Cmd,
        Completed,
        Ended,
        ExitStatus,
        Guarantee,
        Pipeline,
        Process,
        ResourceUsage,
        StatusLost,
        check,
        cmd,
        guard,
        keep,
        pipeline,
        spawn,
    )
    from loopwright.supervision import Outcome, RestartPolicy, RestartRule, ServiceSpec, Supervisor
    from loopwright.watchers import (
        AbstractChildWatcher,
        FastChildWatcher,
        MultiLoopChildWatcher,
        PidfdChildWatcher,
        SafeChildWatcher,
        ThreadedChildWatcher,
        add_child_handler,
        default_watcher,
        get_child_watcher,
        remove_child_handler,
        set_child_watcher,
    )

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "ChildError",
    "Cmd",
    "Completed",
    "ContextEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "Ended",
    "EventLoopPolicy",
    "ExitStatus",
    "FastChildWatcher",
    "Guarantee",
    "LimitedEventLoopPolicy",
    "LoopPool",
    "LoopwrightError",
    "MultiLoopChildWatcher",
    "NativeEventLoop",
    "NativeEventLoopPolicy",
    "Outcome",
    "PidfdChildWatcher",
    "Pipeline",
    "PriorityEventLoopPolicy",
    "Process",
    "ProcessFailedError",
    "ProcessTimeoutError",
    "ProcessWatcher",
    "ResourceUsage",
    "RestartPolicy",
    "RestartRule",
    "Runner",
    "SafeChildWatcher",
    "ServiceSpec",
    "SharedEventLoopPolicy",
    "StatusLost",
    "Supervisor",
    "TaskScheduler",
    "TaskWatcher",
    "ThreadedChildWatcher",
    "ThreadedEventLoopPolicy",
    "UvloopEventLoopPolicy",
    "add_child_handler",
    "check",
    "cmd",
    "deadline",
    "default_watcher",
    "get_child_watcher",
    "get_event_loop",
    "get_event_loop_policy",
    "group",
    "groups",
    "guard",
    "install",
    "keep",
    "new_event_loop",
    "on",
    "pipeline",
    "policy",
    "policy_from",
    "priority",
    "remove_child_handler",
    "run",
    "schedule",
    "set_child_watcher",
    "set_event_loop",
    "set_event_loop_policy",
    "spawn",
    "submit",
    "task_limit",
    "uninstall",
]

#: Where the names above come from: the first of these that has one, so that `run` is the policies'.
_LAYERS = ("errors", "policies", "loops", "watchers", "process", "observe", "supervision")

if not TYPE_CHECKING:  # or a type checker would believe that every name is there
    # Imported at once, all of it takes a third of a second, and only then could a command see to its signals. Python's
    # own answer to Ctrl-C is no good there: after each import a weak reference's callback frees a lock, and a
    # KeyboardInterrupt that falls into that is printed and forgotten. Of three hundred one did.
    def __getattr__(name):
        if name in _LAYERS:
            return importlib.import_module(f"{__name__}.{name}")
        if name in __all__:
            for layer in _LAYERS:
                module = importlib.import_module(f"{__name__}.{layer}")
                if name in module.__all__:
                    found = globals()[name] = getattr(module, name)
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__, *_LAYERS})

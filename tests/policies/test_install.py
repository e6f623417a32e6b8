from __future__ import annotations

import asyncio
import asyncio.events
import pkgutil
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from loopwright import watchers
from loopwright.errors import (
    InstallError,
    LoopRunningError,
    NotAPolicyError,
    PolicyConfigurationError,
    PolicyOptionError,
)
from loopwright.loops import _asyncio_private as private
from loopwright.policies import (
    AbstractEventLoopPolicy,
    DefaultEventLoopPolicy,
    EventLoopPolicy,
    get_child_watcher,
    get_event_loop_policy,
    install,
    installed,
    set_child_watcher,
    set_event_loop_policy,
    uninstall,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

now: Any = asyncio  # what it has depends on whether we are installed


def namespaces() -> dict[str, dict[str, Any]]:
    """Everything that stands in asyncio: in its modules, and in the classes there. And who finds modules."""
    found = {"finders": {str(place): finder for place, finder in enumerate(sys.meta_path)}}
    modules = [
        asyncio,
        *(import_module(f"asyncio.{m.name}") for m in pkgutil.iter_modules(asyncio.__path__) if is_plain(m)),
    ]
    for module in modules:
        found[module.__name__] = dict(vars(module))
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                found[f"{module.__name__}.{name}"] = dict(vars(value))
    return found


def is_plain(module: pkgutil.ModuleInfo) -> bool:
    return module.name not in ("__main__", "tools") and "windows" not in module.name


def differences(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Where the two are not the very same objects, in the same places."""
    gone = object()
    return [
        f"{where}.{name}"
        for where in {*before, *after}
        for name in {*before.get(where, {}), *after.get(where, {})}
        if before.get(where, {}).get(name, gone) is not after.get(where, {}).get(name, gone)
        and name != "_event_loop_policy"  # looked at by itself
    ]


@pytest.fixture(autouse=True)
def all_is_put_back() -> Iterator[None]:
    before = namespaces()
    yield
    assert differences(before, namespaces()) == []


async def running() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


class Loop(asyncio.SelectorEventLoop):
    pass


# --- what it does


def test_plain_asyncio_obeys_the_policy_that_was_given() -> None:
    policy = EventLoopPolicy(loop=Loop)
    install(policy)
    try:
        assert get_event_loop_policy() is policy is now.get_event_loop_policy()
        assert type(asyncio.run(running())) is Loop
        with asyncio.Runner() as runner:
            assert type(runner.run(running())) is Loop
        loop = asyncio.new_event_loop()
        assert type(loop) is Loop
        asyncio.set_event_loop(loop)
        assert asyncio.get_event_loop() is loop
        asyncio.set_event_loop(None)
        loop.close()
    finally:
        uninstall()
    assert private.installed_policy() is None


def test_a_policy_is_also_given_by_name() -> None:
    with installed("selector") as policy:
        assert type(policy) is EventLoopPolicy
        assert isinstance(asyncio.run(running()), asyncio.SelectorEventLoop)


def test_the_names_are_back_and_ours() -> None:
    with installed(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert now.DefaultEventLoopPolicy is DefaultEventLoopPolicy
        assert now.AbstractEventLoopPolicy is AbstractEventLoopPolicy is now.events.AbstractEventLoopPolicy
        assert issubclass(now.events.BaseDefaultEventLoopPolicy, AbstractEventLoopPolicy)
        for name in ("SafeChildWatcher", "FastChildWatcher", "PidfdChildWatcher"):
            assert getattr(now, name) is getattr(watchers, name)
            assert isinstance(getattr(now.unix_events, name), type)
            assert issubclass(getattr(now, name), now.AbstractChildWatcher)
        assert now.get_child_watcher is get_child_watcher is now.events.get_child_watcher
        assert now.set_event_loop_policy is set_event_loop_policy
        star: dict[str, Any] = {}
        exec("from asyncio import *", star)
        assert star["MultiLoopChildWatcher"] is watchers.MultiLoopChildWatcher
        for module in (asyncio, now.events, now.unix_events):
            assert all(hasattr(module, name) for name in module.__all__)
            assert len(set(module.__all__)) == len(module.__all__)


def test_without_names_asyncio_is_only_steered() -> None:
    before = namespaces()
    with installed(EventLoopPolicy(loop=Loop), names=False):
        assert type(asyncio.run(running())) is Loop
        changed = differences(before, namespaces())
    assert not [name for name in changed if "atcher" in name or name.endswith("Policy")]


def test_windows_names_are_not_put_where_asyncio_never_had_them() -> None:
    if sys.platform == "win32":
        pytest.skip("they belong there")
    with installed():
        assert not hasattr(asyncio, "WindowsSelectorEventLoopPolicy")


def test_a_policy_derived_from_asyncios_is_one_before_and_afterwards() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        earlier: type[Any] = type("Earlier", (now.DefaultEventLoopPolicy,), {"new_event_loop": lambda self: Loop()})
    with installed():
        later: type[Any] = type("Later", (now.DefaultEventLoopPolicy,), {"new_event_loop": lambda self: Loop()})
        by_factory: type[Any] = type("ByFactory", (now.DefaultEventLoopPolicy,), {"_loop_factory": Loop})
        for kind in (earlier, later, by_factory):
            assert issubclass(kind, now.AbstractEventLoopPolicy)
            now.set_event_loop_policy(kind())
            assert type(asyncio.run(running())) is Loop
        now.set_event_loop_policy(None)
        assert type(now.get_event_loop_policy()) is DefaultEventLoopPolicy
        now.set_event_loop_policy(mine := later())
    assert private.installed_policy() is mine  # set by somebody else, so it stays
    assert type(asyncio.run(running())) is Loop


def test_none_set_makes_ours_also_where_asyncio_asks() -> None:
    with installed():
        now.set_event_loop_policy(None)
        asyncio.run(running())
        assert type(private.installed_policy()) is DefaultEventLoopPolicy


def test_subprocesses_of_any_standard_loop_are_the_policys_watchers_business() -> None:
    with installed():
        seen: list[int] = []

        class Watcher(watchers.ThreadedChildWatcher):
            def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
                seen.append(pid)
                super().add_child_handler(pid, callback, *args)

        watcher = Watcher()
        now.set_child_watcher(watcher)
        assert now.get_child_watcher() is watcher

        async def start() -> int:
            process = await asyncio.create_subprocess_exec("true")
            assert process.pid in seen
            return await process.wait()

        with asyncio.Runner(loop_factory=Loop) as runner:
            assert runner.run(start()) == 0
        set_child_watcher(None)
    assert len(seen) == 1


# --- wrong order, wrong time, wrong arguments


def test_twice_is_refused() -> None:
    with installed(policy := EventLoopPolicy()):
        before = namespaces()
        with pytest.raises(InstallError, match="already; call uninstall"):
            install()
        assert differences(before, namespaces()) == []
        assert get_event_loop_policy() is policy
    with installed():
        pass  # and again, afterwards


def test_uninstall_without_install_is_refused() -> None:
    with pytest.raises(InstallError, match="not installed"):
        uninstall()


def test_uninstall_is_refused_while_somebody_elses_name_stands_there() -> None:
    install()
    ours = now.set_event_loop_policy
    now.set_event_loop_policy = theirs = lambda policy: ours(policy)
    before = namespaces()
    with pytest.raises(InstallError, match=r"^asyncio\.set_event_loop_policy: no longer what install\(\) put there"):
        uninstall()
    assert differences(before, namespaces()) == []
    assert now.set_event_loop_policy is theirs
    now.set_event_loop_policy = ours
    uninstall()


def test_neither_is_done_while_a_loop_runs() -> None:
    async def main(function: Any) -> str:
        before = namespaces()
        with pytest.raises(LoopRunningError) as raised:
            function()
        assert differences(before, namespaces()) == []
        return str(raised.value)

    assert "install() was called while" in asyncio.run(main(install))
    with installed():
        assert "uninstall() was called while" in asyncio.run(main(uninstall))


@pytest.mark.parametrize(
    ("policy", "rules", "error", "match"),
    [
        (3, None, NotAPolicyError, "not 3"),
        ("uvlop", None, PolicyConfigurationError, "uvloop"),
        ("selector; max_task=1", None, PolicyConfigurationError, "max_tasks"),
        (None, "3.1", PolicyOptionError, "3.11"),
        (None, 3.11, PolicyOptionError, "the string '3.11'"),
    ],
)
def test_bad_arguments_change_nothing(policy: Any, rules: Any, error: type[Exception], match: str) -> None:
    before = namespaces()
    with pytest.raises(error, match=match):
        install(policy, rules=rules)
    assert differences(before, namespaces()) == []
    assert private.installed_policy() is None
    with pytest.raises(InstallError):
        uninstall()


def test_the_policy_that_was_set_before_comes_back() -> None:
    set_event_loop_policy(before := EventLoopPolicy())
    with installed() as kept:
        assert kept is before
    with installed(EventLoopPolicy(loop=Loop)):
        pass
    assert get_event_loop_policy() is before


def test_in_a_block_that_raises_it_is_put_back_as_well() -> None:
    with pytest.raises(ZeroDivisionError), installed():
        _ = 1 / 0
    with pytest.raises(InstallError):
        uninstall()

"""Event loops by name, by class or by factory: whatever says "such a loop, please" becomes a callable that
makes one.

A loop's package is imported when the loop is asked for, never before.
"""

from __future__ import annotations

import asyncio
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from loopwright.errors import LoopUnavailableError, NotALoopError, UnknownLoopError, WrongPlatformError
from loopwright.loops._native_loop import NativeEventLoop
from loopwright.loops._native_obstacle import native_obstacle

__all__ = [
    "NATIVE",
    "LoopFactory",
    "LoopLike",
    "LoopReport",
    "available_loops",
    "loop_factory",
    "loop_names",
    "queues_by_itself",
    "watches_by_itself",
]

NATIVE: Final = "native"

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
"""What makes a new event loop at each call."""

LoopLike: TypeAlias = str | type[asyncio.AbstractEventLoop] | LoopFactory
"""What `loop_factory()` understands: a loop's name, its class, or a callable that makes one."""


@dataclass(frozen=True, slots=True)
class LoopReport:
    """Whether one of the loops known by name can be used here."""

    name: str
    available: bool
    detail: str
    """What it is and its version if it is available, else why it is not and what to do."""


def loop_names() -> tuple[str, ...]:
    """The names that `loop_factory()` knows on any platform, installed or not, aliases last."""
    return (*_NAMED, *_ALIASES)


def available_loops() -> tuple[LoopReport, ...]:
    """Every loop known by name (without aliases), and whether it can be used here.

    Each is really tried, so this imports the packages of those that are installed, and runs a native loop for a moment
    (in a thread of its own, so that a running loop may ask).
    """
    return tuple(_report(name) for name in _NAMED)


def loop_factory(loop: LoopLike) -> LoopFactory:
    """A callable that makes a new event loop at each call, from any thread.

    `loop` is a name ("asyncio", or its alias "default", for the platform's standard loop; "selector";
    "native" for `NativeEventLoop`; "proactor" and "winloop" on Windows; "uvloop"; "rloop"), a class of loops, or a
    callable without arguments that returns a new loop.

    UnknownLoopError if no loop has that name; LoopUnavailableError if it is not installed, not built or not for this
    platform, saying what to do; NotALoopError (a TypeError) if `loop` is none of the three, and from the
    returned callable if a factory returns something that is no `asyncio.AbstractEventLoop`.
    """
    if isinstance(loop, str):
        return _checked(_find(loop), f"the loop {loop!r}")
    if isinstance(loop, type):
        if not issubclass(loop, asyncio.AbstractEventLoop):
            raise NotALoopError(f"the class {loop.__qualname__} is not one of event loops (asyncio.AbstractEventLoop)")
        return _checked(loop, f"the class {loop.__qualname__}")
    if isinstance(loop, asyncio.AbstractEventLoop):
        raise NotALoopError(
            f"{loop!r} is one event loop, where something that makes new ones is needed: its class, a name"
            f" ({', '.join(loop_names())}) or a callable that returns a new loop"
        )
    if not callable(loop):
        raise NotALoopError(
            f"an event loop is given by name ({', '.join(loop_names())}), as its class,"
            f" or as a callable that returns a new one, not as {loop!r}"
        )
    return _checked(loop, f"the loop factory {getattr(loop, '__qualname__', None) or repr(loop)}")


def watches_by_itself(loop: LoopLike | asyncio.AbstractEventLoop | type) -> str | None:
    """The name of the package, if these loops hear of their subprocesses' exits by means of their own and never
    ask a child watcher; else None.

    So do uvloop, rloop and winloop, on every Python, and they queue what is ready by themselves, too, so that no
    scheduler can order it. A `NativeEventLoop` asks a watcher, as asyncio's own loops do. A class may also be that of a
    policy which makes such loops. Of a factory only its module can be known before it was called; give what it made to
    be sure.
    """
    if isinstance(loop, str):
        name = _ALIASES.get(loop, loop)
        return name if name in _COMPILED else None
    if isinstance(loop, asyncio.AbstractEventLoop):
        loop = type(loop)
    makers = loop.__mro__ if isinstance(loop, type) else (loop,)
    packages = (str(getattr(maker, "__module__", "")).partition(".")[0] for maker in makers)
    return next((package for package in packages if package in _COMPILED), None)


def queues_by_itself(loop: LoopLike | asyncio.AbstractEventLoop | type) -> str | None:
    """Whose loops these are, if no scheduler can put their tasks in order: the name of a package, or "native"."""
    kind = loop if isinstance(loop, type) else type(loop)
    if loop == NATIVE or issubclass(kind, NativeEventLoop):
        return NATIVE
    return watches_by_itself(loop)


def _checked(make: Callable[[], Any], described: str) -> LoopFactory:
    def new_loop() -> asyncio.AbstractEventLoop:
        loop = make()
        if not isinstance(loop, asyncio.AbstractEventLoop):
            if inspect.iscoroutine(loop):
                loop.close()  # or Python would say later that it was never awaited, which is not the mistake
                raise NotALoopError(f"{described} is a coroutine function; it must be a plain one")
            raise NotALoopError(f"{described} returned {loop!r}, which is no event loop (asyncio.AbstractEventLoop)")
        return loop

    return new_loop


def _find(name: str) -> Callable[[], Any]:
    known = _NAMED.get(_ALIASES.get(name, name))
    if known is None:
        near = difflib.get_close_matches(name.strip().lower(), loop_names(), n=1)
        if not near and name.rpartition(":")[2].rpartition(".")[2] == NativeEventLoop.__name__:
            near = [NATIVE]  # by its class's name, as servers take it
        hint = f"did you mean {near[0]!r}? " if near else ""
        if ";" in name or "=" in name:
            hint = "words that say more than the loop are for loopwright.policy_from(); "
        raise UnknownLoopError(f"no event loop is called {name!r}; {hint}there are: {', '.join(loop_names())}")
    return known()


def _report(name: str) -> LoopReport:
    try:
        made_by = _find(name)
    except LoopUnavailableError as error:
        return LoopReport(name, False, str(error))
    if made_by is NativeEventLoop:
        return _native_report()
    # new_event_loop is a function of uvloop's and rloop's package; the standard loops are classes of asyncio's.
    package = made_by.__module__.partition(".")[0]
    version = getattr(sys.modules[package], "__version__", f"Python {sys.version.split()[0]}")
    what = made_by.__name__.lstrip("_") if isinstance(made_by, type) else package
    return LoopReport(name, True, f"{what} {version}" if what == package else f"{what} of {version}")


def _native_report() -> LoopReport:
    from concurrent.futures import ThreadPoolExecutor  # here, as whoever only wants a loop needs neither
    from importlib.metadata import version

    with ThreadPoolExecutor(1) as elsewhere:
        try:
            precise = elsewhere.submit(_tried).result()
        except Exception as error:  # noqa: BLE001 - whatever the machine may do to it, this is to tell
            return LoopReport(NATIVE, False, f"the loop 'native' fails here ({type(error).__name__}: {error})")
    what = f"NativeEventLoop of Loopwright {version('loopwright')}"
    coarse = "; timers to the millisecond, for want of epoll_pwait2(2): Linux 5.11, allowed by the sandbox"
    return LoopReport(NATIVE, True, what if precise else f"{what}{coarse}")


def _tried() -> bool:
    """Whether a native loop, which is made and run here for a moment, has timers that are finer than a millisecond."""
    loop = NativeEventLoop()
    try:
        loop.run_until_complete(asyncio.sleep(1e-5))
        return not loop._poller.without_pwait2
    finally:
        loop.close()


def _native() -> Callable[[], Any]:
    obstacle = native_obstacle()
    if obstacle is not None:
        raise obstacle
    return NativeEventLoop


def _standard() -> Callable[[], Any]:
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    return asyncio.SelectorEventLoop


def _selector() -> Callable[[], Any]:
    return asyncio.SelectorEventLoop


def _proactor() -> Callable[[], Any]:
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    raise WrongPlatformError(
        f"the loop 'proactor' is built on Windows' completion ports and this is {sys.platform}; use 'selector'"
    )


def _uvloop() -> Callable[[], Any]:
    return _for_unix("uvloop", "'winloop', which is uvloop for Windows, or 'asyncio'")


def _rloop() -> Callable[[], Any]:
    return _for_unix("rloop", "'asyncio'")


def _for_unix(name: str, instead: str) -> Callable[[], Any]:
    if sys.platform == "win32":
        raise WrongPlatformError(f"the loop {name!r} is not made for Windows; use {instead}")
    return _of_package(name)


def _winloop() -> Callable[[], Any]:
    if sys.platform == "win32":
        return _of_package("winloop")
    raise WrongPlatformError(f"the loop 'winloop' is made for Windows and this is {sys.platform}; use 'uvloop'")


def _of_package(name: str) -> Callable[[], Any]:
    """`new_event_loop` of a package that goes by its loop's name."""
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise _broken(name, error) from error
        raise LoopUnavailableError(
            f"the loop {name!r} is not installed for this Python; install it with: pip install {name}",
            name=name,
        ) from error
    except ImportError as error:
        raise _broken(name, error) from error
    # Not its EventLoopPolicy: with warnings as errors, touching that name raises on 3.15.
    made_by: Callable[[], Any] = package.new_event_loop
    return made_by


def _broken(package: str, error: ImportError) -> LoopUnavailableError:
    return LoopUnavailableError(
        f"the loop {package!r} is installed but does not load ({error}); try: pip install --force-reinstall {package}",
        name=package,
    )


_NAMED: dict[str, Callable[[], Callable[[], Any]]] = {
    "asyncio": _standard,
    "selector": _selector,
    NATIVE: _native,
    "proactor": _proactor,
    "uvloop": _uvloop,
    "rloop": _rloop,
    "winloop": _winloop,
}
_ALIASES = {"default": "asyncio"}
#: What they have of their own: how they hear of their subprocesses' ends, and the queue of what is ready.
_COMPILED = frozenset({"uvloop", "rloop", "winloop"})

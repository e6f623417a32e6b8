"""Policies from words: text, a table, the environment variable LOOPWRIGHT_POLICY."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import importlib.util
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

from loopwright._core import scheduler_named
from loopwright.errors import CallerError, LoopUnavailableError, PolicyConfigurationError
from loopwright.loops import loop_factory, loop_names, watches_by_itself
from loopwright.loops._asyncio_private import PolicyBase
from loopwright.policies._abstract import checked_policy
from loopwright.policies._named import DefaultEventLoopPolicy
from loopwright.policies._policy import EventLoopPolicy
from loopwright.policies._setting_values import Unfit, is_reference, named_policies, plain, show, word_of
from loopwright.policies._settings import PolicyMistake, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loopwright.policies._settings import Settings

__all__ = [
    "VARIABLE",
    "PolicyLike",
    "close_policy",
    "default_policy",
    "policy_and_maker",
    "policy_from",
    "policy_obstacle",
]

#: The environment variable that says which policy to use where none was set.
VARIABLE: Final = "LOOPWRIGHT_POLICY"

#: How much of what another exception says is told; it may be of any size.
LONGEST: Final = 500

PolicyLike: TypeAlias = str | Mapping[str, Any] | PolicyBase | type[PolicyBase] | None
"""What `policy_from()` understands."""

AnyPolicy = TypeVar("AnyPolicy", bound=PolicyBase)


@overload
def policy_from(value: str | Mapping[str, Any] | None) -> EventLoopPolicy: ...
@overload
def policy_from(value: type[AnyPolicy]) -> AnyPolicy: ...
@overload
def policy_from(value: AnyPolicy) -> AnyPolicy: ...
@overload
def policy_from(value: PolicyLike) -> PolicyBase: ...
def policy_from(value: PolicyLike) -> PolicyBase:
    """The policy that `value` asks for.

    - Text: parts with semicolons between them, `shared; max_tasks=100` or `loop=selector; scope=context`. The first
      may be a name alone: of a policy (`uvloop` for UvloopEventLoopPolicy), of a loop, or of a scheduler. The keys are
      `name`, `loop`, `scope`, `scheduler`, `max_tasks` and `rules`, with what `EventLoopPolicy` takes. A policy, loop
      or scheduler of one's own goes by `module:attribute`, which is imported now, with the rights of this process.
    - A mapping with the same keys, such as a TOML table; `loop` and `scheduler` may also be objects.
    - A policy is given back as it is, a class of policies is called, and None is `default_policy()`.

    Words are typed as giving an `EventLoopPolicy`, which all do but `module:attribute` of a policy that is no such one.

    PolicyConfigurationError (a ValueError) with everything that is wrong with text or a mapping, each with its key,
    what was found and what would be right. LoopUnavailableError (an ImportError) if nothing is wrong, but the loop is
    not installed or not for this platform. NotAPolicyError (a TypeError) for anything else. Any thread may call this.
    """
    return policy_and_maker(value)[0]


def default_policy() -> PolicyBase:
    """A new policy as it is to be where none was set: what the environment variable LOOPWRIGHT_POLICY asks for in words
    that `policy_from()` takes, or a `DefaultEventLoopPolicy` if it is not set, or empty.

    It is read now and not remembered. PolicyConfigurationError, or LoopUnavailableError, each of which names the
    variable, if it cannot be followed.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return DefaultEventLoopPolicy()
    try:
        return _made(text, VARIABLE)[0]
    except LoopUnavailableError as error:
        raise type(error)(f"{VARIABLE}={show(text)}: {error}", name=error.name) from error


def policy_obstacle(text: str) -> str | None:
    """Why a policy that is written rightly cannot be had on this Python, as far as that shows without importing what it
    names: the package of a loop, or something of a program's own. None if nothing is known against it.
    """
    settings, _ = read(text)
    given = (settings.name, settings.loop, settings.scheduler)
    if any(isinstance(each, str) and is_reference(each) for each in given):
        return None
    loop = settings.loop or word_of(settings.name or "")
    package = watches_by_itself(loop) if isinstance(loop, str) else None
    if package is not None and importlib.util.find_spec(package) is not None:
        return None
    try:
        _made(text, "policy")
    except (LoopUnavailableError, PolicyConfigurationError) as error:
        return str(error)
    return None


def policy_and_maker(value: PolicyLike) -> tuple[PolicyBase, bool]:
    """What `policy_from()` gives, and whether it was made now, so that whoever asked for it should close it."""
    if value is None:
        return default_policy(), True
    if isinstance(value, str | Mapping):
        return _made(value, "policy")
    if isinstance(value, type) and issubclass(value, PolicyBase):
        return checked_policy(value()), True
    return checked_policy(value), False


def close_policy(policy: Any) -> None:
    """Close a policy that was made here, if it has a `close()`; those written for asyncio have none."""
    close = getattr(policy, "close", None)
    if close is not None:
        close()


def _made(value: str | Mapping[str, Any], source: str) -> tuple[PolicyBase, bool]:
    settings, mistakes = read(value, source)
    looked_up = _LookUp(source, mistakes)
    parts = settings.parts()
    for key, check in (("loop", _a_loop), ("scheduler", _a_scheduler)):
        if key in parts:
            parts[key] = looked_up(key, parts[key], check)
    own = looked_up("name", settings.name, _a_policy)
    looked_up.raise_mistakes()
    if isinstance(own, PolicyBase):
        for key, given in parts.items():
            looked_up.note(key, show(given), f"a class for {show(settings.name)}, which can take it, or no {key}")
        looked_up.raise_mistakes()
        return own, False
    try:
        made = _maker(settings, own)(**_named_parts(settings, parts))
    except LoopUnavailableError:
        raise
    except Exception as error:
        told = error if isinstance(error, CallerError) else f"{type(error).__name__}: {_line(error)}"
        looked_up.note("", f"no policy can be made of {show(str(settings))}: {told}", "")
        raise PolicyConfigurationError(looked_up.mistakes) from error
    if not isinstance(made, PolicyBase):
        if isinstance(made, asyncio.AbstractEventLoop):
            made.close()  # somebody has left out `loop=`
        looked_up.note("name", f"{show(settings.name)}, which made {_shown(made)}", "what makes an event loop policy")
        looked_up.raise_mistakes()
    return made, True


class _LookUp:
    """Looks up what goes by `module:attribute`, and gathers what is wrong with it behind what is known to be wrong."""

    def __init__(self, source: str, mistakes: Iterable[PolicyMistake]) -> None:
        self._source = source
        self.mistakes = list(mistakes)
        self._cause: BaseException | None = None

    def __call__(self, key: str, given: Any, check: Callable[[Any], Any]) -> Any:
        """What `given` stands for, if it stands for something; None if that is wrong."""
        if not (isinstance(given, str) and is_reference(given)):
            return given
        try:
            return check(_imported(given))
        except Unfit as unfit:
            self.note(key, f"{show(given)}, {unfit.found}", unfit.right)
            self._cause = self._cause or unfit.__cause__
            return None

    def note(self, key: str, found: str, right: str) -> None:
        self.mistakes.append(PolicyMistake(self._source, key, found, right))

    def raise_mistakes(self) -> None:
        if self.mistakes:
            raise PolicyConfigurationError(self.mistakes) from self._cause


def _maker(settings: Settings, own: Any) -> Callable[..., Any]:
    """What is called to make the policy."""
    if settings.name is None:
        return EventLoopPolicy
    if is_reference(settings.name):
        maker: Callable[..., Any] = own
        return maker
    return named_policies().get(word_of(settings.name), EventLoopPolicy)


def _named_parts(settings: Settings, parts: dict[str, Any]) -> dict[str, Any]:
    """The parts, with what a name that is no policy's stands for."""
    name = settings.name
    if name is None or is_reference(name) or word_of(name) in named_policies():
        return parts
    return parts | {"loop" if name in loop_names() else "scheduler": name}


# --- module:attribute


def _imported(reference: str) -> Any:
    """What it stands for. `Unfit`, with the exception of its import as the cause, if that cannot be had."""
    name, _, path = reference.partition(":")
    try:
        found: Any = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a script that has no `if __name__ == "__main__"` may end itself
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            what, right = f"where there is no module {error.name}", "a module that this Python finds (sys.path)"
        else:
            what = f"whose module fails when it is imported ({type(error).__name__}: {_line(error)})"
            right = "a module that can be imported"
        raise Unfit(right, what) from error
    attributes = path.split(".")
    for number, attribute in enumerate(attributes):
        try:
            found = getattr(found, attribute)
        except Exception as error:
            near = difflib.get_close_matches(attribute, dir(found), 1, 0.8)  # not os.open for os:nope
            right = "a name that is there"
            if near:
                right = f"{name}:{'.'.join([*attributes[:number], near[0], *attributes[number + 1 :]])}"
            raise Unfit(right, f"and there is no {show(attribute)} there") from error
    return found


def _a_loop(found: Any) -> Any:
    right = "a class of event loops, or a callable that makes one"
    if isinstance(found, str):
        raise Unfit(right, f"which is {_shown(found)}")
    try:
        loop_factory(found)
    except CallerError as error:
        raise Unfit(right, f"which is {_shown(found)}") from error
    return found


def _a_scheduler(found: Any) -> Any:
    right = "a TaskScheduler, or a class of such that can be called without arguments"
    if found is None or isinstance(found, str):
        raise Unfit(right, f"which is {_shown(found)}")
    try:
        return scheduler_named(found() if isinstance(found, type) else found)
    except Exception as error:
        raise Unfit(right, f"which is {_shown(found)}") from error


def _a_policy(found: Any) -> Any:
    if isinstance(found, PolicyBase) or callable(found):
        return found
    raise Unfit("an event loop policy, its class, or a callable that makes one", f"which is {_shown(found)}")


def _shown(found: Any) -> str:
    return f"{show(found)} (of type {type(found).__name__})"


def _line(error: BaseException) -> str:
    return plain(" ".join(str(error).split()), LONGEST)

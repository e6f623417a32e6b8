"""`loopwright run`: a program that knows nothing of Loopwright, by the current policy, and an old one by old rules.

Theory of operation. The program is to find itself in what `python script.py` would have given it, so what CPython does
there (Modules/main.c, `pymain_run_python`) is done here in the same order: a `__main__` of its own in `sys.modules`
that stays there to the end of the process, for pickles, for `multiprocessing` and for threads that outlive the last
line of the script; `sys.argv` and `sys.path[0]`; then its code in that module. Modules, folders and archives go the way
that CPython sends them, `runpy._run_module_as_main`. Rejected: `runpy.run_path()`, whose `__main__` is gone when the
last line is done, while threads and `atexit` functions still run.

What the program raises goes on through this module to the interpreter, which alone can do what is expected then: the
status of SystemExit, the death by SIGINT after KeyboardInterrupt, threads and `atexit` after the traceback. Only the
traceback is shortened, by a `sys.excepthook` that is put before the program's own when nothing can replace it any more.
"""

from __future__ import annotations

import difflib
import functools
import importlib.machinery
import io
import os
import pkgutil
import sys
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from loopwright.cli._run_children import have_children_follow
from loopwright.errors import LoopwrightError
from loopwright.policies import install

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType
    from typing import NoReturn

__all__ = ["USAGE", "Request", "parse", "run"]

USAGE = """\
usage: loopwright run [--policy POLICY] [--legacy] SCRIPT [ARGUMENT ...]
       loopwright run [--policy POLICY] [--legacy] -m MODULE [ARGUMENT ...]
       loopwright run [--policy POLICY] [--legacy] -c CODE [ARGUMENT ...]

Runs a Python program, unchanged, with the event loop policy of your choice: as `python SCRIPT` does, but asyncio obeys
the policy. SCRIPT may also be a folder or a zip archive with a __main__.py in it, or - for standard input.

  --policy POLICY  which policy: a name (uvloop, priority, ...) or parts with semicolons between them
                   ("uvloop; max_tasks=100"); without it, what the environment variable LOOPWRIGHT_POLICY says, else
                   the default one
  --legacy         as on Python 3.11: asyncio has the names that later versions removed (policies, child watchers), and
                   get_event_loop() makes a loop where the main thread has none
  -h, --help       this text

Options of Python itself go before: python -W error -m loopwright run SCRIPT
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    kind: str
    """"script", "module" or "code"."""
    what: str
    arguments: tuple[str, ...] = ()
    policy: str | None = None
    legacy: bool = False


class _UsageError(Exception):
    """The command line is not one; the message says why."""


def parse(arguments: Sequence[str]) -> Request | None:
    """What the arguments after `loopwright run` ask for; None for help. _UsageError if that cannot be said."""
    rest = list(arguments)
    policy: str | None = None
    legacy = False
    while rest:
        option = rest.pop(0)
        if option in ("-h", "--help"):
            return None
        if option == "--legacy":
            legacy = True
        elif option == "--policy" or option.startswith("--policy="):
            policy = option.partition("=")[2] if "=" in option else _value(option, rest)
        elif option in ("-m", "-c"):
            what = _value(option, rest)
            return Request("module" if option == "-m" else "code", what, tuple(rest), policy, legacy)
        elif option == "--" and rest:
            return Request("script", rest[0], tuple(rest[1:]), policy, legacy)
        elif option.startswith("-") and option != "-":
            raise _UsageError(f"no such option {option!r}; {_hint(option)}")
        else:
            return Request("script", option, tuple(rest), policy, legacy)
    raise _UsageError("a script is missing, or -m and a module")


def _hint(option: str) -> str:
    near = difflib.get_close_matches(option, ("--policy", "--legacy", "--help"), 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return (
        "there are --policy, --legacy, -m and -c, and options of Python itself go before:"
        " python -W error -m loopwright run ..."
    )


def _value(option: str, rest: list[str]) -> str:
    if not rest:
        raise _UsageError(f"{option} needs something after it")
    return rest.pop(0)


def run(arguments: Sequence[str]) -> None:
    """Run the program that the arguments after `loopwright run` name; for the main thread, as the last thing it does.

    Returns when the program has come to its end, and raises what the program raises. SystemExit with status 2, after a
    sentence on standard error, for a command line that is none, and for a policy or a script that cannot be had.
    """
    try:
        request = parse(arguments)
        if request is None:
            print(USAGE, end="")
            return
        start = _prepared(request)
        # Only now: a policy of the program's own is in a module that is found where the program's modules are.
        install(request.policy, rules="3.11" if request.legacy else None, names=request.legacy)
    except _UsageError as error:
        usage = USAGE.partition("\n\n")[0]
        _refuse(f"{error}\n{usage}")
    except LoopwrightError as error:
        _refuse(str(error))
    if request.policy is not None:
        os.environ["LOOPWRIGHT_POLICY"] = request.policy  # for Python children that have Loopwright, too
    have_children_follow(legacy=request.legacy)
    start()


def _prepared(request: Request) -> Callable[[], None]:
    """Makes the process look as it does to that program at its start; gives what runs it."""
    if request.kind == "module":
        _begin("-m", request.arguments, _folder_of_module())
        return functools.partial(_run_module, request.what)
    if request.kind == "code":
        _begin("-c", request.arguments, "")
        return functools.partial(_run_code, request.what.encode("utf-8", "surrogateescape") + b"\n", "<string>")
    if request.what == "-":
        main = _begin("-", request.arguments, "")
        main.__file__ = "<stdin>"
        _no_cached(main)
        return lambda: _run_code(sys.stdin.buffer.read(), "<stdin>")
    if pkgutil.get_importer(request.what) is not None:  # a folder or an archive
        _begin(request.what, request.arguments, _absolute(request.what), always=True)
        return functools.partial(_run_module, "__main__", alter_argv=False)
    return _prepared_script(request)


def _refuse(why: str) -> NoReturn:
    print(f"loopwright run: {why}", file=sys.stderr)
    raise SystemExit(2)


def _folder_of_module() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - as CPython does it: a str for sys.path
    except OSError:  # the folder was deleted
        return ""


def _begin(argv0: str, arguments: Sequence[str], folder: str, *, always: bool = False) -> ModuleType:
    """Make the process look as it does to a program at its start; returns its `__main__`."""
    sys.argv[:] = [argv0, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = folder  # where the `loopwright` command is, or the folder of `python -m loopwright`
    elif always:
        sys.path.insert(0, folder)
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    main.__loader__ = importlib.machinery.BuiltinImporter
    sys.modules["__main__"] = main
    return main


def _run_module(name: str, *, alter_argv: bool = True) -> None:
    import runpy

    with _OwnFramesHidden(sys._getframe()):
        runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined] # what `python -m` calls


def _prepared_script(request: Request) -> Callable[[], None]:
    path = _absolute(request.what)
    try:
        with io.open_code(path) as file:
            content = file.read()
    except OSError as error:
        _refuse(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}")
    # The folder of what a link leads to, though the link's name is kept: pathconfig.c, _PyPathConfig_ComputeSysPath0.
    main = _begin(request.what, request.arguments, os.path.dirname(os.path.realpath(path)))  # noqa: PTH120 - a str
    compiled = _compiled(content)
    loader = importlib.machinery.SourceFileLoader if compiled is None else importlib.machinery.SourcelessFileLoader
    main.__file__ = path
    main.__loader__ = loader("__main__", path)
    _no_cached(main)
    return functools.partial(_run_code, content if compiled is None else compiled, path)


def _absolute(path: str) -> str:
    """As CPython does it: put after the current folder, and otherwise left as it is."""
    return os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - as said


def _no_cached(main: ModuleType) -> None:
    if sys.version_info < (3, 15):
        vars(main)["__cached__"] = None


def _compiled(content: bytes) -> CodeType | None:
    """The code, if this is what is in a .pyc file of this Python; else None."""
    import importlib.util
    import marshal

    if not content.startswith(importlib.util.MAGIC_NUMBER):
        return None
    code: CodeType = marshal.loads(content[16:])  # noqa: S302 - as CPython does: it is a program that one wants to run
    return code


def _run_code(source: bytes | CodeType, name: str) -> None:
    namespace = sys.modules["__main__"].__dict__
    with _OwnFramesHidden(sys._getframe()):
        code = source if isinstance(source, CodeType) else compile(source, name, "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - that is what it is for


class _OwnFramesHidden:
    """For a block in the given frame: what is raised in it will be shown as if that frame had been the interpreter."""

    def __init__(self, frame: FrameType) -> None:
        self._frame: FrameType | None = frame

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SystemExit):
            self._frame = None
            return
        show = sys.excepthook

        def excepthook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> Any:
            while trace is not None and trace.tb_frame is not self._frame:
                trace = trace.tb_next
            trace = None if trace is None else trace.tb_next
            sys.excepthook = show
            sys.last_traceback = trace
            show(kind, value.with_traceback(trace), trace)

        # Up to 3.13, the interpreter does not keep what it calls, and the hook takes itself out of `sys`: it would be
        # freed in the middle of its work (seen: a segmentation fault on 3.12.1 and 3.13.0).
        _kept.append(excepthook)
        sys.excepthook = excepthook


_kept: list[object] = []

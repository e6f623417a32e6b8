"""The command line: `loopwright up`, `loopwright check`, `loopwright doctor`, `loopwright run`, `loopwright init`.

It needs what `pip install 'loopwright[supervisor]'` brings; `run`, `init` and the library underneath do not.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]

#: What the commands import, and the names under which packages that have it are installed.
NEEDED = {"click": "click", "dotenv": "python-dotenv", "msgspec": "msgspec", "rich": "rich"}


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its status.

    0 for what was asked for, 2 for what cannot be done as it was asked (an unknown option, a wrong configuration
    file, a missing package); the commands' own help tells the rest. For the main thread: signals are its to handle.
    """
    if sys.argv[1:2] == ["init"]:
        # Before anything else: it needs no package, and a signal that comes before it listens is lost to a process 1.
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        from loopwright.process._init import become

        become(sys.argv[2:])
    if sys.argv[1:2] == ["run"]:
        # Before signals are touched: they are the program's, and so is everything else from here on.
        from loopwright.cli._run import run

        run(sys.argv[2:])
        return
    # Whoever gives up while the rest is being imported is owed no traceback, and must not be overheard, as happens to a
    # KeyboardInterrupt there (`loopwright/__init__.py` says why). Commands that run for longer handle it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import importlib.util
    import io

    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        needs = f"loopwright: the command line needs {names}; install with: pip install 'loopwright[supervisor]'"
        print(needs, file=sys.stderr)
        raise SystemExit(2)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As Python does for standard error: a letter that the terminal lacks must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Only now: without these packages the import itself would fail, with a traceback.
    from loopwright.cli._main import loopwright

    loopwright(prog_name="loopwright")

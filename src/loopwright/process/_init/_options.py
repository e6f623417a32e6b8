"""The command line of `loopwright init`: strict about itself, and blind to whatever belongs to the command.

Not argparse, which costs a bare interpreter 3 MiB and 15 ms (it brings re and gettext), and abbreviates options.
"""

from __future__ import annotations

import signal

from ._rules import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GRACE = 5.0
LONGEST_GRACE = 86400.0

HELP = """\
Usage: loopwright init [OPTION...] [--] COMMAND [ARGUMENT...]

Runs COMMAND as the first process of a container should: signals are passed on to it, orphans are reaped, what it
leaves behind is ended, and its exit status becomes this program's.

  -g, --group             pass signals on to the command's whole process group, not to the command alone
  -r, --rewrite A:B       pass on signal B where signal A is received; B = 0: nothing. Names or numbers, repeatable
      --grace SECONDS     between SIGTERM and SIGKILL for what the command leaves behind (default: 5)
  -e, --expect STATUS     exit with 0 where the command's exit status is STATUS (143: ended by SIGTERM). Repeatable
  -s, --subreaper         reap orphans also where this is not process 1 (prctl(2), Linux 3.4)
  -p, --parent-death SIGNAL
                          receive SIGNAL, and pass it on, when the process that started this one ends
  -v, --verbose           say what is done, on standard error; twice: everything
  -q, --quiet             no warnings either
  -h, --help              this

Exits with the command's status (128 + n if signal n ended it), 127 if there is no such command, 126 if it cannot be
executed, 71 if the system has no room for a process, 2 if an option is wrong, 70 if all was well but something that
was left behind does not die of SIGKILL.
"""


class UsageError(Exception):
    """The command line is wrong; the text says where, and what would be right."""


class Options:
    """What was asked for."""

    __slots__ = ("command", "expected", "grace", "group", "help", "parent_death", "rewrites", "subreaper", "verbosity")

    def __init__(self) -> None:
        self.command: list[str] = []
        self.expected: set[int] = set()
        self.grace = GRACE
        self.group = False
        self.help = False
        self.parent_death: int | None = None
        self.rewrites: dict[int, int] = {}
        self.subreaper = False
        self.verbosity = 1


FLAGS = {
    "-g": "group", "--group": "group",
    "-s": "subreaper", "--subreaper": "subreaper",
    "-v": "verbose", "--verbose": "verbose",
    "-q": "quiet", "--quiet": "quiet",
    "-h": "help", "--help": "help",
}  # fmt: skip
VALUED = {
    "-r": "rewrite", "--rewrite": "rewrite",
    "--grace": "grace",
    "-e": "expect", "--expect": "expect",
    "-p": "parent-death", "--parent-death": "parent-death",
}  # fmt: skip


def read(arguments: Sequence[str]) -> Options:
    """Options up to the first word that is none, or to `--`; the rest is the command. UsageError if it cannot be."""
    options = Options()
    words = iter(arguments)
    for word in words:
        if word == "--":
            options.command = list(words)
            break
        if not word.startswith("-") or word == "-":
            options.command = [word, *words]
            break
        _option(options, word, words)
    if not options.command and not options.help:
        raise UsageError("no command was given: loopwright init [OPTION...] [--] COMMAND [ARGUMENT...]")
    return options


def _option(options: Options, word: str, words: Iterator[str]) -> None:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        if name in VALUED:
            _set(options, name, value if equals else _next(name, words))
            return
        if name in FLAGS and not equals:
            _flag(options, FLAGS[name])
            return
        why = f"{name} takes no value" if name in FLAGS else _unknown(name)
        raise UsageError(why)
    for place, letter in enumerate(word[1:], 2):
        name = f"-{letter}"
        if name in VALUED:  # the rest of the word, or the next one
            _set(options, name, word[place:] or _next(name, words))
            return
        if name not in FLAGS:
            raise UsageError(_unknown(name))
        _flag(options, FLAGS[name])


def _unknown(name: str) -> str:
    return (
        f"no such option: {name[:100]}; there are {', '.join(key for key in (*FLAGS, *VALUED) if key[1] == '-')}. "
        "Does it belong to a command whose name is missing before it?"
    )


def _next(name: str, words: Iterator[str]) -> str:
    for word in words:
        return word
    raise UsageError(f"{name} needs a value")


def _flag(options: Options, name: str) -> None:
    if name == "verbose":
        options.verbosity += 1
    elif name == "quiet":
        options.verbosity = 0
    else:
        setattr(options, name, True)


def _set(options: Options, name: str, value: str) -> None:
    meaning = VALUED[name]
    if meaning == "rewrite":
        received, sent = _rewrite(name, value)
        options.rewrites[received] = sent
    elif meaning == "grace":
        options.grace = _seconds(name, value)
    elif meaning == "expect":
        if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= 255):
            raise UsageError(f"{name} {value[:100]!r}: an exit status is a number from 0 to 255")
        options.expected.add(int(value))
    else:
        options.parent_death = _signal(f"{name} {value[:100]!r}", value)


def _rewrite(name: str, value: str) -> tuple[int, int]:
    received, colon, sent = value.partition(":")
    what = f"{name} {value[:100]!r}"
    if not colon:
        raise UsageError(f"{what}: must be two signals with a colon between, such as 15:3 or TERM:QUIT, or 15:0")
    number = _signal(what, received)
    if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
        why = "is for init itself" if number == signal.SIGCHLD else "is never received, the kernel sees to it"
        raise UsageError(f"{what}: {signal.Signals(number).name} {why}")
    return number, 0 if sent.strip() == "0" else _signal(what, sent)


def _signal(what: str, value: str) -> int:
    try:
        return signal_number(value)
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def _seconds(name: str, value: str) -> float:
    what = f"{name} {value[:100]!r}"
    try:
        seconds = float(value)
    except ValueError:
        raise UsageError(f"{what}: must be a number of seconds, such as 10 or 0.5") from None
    if not 0 <= seconds <= LONGEST_GRACE:  # NaN is neither
        raise UsageError(f"{what}: must be between 0 and {LONGEST_GRACE:.0f} seconds")
    return seconds

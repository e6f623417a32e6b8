"""The command line of init."""

from __future__ import annotations

import signal

import pytest

from loopwright.process._init._options import HELP, Options, UsageError, read


def as_dict(options: Options) -> dict[str, object]:
    return {name: getattr(options, name) for name in Options.__slots__}


def test_nothing_but_a_command() -> None:
    options = read(["sleep", "-v", "--grace", "--", "x"])
    assert options.command == ["sleep", "-v", "--grace", "--", "x"]
    assert as_dict(options) == as_dict(Options()) | {"command": options.command}


def test_two_dashes_end_the_options() -> None:
    assert read(["--", "-v", "--", "x"]).command == ["-v", "--", "x"]
    assert read(["-"]).command == ["-"]


@pytest.mark.parametrize(
    "words",
    [
        "-g -s -v -v -r 15:3 -r USR1:0 --grace 2.5 -e 143 -e 0 -p KILL",
        "-gsvv -r15:3 -rUSR1:0 --grace=2.5 -e143 -e0 -pKILL",
        """--group --subreaper --verbose --verbose --rewrite TERM:SIGQUIT --rewrite=10:0 --grace 2.5 --expect=143
        --expect 0 --parent-death 9""",
    ],
)
def test_every_option_in_every_form(words: str) -> None:
    options = read([*words.split(), "--", "x"])
    assert as_dict(options) == {
        "command": ["x"],
        "expected": {143, 0},
        "grace": 2.5,
        "group": True,
        "help": False,
        "parent_death": signal.SIGKILL,
        "rewrites": {15: 3, int(signal.SIGUSR1): 0},
        "subreaper": True,
        "verbosity": 3,
    }


def test_quiet_and_help() -> None:
    assert read(["-q", "x"]).verbosity == 0
    assert read(["--help"]).help
    assert read(["-vh"]).help


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "no command was given"),
        ("--", "no command was given"),
        ("-g", "no command was given"),
        ("--foo x", "no such option: --foo; there are --group, "),
        ("-gx x", "no such option: -x"),
        ("--group=1 x", "--group takes no value"),
        ("--grace", "--grace needs a value"),
        ("-gr", "-r needs a value"),
        ("--grace soon x", "--grace 'soon': must be a number of seconds"),
        ("--grace -1 x", "--grace '-1': must be between 0 and 86400 seconds"),
        ("--grace nan x", "must be between"),
        ("--grace inf x", "must be between"),
        ("-r 15 x", "-r '15': must be two signals with a colon between"),
        ("-r 15:99 x", "-r '15:99': there is no signal 99"),
        ("-r FOO:1 x", "there is no signal 'FOO'"),
        ("-r KILL:TERM x", "SIGKILL is never received"),
        ("-r CHLD:TERM x", "SIGCHLD is for init itself"),
        ("-e 256 x", "-e '256': an exit status is a number from 0 to 255"),
        ("-e -1 x", "an exit status is"),
        ("-p NONE x", "-p 'NONE': there is no signal 'NONE'"),
    ],
)
def test_a_mistake_is_named(words: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(words.split())
    assert why in str(raised.value)


def test_an_endless_number_is_no_exit_status() -> None:
    with pytest.raises(UsageError, match="an exit status is"):
        read(["-e", "9" * 5000, "x"])


def test_help_has_every_option() -> None:
    from loopwright.process._init._options import FLAGS, VALUED

    for name in (*FLAGS, *VALUED):
        assert name in HELP.replace(",", "").split(), name

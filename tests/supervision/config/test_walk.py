"""Every wrong key and value of a table, each by itself and all at once."""

from __future__ import annotations

import pytest

DURATION = 'a duration of 0 or more: "10s", "500ms", "1m30s", or a number of seconds'


@pytest.mark.parametrize(
    ("line", "found", "right"),
    [
        ('instances = "two"', '"two" (a string)', "a whole number from 1 to 1000"),
        ("instances = 0", "0 (a whole number)", "a whole number from 1 to 1000"),
        ("instances = 1001", "1001 (a whole number)", "a whole number from 1 to 1000"),
        ("instances = true", "true (a boolean)", "a whole number from 1 to 1000"),
        ("instances = 1.0", "1.0 (a number)", "a whole number from 1 to 1000"),
        ('essential = "yes"', '"yes" (a string)', "true or false, without quotes"),
        ("essential = 1", "1 (a whole number)", "true or false, without quotes"),
        ("grace_period = -3", "-3 (a whole number)", DURATION),
        ("grace_period = nan", "nan (a number)", DURATION),
        ("grace_period = inf", "inf (a number)", DURATION),
        ("grace_period = true", "true (a boolean)", DURATION),
        ("grace_period = 07:32:00", "07:32:00 (a time)", DURATION),
        ('grace_period = "10 s"', '"10 s" (a string)', DURATION),
        ('working_directory = ""', '"" (a string)', 'a path in quotes, from the file\'s own folder: "app"'),
        ("working_directory = 1", "1 (a whole number)", 'a path in quotes, from the file\'s own folder: "app"'),
        ("environment = 'A=1'", '"A=1" (a string)', 'a table of strings: { PORT = "8080" }'),
        ("env_files = ['']", '[""] (a list)', 'paths in quotes, from the file\'s own folder: ["web.env"]'),
        ("depends_on = {}", "{  } (a table)", 'names of services: ["db"]'),
        ("depends_on = [1]", "1 (a whole number) in [1]", "strings only, each in quotes"),
        ('stop_signal = "SIGTREM"', '"SIGTREM" (a string)', '"SIGTERM"'),
        ("stop_signal = 999", "999 (a whole number)", 'a signal\'s name or number: "SIGTERM", "INT", 15'),
        ("stop_signal = 0", "0 (a whole number)", 'a signal\'s name or number: "SIGTERM", "INT", 15'),
        ("stop_signal = true", "true (a boolean)", 'a signal\'s name or number: "SIGTERM", "INT", 15'),
        (
            'restart = "sometimes"',
            '"sometimes" (a string)',
            'one of "always", "on-failure", "never", or a table [services.web.restart]',
        ),
        (
            "restart = true",
            "true (a boolean)",
            'one of "always", "on-failure", "never", or a table [services.web.restart]',
        ),
    ],
)
def test_a_wrong_value_of_a_service(wrong, line, found, right):
    mistake = wrong(line)
    assert (mistake.key, mistake.found, mistake.right) == (f"services.web.{line.split(' ')[0]}", found, right)


@pytest.mark.parametrize(
    ("line", "found", "right"),
    [
        ("rule = 'onfailure'", '"onfailure" (a string)', 'one of "always", "on-failure", "never"'),
        ("rule = true", "true (a boolean)", 'one of "always", "on-failure", "never"'),
        ("initial_delay = '5x'", '"5x" (a string)', DURATION),
        ("factor = 0.5", "0.5 (a number)", "a number of 1 or more, such as 2"),
        ("factor = inf", "inf (a number)", "a number of 1 or more, such as 2"),
        ("factor = nan", "nan (a number)", "a number of 1 or more, such as 2"),
        ("max_delay = -1", "-1 (a whole number)", DURATION),
        ("jitter = 2", "2 (a whole number)", "a number from 0 to 1, such as 0.1"),
        ("jitter = nan", "nan (a number)", "a number from 0 to 1, such as 0.1"),
        ("healthy_after = []", "[] (a list)", DURATION),
        ("max_restarts = -1", "-1 (a whole number)", "a whole number of 0 or more, or no such key for no limit"),
        ("grace_period = 1", "an unknown key", "grace_period in the table above, before this one's header"),
        ("delays = 1", "an unknown key", "max_delay"),
        ("cap = 1", "an unknown key", "max_delay"),
    ],
)
def test_a_wrong_value_of_a_restart_table(wrong, line, found, right):
    mistake = wrong(f"[services.web.restart]\n{line}")
    assert (mistake.key, mistake.found, mistake.right) == (f"services.web.restart.{line.split(' ')[0]}", found, right)


@pytest.mark.parametrize(
    ("entry", "key", "found", "right"),
    [
        ("A = true", "A", "true (a boolean)", 'text in quotes: "true"'),
        ("A = { x = 1 }", "A", "{ x = 1 } (a table)", "text in quotes"),
        ("A = [1]", "A", "[1] (a list)", "text in quotes"),
        ("A = 1979-05-27", "A", "1979-05-27 (a date)", "text in quotes"),
        ('"" = "x"', '""', '"" as a variable\'s name', "a name that is not empty and has no = and no null character"),
        (
            '"A=B" = "x"',
            '"A=B"',
            '"A=B" as a variable\'s name',
            "a name that is not empty and has no = and no null character",
        ),
    ],
)
def test_a_wrong_entry_of_the_environment(wrong, entry, key, found, right):
    mistake = wrong(f"environment = {{ {entry} }}")
    assert (mistake.key, mistake.found, mistake.right) == (f"services.web.environment.{key}", found, right)


@pytest.mark.parametrize(
    "line",
    [
        'environment = { A = "a\\u0000b" }',
        'working_directory = "a\\u0000b"',
        'env_files = "a\\u0000b"',
        'depends_on = "a\\u0000b"',
    ],
)
def test_null_characters_are_refused_wherever_the_kernel_would(wrong, line):
    mistake = wrong(line)
    assert '"a\\u0000b"' in mistake.found
    assert mistake.right.startswith("text without a null character")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ('""', '"" (a string)'),
        ("[]", "[] (a list)"),
        ('["", "a"]', '["", "a"] (a list)'),
        ("5", "5 (a whole number)"),
        ('["a", 5]', '5 (a whole number) in ["a", 5]'),
        ('"echo \'x"', '"echo \'x", which has no closing quotation'),
    ],
)
def test_a_wrong_command(mistakes, command, found):
    (mistake,) = mistakes(f"[services.web]\ncommand = {command}")
    assert (mistake.key, mistake.found) == ("services.web.command", found)


@pytest.mark.parametrize(
    ("text", "key", "found", "right"),
    [
        ("[services.web]", "services.web.command", "nothing", 'the program and its arguments: ["python", "web.py"] or'),
        ("[services.web]\ncmd = 'true'", "services.web.cmd", "an unknown key", "command"),
        ("", "services", "nothing", "a table [services.NAME] with at least a command"),
        ("[services]", "services", "no services", "a table [services.NAME] with at least a command"),
        ("services = 1", "services", "1 (a whole number)", "a table [services.NAME]"),
        ("[[services]]\ncommand = 'x'", "services", "[{ … }] (a list)", "a table [services.NAME]"),
        ("[services]\nweb = 'cmd'", "services.web", '"cmd" (a string)', "a table [services.NAME]"),
        ("[services]\ncommand = 'x'", "services.command", '"x" (a string)', "command in a table of the service's own"),
        ("[service.web]\ncommand = 'x'", "service", "an unknown key", "[services.web]"),
        ("[services.'a b']\ncommand = 'x'", 'services."a b"', '"a b" as a service\'s name', "a name of letters A to Z"),
        ("[services.'']\ncommand = 'x'", 'services.""', '"" as a service\'s name', "a name of letters A to Z"),
    ],
)
def test_a_wrong_outline(mistakes, text, key, found, right):
    (mistake,) = mistakes(text)
    assert (mistake.key, mistake.found) == (key, found)
    assert mistake.right.startswith(right)


@pytest.mark.parametrize(
    ("text", "key", "right"),
    [
        ("[supervisor]\nnam = 'x'", "supervisor.nam", "name"),
        ("[supervisor]\nname = 'x'\nproject = 'y'", "supervisor.project", "to leave it out: name is there already"),
        ("[supervisor]\nname = ''", "supervisor.name", 'a name on one line: "storefront"'),
        ("[supervisor]\nname = 1", "supervisor.name", 'a name on one line: "storefront"'),
        ("supervisor = 'x'", "supervisor", "a table [supervisor]"),
        ("[db]\ncommand = 'x'", "db", "[services.db]"),
        ("colour = 'red'", "colour", "one of policy, services, supervisor"),
    ],
)
def test_a_wrong_key_beside_the_services(mistakes, text, key, right):
    (mistake,) = mistakes(f"{text}\n[services.web]\ncommand = 'true'")
    assert (mistake.key, mistake.right) == (key, right)


def test_an_unknown_key_that_resembles_nothing_is_answered_with_all_there_are(wrong):
    assert wrong("colour = 1").right == (
        "one of command, depends_on, env_files, environment, essential, grace_period, instances, policy, "
        "restart, restart_on_output, stop_signal, tell_on_output, working_directory"
    )


def test_all_mistakes_come_at_once_and_in_the_order_of_the_file(mistakes):
    found = mistakes(
        """
        [supervisor]
        name = 5

        [services.web]
        instances = "two"
        comand = "python web.py"
        restart = { factor = 0, rule = "no" }
        depends_on = ["dbb", "web"]
        environment = { PORT = 8080, DEBUG = true }

        [services.db]
        grace_period = "soon"
        env_files = "missing.env"

        [services.worker]
        command = "true"
        depends_on = "mail"
        stop_signal = "SIGNONE"

        [services.mail]
        command = "true"
        depends_on = "worker"
        """
    )
    assert [mistake.key for mistake in found] == [
        "supervisor.name",
        "services.web.instances",
        "services.web.comand",
        "services.web.restart.factor",
        "services.web.restart.rule",
        "services.web.depends_on",
        "services.web.depends_on",
        "services.web.environment.DEBUG",
        "services.db.command",
        "services.db.grace_period",
        "services.db.env_files",
        "services.worker.depends_on",
        "services.worker.stop_signal",
    ]

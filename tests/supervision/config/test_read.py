from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright._core import Pacing
from loopwright.errors import ConfigurationError
from loopwright.supervision._spec import RestartPolicy, RestartRule, ServiceSpec
from loopwright.supervision.config import Mistake, read
from loopwright.supervision.config._document import RestartTable, ServiceTable, SupervisorTable


def test_a_file_that_says_little_gets_the_defaults_of_the_dataclasses(configured, tmp_path):
    configuration = configured("[services.web]\ncommand = 'python web.py'")
    assert configuration.path == tmp_path / "loopwright.toml"
    assert configuration.name == tmp_path.name
    assert configuration.services == (ServiceSpec("web", ("python", "web.py"), working_directory=tmp_path),)


def test_a_file_that_says_everything(configured, tmp_path):
    (tmp_path / "web.env").write_text("PORT=1\nMODE=test\n")
    configuration = configured(
        """
        [supervisor]
        name = "storefront"

        [services.web]
        command = ["sh", "web server"]
        working_directory = "app/./web"
        environment = { PORT = 8080, RATIO = 1.10, HOST = "::" }
        env_files = "web.env"
        instances = 2
        stop_signal = "INT"
        grace_period = "1m30s"
        essential = true
        depends_on = "db"
        restart_on_output = 'out of memory'
        tell_on_output = ['ERROR|CRITICAL', '(?i)warning: \\d+']

        [services.web.restart]
        rule = "on-failure"
        initial_delay = "250ms"
        factor = 3
        max_delay = "1m"
        jitter = 0
        healthy_after = 20
        max_restarts = 5

        [services.db]
        command = "sh"
        working_directory = "/"
        restart = "never"
        """
    )
    assert configuration.name == "storefront"
    assert configuration.services == (
        ServiceSpec(
            "web",
            ("sh", "web server"),
            working_directory=tmp_path / "app" / "web",
            environment={"PORT": "8080", "MODE": "test", "RATIO": "1.10", "HOST": "::"},
            instances=2,
            restart=RestartPolicy(RestartRule.ON_FAILURE, Pacing(0.25, 3.0, 60.0, 0.0), 20.0, 5),
            stop_signal=signal.SIGINT,
            grace_period=90.0,
            essential=True,
            depends_on=("db",),
            restart_on_output=("out of memory",),
            tell_on_output=("ERROR|CRITICAL", r"(?i)warning: \d+"),
        ),
        ServiceSpec("db", ("sh",), working_directory=Path("/"), restart=RestartPolicy(RestartRule.NEVER)),
    )


def test_paths_are_relative_to_the_file_and_not_to_where_one_stands(tmp_path, monkeypatch):
    folder = tmp_path / "storefront"
    (folder / "sub").mkdir(parents=True)
    (folder / "web.env").write_text("A=1\n")
    (folder / "loopwright.toml").write_text("[services.web]\ncommand = 'sh'\nenv_files = 'web.env'")
    monkeypatch.chdir(folder / "sub")
    configuration = read("../loopwright.toml")
    assert configuration.path == Path("../loopwright.toml")
    assert configuration.name == "storefront"
    (web,) = configuration.services
    assert web.environment == {"A": "1"}
    assert web.working_directory.is_absolute()
    assert os.path.samefile(web.working_directory, folder)


def test_a_byte_order_mark_is_no_mistake(configured):
    assert configured("\ufeff[services.web]\r\ncommand = 'sh'\r\n").services[0].name == "web"


@pytest.mark.parametrize(
    ("text", "key", "found", "right"),
    [
        ("a = 1\ncommand = python\n", "line 2, column 11", '"command = python" (Invalid value)', 'a value: "text" in'),
        ("command = ", "line 1, column 11", '"command =" (Invalid value)', 'a value: "text" in'),
        ("a = 1\na = 2\n", "line 2, column 6", '"a = 2" (Cannot overwrite a value)', "each key and each table once"),
        ("[a]\n[a]", "line 2, column 3", "\"[a]\" (Cannot declare ('a',) twice)", "each key and each table once"),
        ("[a", "line 1, column 3", "\"[a\" (Expected ']' at the end of a table declaration)", "valid TOML"),
        ("a = '''x", "end of file", "Expected \"'''\"", "valid TOML"),
    ],
)
def test_what_is_not_toml(mistakes, text, key, found, right):
    (mistake,) = mistakes(text)
    assert (mistake.key, mistake.found) == (key, found)
    assert mistake.right.startswith(right)


def test_lists_within_lists_without_end(mistakes):
    (mistake,) = mistakes("a = " + "[" * 100_000)
    assert mistake.key == ""
    assert len(str(mistake)) < 400


def test_tables_within_tables_without_end(mistakes):
    keys = [mistake.key for mistake in mistakes("services.web.environment." + ".".join("a" * 300) + " = 1")]
    assert keys == ["services.web.command", "services.web.environment.a"]


def test_numbers_without_end(mistakes):
    (mistake,) = mistakes("a = " + "9" * 5000)
    assert mistake.found.startswith("a number that is too long")
    (mistake,) = mistakes("[services.web]\ncommand = 'sh'\ninstances = 0x" + "f" * 9000)
    assert mistake.found == "more than 9223372036854775807 (a whole number)"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing.toml", "no such file"),
        (".", "a directory"),
        ("latin1.toml", "byte 0xe9, which is not UTF-8, in line 2"),
        ("utf16.toml", "byte 0xff, which is not UTF-8, in line 1"),
        ("latin1.toml/x", "a file that cannot be read: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, found):
    (tmp_path / "latin1.toml").write_bytes(b"[services.web]\ncommand = 'caf\xe9'")
    (tmp_path / "utf16.toml").write_bytes("[services.web]".encode("utf-16"))
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path / name)
    right = "a file in TOML with a table [services.NAME] for each service"
    assert caught.value.mistakes == (Mistake(tmp_path / name, "", found, right),)


def test_a_file_that_may_not_be_read(unprivileged):
    with unprivileged("") as file, pytest.raises(ConfigurationError, match=r"a file that user [0-9]+ may not read"):
        read(file.parent / "locked" / "web.env")


def toml(value: Any) -> str:
    """The value in TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def document(tables: dict[str, Any]) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tables.items())


scalars = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(
        ["always", "never", "SIGTERM", "KILL", "10s", "1m", "web", "db", "python web.py", "a\0", "../x", "/"]
    )
    | st.sampled_from([0, 1, 2, 15, 19, 1000, 1001, -1, 2**63, 10**400])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def tables(schema: Any, **better: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with some keys of the schema, any others, and any values."""
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(schema.__struct_fields__, values) | better)
    return st.tuples(known, st.dictionaries(st.text(max_size=5), values, max_size=1)).map(
        lambda both: both[1] | both[0]
    )


anything = st.fixed_dictionaries(
    {},
    optional={
        "supervisor": values | tables(SupervisorTable),
        "services": values
        | st.dictionaries(
            st.sampled_from(["web", "db", "mail"]) | st.text(max_size=3),
            values | tables(ServiceTable, command=st.just("sh") | values, restart=values | tables(RestartTable)),
            max_size=4,
        ),
        "other": values,
    },
)


@given(anything)
def test_whatever_a_file_says_it_is_read_or_its_mistakes_are_told(tmp_path_factory, tables):
    file = tmp_path_factory.getbasetemp() / f"anything{os.getpid()}.toml"
    file.write_text(document(tables), encoding="utf-8")
    try:
        told: tuple[object, ...] = read(file).warnings
    except ConfigurationError as error:
        told = error.mistakes
        assert told
    for mistake in told:
        assert isinstance(mistake, Mistake)
        assert str(mistake).isprintable()
        assert mistake.found
        assert mistake.right
        assert len(str(mistake)) < 2000


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_bytes_a_file_has(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / f"bytes{os.getpid()}.toml"
    file.write_bytes(content)
    with contextlib.suppress(ConfigurationError):  # anything else would be a failure of this test
        read(file)


@st.composite
def specs(draw: st.DrawFn) -> list[ServiceSpec]:
    """Services that could be meant, each depending on some of those before it, in any order."""
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
    seconds = st.floats(0, 1e6)
    names = draw(
        st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True), unique=True, min_size=1, max_size=4)
    )
    made = []
    for number, name in enumerate(names):
        first = draw(seconds)
        pacing = Pacing(first, draw(st.floats(1, 1e6)), draw(st.floats(first, 1e7)), draw(st.floats(0, 1)))
        limit = draw(st.none() | st.integers(0, 1000))
        made.append(
            ServiceSpec(
                name,
                (draw(text.filter(lambda each: each and each[0] != "@")), *draw(st.lists(text, max_size=3))),
                Path("/") / draw(text),
                draw(st.dictionaries(text.filter(lambda each: each and "=" not in each), text, max_size=3)),
                draw(st.integers(1, 1000)),
                RestartPolicy(draw(st.sampled_from(RestartRule)), pacing, draw(seconds), limit),
                draw(st.sampled_from([each for each in signal.Signals if each.name not in ("SIGSTOP", "SIGCONT")])),
                draw(seconds),
                draw(st.booleans()),
                tuple(draw(st.lists(st.sampled_from(names[:number]), unique=True))) if number else (),
                tuple(draw(st.lists(text.filter(bool).map(re.escape), max_size=2))),
                tuple(draw(st.lists(text.filter(bool).map(re.escape), max_size=2))),
            )
        )
    return draw(st.permutations(made))


def written(spec: ServiceSpec) -> dict[str, Any]:
    pacing = spec.restart.pacing
    restart = {
        "rule": spec.restart.rule.value,
        "initial_delay": pacing.initial_delay,
        "factor": pacing.factor,
        "max_delay": pacing.max_delay,
        "jitter": pacing.jitter,
        "healthy_after": spec.restart.healthy_after,
        "max_restarts": spec.restart.max_restarts,
    }
    return {
        "command": list(spec.command),
        "working_directory": str(spec.working_directory),
        "environment": spec.environment,
        "instances": spec.instances,
        "restart": {key: value for key, value in restart.items() if value is not None},
        "stop_signal": spec.stop_signal.name,
        "grace_period": spec.grace_period,
        "essential": spec.essential,
        "depends_on": list(spec.depends_on),
        "restart_on_output": list(spec.restart_on_output),
        "tell_on_output": list(spec.tell_on_output),
    }


@settings(max_examples=40)  # each draws dozens of values
@given(specs())
def test_services_that_are_written_down_are_read_back_the_same(tmp_path_factory, specs):
    file = tmp_path_factory.getbasetemp() / f"specs{os.getpid()}.toml"
    file.write_text(document({"services": {spec.name: written(spec) for spec in specs}}), encoding="utf-8")
    assert read(file).services == tuple(specs)

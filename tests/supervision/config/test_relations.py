from __future__ import annotations

import pytest


def services(**depends_on: str) -> str:
    return "\n".join(f"[services.{name}]\ncommand = 'true'\ndepends_on = {on}" for name, on in depends_on.items())


@pytest.mark.parametrize(
    ("text", "found", "right"),
    [
        (services(web="'web'", db="[]"), '"web", the service itself', "another service, or no such key"),
        (services(web="['dbb']", db="[]"), '"dbb", which is no service', '"db"'),
        (services(web="['mail']", db="[]", cache="[]"), '"mail", which is no service', 'one of "db", "cache"'),
        (services(web="['mail']"), '"mail", which is no service', "no such key: it is the only service"),
        (services(web="['db', 'db']", db="[]"), '"db" 2 times', "each service once"),
        (services(web="'db'", db="'web'"), "a circle: web -> db -> web", "the same without one of these dependencies"),
        (
            services(z="[]", web="['z', 'db']", db="'cache'", cache="'web'"),
            "a circle: web -> db -> cache -> web",
            "the same without one of these dependencies",
        ),
    ],
)
def test_dependencies_that_cannot_be(mistakes, text, found, right):
    (mistake,) = mistakes(text)
    assert (mistake.key, mistake.found, mistake.right) == ("services.web.depends_on", found, right)


def test_every_separate_circle_is_named(mistakes):
    found = mistakes(services(a="'b'", b="'a'", c="['d', 'a']", d="'c'"))
    assert [mistake.found for mistake in found] == ["a circle: a -> b -> a", "a circle: c -> d -> c"]


def test_a_service_that_is_wrong_in_itself_can_still_be_depended_on(mistakes):
    (mistake,) = mistakes("[services.web]\ncommand = 'true'\ndepends_on = 'db'\n[services.db]\ncommand = 5")
    assert mistake.key == "services.db.command"


def test_a_service_that_is_no_table_can_still_be_depended_on(mistakes):
    (mistake,) = mistakes("services.web = { command = 'true', depends_on = 'db' }\nservices.db = 5")
    assert mistake.key == "services.db"


def test_a_long_chain_is_no_circle(configured):
    chain = {f"s{n}": f"'s{n + 1}'" if n < 299 else "[]" for n in range(300)}
    assert len(configured(services(**chain)).services) == 300


def test_a_long_circle_is_found(mistakes):
    (mistake,) = mistakes(services(**{f"s{n}": f"'s{(n + 1) % 300}'" for n in range(300)}))
    assert mistake.found.startswith("a circle: s0 -> s1 -> s2")


@pytest.mark.parametrize(
    ("lines", "key", "right"),
    [
        ("initial_delay = '2s'\nmax_delay = 1", "max_delay", 'as long as initial_delay, "2s", or longer'),
        ("max_delay = '100ms'", "max_delay", "0.5s or more, or an initial_delay (else 0.5s) no longer than it"),
        ("initial_delay = '2m'", "initial_delay", "60s or less, or a max_delay (else 60s) no shorter than it"),
    ],
)
def test_the_longest_delay_must_not_be_below_the_first(wrong, lines, key, right):
    mistake = wrong(f"[services.web.restart]\n{lines}")
    assert (mistake.key, mistake.right) == (f"services.web.restart.{key}", right)


def test_a_delay_that_is_wrong_in_itself_is_compared_with_none(wrong):
    assert wrong("restart = { initial_delay = '2m', max_delay = 'x' }").key == "services.web.restart.max_delay"
    assert wrong("restart = { initial_delay = 'x', max_delay = 0 }").key == "services.web.restart.initial_delay"

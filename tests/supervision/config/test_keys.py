from __future__ import annotations

import msgspec
import pytest

from loopwright.supervision.config._document import Document, RestartTable, ServiceTable, SupervisorTable
from loopwright.supervision.config._keys import KNOWN_ELSEWHERE, meant


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("comand", "command"),
        ("Command", "command"),
        ("workingDirectory", "working_directory"),
        ("working-directory", "working_directory"),
        ("cwd", "working_directory"),
        ("env", "environment"),
        ("env_file", "env_files"),
        ("exec", "command"),
        ("numprocs", "instances"),
        ("autorestart", "restart"),
        ("stopsignal", "stop_signal"),
        ("stopwaitsecs", "grace_period"),
        ("stop_grace_period", "grace_period"),
        ("after", "depends_on"),
        ("restart-on-output", "restart_on_output"),
        ("watch", "tell_on_output"),
        ("max_restarts", "restart.max_restarts"),
        ("startsecs", "restart.healthy_after"),
        ("zzzzzz", None),
        ("", None),
        pytest.param("x" * 100_000, None, id="long"),
    ],
)
def test_what_a_key_of_a_service_may_have_meant(key, ours):
    assert meant(key, ServiceTable) == ours


def test_a_service_key_below_the_restart_header_is_sent_above_it():
    assert meant("depends_on", RestartTable, ServiceTable) == "depends_on in the table above, before this one's header"


def test_every_known_name_leads_to_a_key_that_exists_and_is_none_itself():
    below = {f"restart.{name}" for name in RestartTable.__struct_fields__}
    for schema, names in KNOWN_ELSEWHERE.items():
        ours = set(schema.__struct_fields__)
        assert set(names) <= ours | (below if schema is ServiceTable else set())
        theirs = [each for group in names.values() for each in group]
        assert len(theirs) == len(set(theirs))
        assert ours.isdisjoint(theirs)


def test_every_table_of_the_schema_has_known_names():
    assert {Document, RestartTable, ServiceTable, SupervisorTable} == set(KNOWN_ELSEWHERE)
    assert all(issubclass(schema, msgspec.Struct) for schema in KNOWN_ELSEWHERE)

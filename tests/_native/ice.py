"""A place where children hang between clone and exec: a plugin for the tests that want it."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ice:
    """A cgroup that is frozen: a child that is started into it does nothing at all until it is thawed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = os.open(path, os.O_PATH | os.O_DIRECTORY)
        self.freeze()

    def freeze(self) -> None:
        (self.path / "cgroup.freeze").write_text("1")

    def thaw(self) -> None:
        (self.path / "cgroup.freeze").write_text("0")

    def members(self) -> list[int]:
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]


def cgroups() -> Path | None:
    """Where cgroups of version 2 are, if one can be made there."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            return Path(where)
    return None


@pytest.fixture
def ice() -> Iterator[Ice]:
    above = cgroups()
    if above is None:
        pytest.skip("no cgroup (version 2) can be made here, and nothing else makes a start hang at will")
    path = above / f"loopwright-test-{uuid.uuid4().hex}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    ice = Ice(path)
    yield ice
    ice.thaw()
    if ice.members():
        (path / "cgroup.kill").write_text("1")
    os.close(ice.number)
    deadline = time.monotonic() + 15
    while path.exists():
        try:
            path.rmdir()
        except OSError:
            assert time.monotonic() < deadline, f"something is left in {path}"
            time.sleep(0.01)

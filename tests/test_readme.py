"""The examples in README.md, the tutorial and the reference run as they stand; the reference is whole."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
REFERENCE = tuple(sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs/reference").glob("*.md")))
PAGES = ("README.md", "docs/tutorial.md", *REFERENCE)
LAYERS = ("errors", "loops", "observe", "policies", "process", "supervision", "testing", "watchers")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> Iterator[tuple[int, str]]:
    """Each block of that language with the number of the line it begins at."""
    text = (ROOT / page).read_text()
    for match in BLOCK.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start()) + 2, match[2]


def examples(language: str) -> list[object]:
    return [
        pytest.param(page, line, source, id=f"{page}:{line}")
        for page in PAGES
        for line, source in blocks(page, language)
    ]


@pytest.mark.parametrize(("page", "line", "source"), examples("python"))
def test_example_runs(page: str, line: int, source: str, tmp_path: Path) -> None:
    # Padded, so that a traceback names the line of the page.
    file = tmp_path / "example.py"
    file.write_text("\n" * (line - 1) + source)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(file)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=55,  # some use seconds of CPU on purpose, which a loaded machine takes its time to give
    )
    assert ran.returncode == 0, f"{page}\n{ran.stderr}"
    assert "Warning" not in ran.stderr, f"{page}\n{ran.stderr}"


def test_there_are_examples_of_each_layer() -> None:
    assert len(list(blocks("README.md", "python"))) >= 4
    assert len(list(blocks("docs/tutorial.md", "python"))) >= 4
    for layer in LAYERS:
        assert list(blocks(f"docs/reference/{layer}.md", "python")), layer


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer != "errors"])  # of which families are told
def test_reference_says_what_each_name_is_for(layer: str) -> None:
    prose = BLOCK.sub("", (ROOT / f"docs/reference/{layer}.md").read_text())
    told = set(re.findall(r"`(\w+)", prose)) | set(re.findall(r"\.(\w+)", prose))
    assert set(importlib.import_module(f"loopwright.{layer}").__all__) <= told


@pytest.mark.parametrize(("page", "line", "source"), examples("toml"))
def test_configuration_example_is_right(page: str, line: int, source: str, tmp_path: Path) -> None:
    from loopwright.supervision.config import read

    file = tmp_path / "loopwright.toml"
    file.write_text(source)
    assert {spec.name for spec in read(file).services} == set(tomllib.loads(source)["services"])


def test_reference_names_every_key() -> None:
    from loopwright.policies._setting_values import KEYS
    from loopwright.supervision.config._document import Document, RestartTable, ServiceTable, SupervisorTable

    page = (ROOT / "docs/reference/configuration.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    tables = (RestartTable, ServiceTable, SupervisorTable)
    assert documented == {*KEYS, *(key for table in tables for key in table.__struct_fields__)}
    assert set(Document.__struct_fields__) == set(re.findall(r"^## `\[(\w+)[].]", page, re.MULTILINE))

from __future__ import annotations

import subprocess
import sys

import pytest

from loopwright.errors import ConfigurationError
from loopwright.supervision.config import read


def environment(configured, tmp_path, content: str, more: str = "") -> dict[str, str]:
    (tmp_path / "web.env").write_bytes(content.encode())
    (service,) = configured(f"[services.web]\ncommand = 'true'\nenv_files = 'web.env'\n{more}").services
    return service.environment


def test_what_an_environment_file_sets(configured, tmp_path):
    content = "\ufeff# comment\n\nA=1\nexport B='two words'\nC=\nD=x # note\nE=\"a\\nb\"\r\nF=${A}$HOME\n"
    assert environment(configured, tmp_path, content) == {
        "A": "1",
        "B": "two words",
        "C": "",
        "D": "x",
        "E": "a\nb",
        "F": "${A}$HOME",
    }


def test_later_files_win_over_earlier_ones_and_the_table_over_all(configured, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.env").write_text("A=a\nB=a\nC=a\n")
    (tmp_path / "sub" / "b.env").write_text("B=b\nC=b\n")
    (service,) = configured(
        "[services.web]\ncommand = 'true'\nenvironment = { C = 'own' }\nenv_files = ['a.env', 'sub/b.env']"
    ).services
    assert service.environment == {"A": "a", "B": "b", "C": "own"}


def test_every_bad_line_is_named_and_no_value_repeated(mistakes, tmp_path):
    (tmp_path / "web.env").write_text("A=1\n\nDB PASSWORD=hunter2\nJUSTANAME\n'X=Y'=1\nOK=2\n= hunter3\nQ='hunter4\n")
    found = mistakes("[services.web]\ncommand = 'true'\nenv_files = 'web.env'")
    assert {mistake.key for mistake in found} == {"services.web.env_files"}
    assert [mistake.found for mistake in found] == [
        '"DB PASSWORD = …" in line 3 of "web.env"',
        '"JUSTANAME" in line 4 of "web.env"',
        '"X=Y" as a variable\'s name in line 5 of "web.env"',
        '" = …" in line 7 of "web.env"',
        '"Q = …" in line 8 of "web.env"',
    ]
    assert "hunter" not in str(found)


def test_a_null_character_in_a_value(mistakes, tmp_path):
    (tmp_path / "web.env").write_bytes(b"A=1\nB=a\0b\n")
    (mistake,) = mistakes("[services.web]\ncommand = 'true'\nenv_files = 'web.env'")
    assert mistake.found == 'a null character in line 2 of "web.env"'


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing.env", '"missing.env": no such file'),
        (".", '".": a directory'),
        ("latin1.env", '"latin1.env": byte 0xe9, which is not UTF-8, in line 2'),
        ("/proc/self/mem", '"/proc/self/mem": a file that cannot be read: Input/output error'),
        ("x" * 300, f'"{"x" * 60}…": a file that cannot be read: File name too long'),
    ],
)
def test_a_file_that_cannot_be_read(mistakes, tmp_path, name, found):
    (tmp_path / "latin1.env").write_bytes(b"A=1\nB=caf\xe9\n")
    (mistake,) = mistakes(f"[services.web]\ncommand = 'true'\nenv_files = '{name}'")
    assert (mistake.key, mistake.found) == ("services.web.env_files", found)


def test_a_file_that_may_not_be_read(unprivileged):
    text = "[services.web]\ncommand = 'true'\nenv_files = 'locked/web.env'"
    with unprivileged(text) as file, pytest.raises(ConfigurationError) as caught:
        read(file)
    (mistake,) = caught.value.mistakes
    assert mistake.found.startswith('"locked/web.env": a file that user ')
    assert mistake.found.endswith(" may not read")


def test_a_file_is_read_where_no_codec_can_be_imported(tmp_path):
    """No descriptor left for it, or a user who may not read Python's own files."""
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf\xc3\xa4")
    code = """
import pathlib, sys
from loopwright.supervision.config._files import text_of
sys.modules["encodings.utf_8_sig"] = None
print(ascii(text_of(pathlib.Path("file"))))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("'\\xe4'\n", "")

"""`loopwright check`, as somebody at a terminal meets it."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig

import pytest

GOOD = """
[supervisor]
name = "storefront"

[services.web]
command = "sh -c 'exec web'"
instances = 2
restart = "on-failure"
depends_on = "db"

[services.db]
command = ["sh"]
essential = true
restart = { max_restarts = 1 }

[services.job]
command = ["sh"]
restart = { rule = "never", max_restarts = 3 }
"""

BAD = """
[services.web]
comand = "python web.py"
instances = "two"
depends_on = "dbb"

[services.db]
command = "sh"
"""


@pytest.fixture
def write(tmp_path):
    return (tmp_path / "loopwright.toml").write_text


def test_a_right_file(loopwright, write):
    write(GOOD)
    done = loopwright("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "storefront (loopwright.toml): 3 services, 4 processes\n"
        "\n"
        "web: sh -c 'exec web'\n"
        "  2 instances; restarted on failure; depends on db\n"
        "\n"
        "db: sh\n"
        "  1 instance; always restarted, at most 1 time in a row; essential\n"
        "\n"
        "job: sh\n"
        "  1 instance; never restarted\n"
    )


def test_patterns_are_named_and_a_wrong_one_is_a_mistake_of_its_service(loopwright, write):
    service = "[services.web]\ncommand = 'sh'\nrestart_on_output = ['out of memory', '^panic']\ntell_on_output = "
    write(f"{service}'ERROR'")
    assert loopwright("check").stdout.endswith(
        "\n  1 instance; always restarted; ended as failed on output that matches 'out of memory' or '^panic'; "
        "tells of output that matches 'ERROR'\n"
    )
    write(f"{service}'ERROR('")
    done = loopwright("check")
    assert done.returncode == 2
    assert done.stderr.startswith(
        'loopwright.toml: services.web.tell_on_output: found "ERROR(", which cannot be used: "missing ), unterminated '
    )


def test_all_mistakes_of_a_wrong_file(loopwright, write):
    write(BAD)
    done = loopwright("check", "loopwright.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "loopwright.toml: services.web.comand: found an unknown key; right would be command\n"
        'loopwright.toml: services.web.instances: found "two" (a string); '
        "right would be a whole number from 1 to 1000\n"
        'loopwright.toml: services.web.depends_on: found "dbb", which is no service; right would be "db"\n'
        "3 mistakes; nothing was started\n"
    )


def test_a_missing_file(loopwright):
    done = loopwright("check", "nowhere.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "nowhere.toml: found no such file; "
        "right would be a file in TOML with a table [services.NAME] for each service\n"
        "1 mistake; nothing was started\n"
    )


def test_of_a_folder_the_file_in_it_is_read(loopwright, tmp_path):
    (tmp_path / "shop").mkdir()
    assert "shop/loopwright.toml: found no such file" in loopwright("check", "shop").stderr
    (tmp_path / "shop" / "loopwright.toml").write_text("[services.web]\ncommand = 'sh'")
    assert loopwright("check", "shop").stdout.startswith("shop (shop/loopwright.toml): 1 service, 1 process\n")


def test_what_would_not_start_here_is_a_warning(loopwright, write):
    write("[services.web]\ncommand = './missing'\n[services.db]\ncommand = 'sh'\nworking_directory = '/nowhere'")
    done = loopwright("check")
    assert done.returncode == 0
    assert "2 services" in done.stdout
    assert done.stderr == (
        'warning: loopwright.toml: services.web.command: found "./missing", which is not there; '
        "right would be a program that exists\n"
        'warning: loopwright.toml: services.db.working_directory: found "/nowhere", which is not there; '
        "right would be a directory\n"
    )


def test_nothing_is_started(loopwright, write, tmp_path):
    write("[services.web]\ncommand = ['touch', 'started']")
    assert loopwright("check").returncode == 0
    assert not (tmp_path / "started").exists()


def test_what_a_file_says_cannot_steer_the_terminal(loopwright, write):
    write('[services.web]\ncommand = ["sh", "\\u001b[2J\\u009b2J\\n"]\n')
    assert "\x1b" not in (out := loopwright("check").stdout)
    assert r"\x1b[2J\x9b2J\n" in out
    write('[services.web]\ncommand = 5\n"\\u001b[2J" = 1')
    assert "\x1b" not in (err := loopwright("check").stderr)
    assert r'services.web."\u001b[2J"' in err


def test_letters_that_the_terminal_has_not(loopwright, write):
    write("[services.web]\ncommand = 'sh 東'\n")
    done = loopwright("check", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"web: sh '\u6771'" in done.stdout


def test_the_installed_command_is_the_same(loopwright, write, tmp_path):
    command = shutil.which("loopwright", path=sysconfig.get_path("scripts"))
    if command is None:
        pytest.skip("loopwright is on the path of this Python, but not installed")
    write(GOOD)
    done = subprocess.run([command, "check"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == loopwright("check").stdout

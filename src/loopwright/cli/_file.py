"""Reading a configuration file for a command: what is wrong with it goes to whoever typed the command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli._text import safe
from loopwright.errors import ConfigurationError
from loopwright.supervision.config import read

if TYPE_CHECKING:
    from loopwright.supervision.config import Configuration

__all__ = ["argument", "load"]

FILE_NAME = "loopwright.toml"

#: The argument that every command with a configuration file takes; gives the function a `file`.
argument = click.argument("file", type=click.Path(path_type=Path), default=FILE_NAME)


def load(path: Path) -> Configuration:
    """The configuration in `path`, or in the `loopwright.toml` in it if it is a folder.

    Warnings are printed to standard error. If the file is wrong, so is every mistake in it, with their
    number, and the program exits with status 2 (SystemExit); nothing was started then.
    """
    # pathlib's is_dir() raises, up to Python 3.13, where a folder on the way may not be searched; that is for
    # read() to say.
    if os.path.isdir(path):  # noqa: PTH112 - as said
        path /= FILE_NAME
    try:
        configuration = read(path)
    except ConfigurationError as error:
        for mistake in error.mistakes:
            click.echo(safe(str(mistake)), err=True)
        count = len(error.mistakes)
        click.echo(f"{count} mistake{'s' if count != 1 else ''}; nothing was started", err=True)
        raise SystemExit(2) from None
    for warning in configuration.warnings:
        click.echo(f"warning: {safe(str(warning))}", err=True)
    return configuration

"""`loopwright init`: the first process of a container. Only its place among the commands; the doing is elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from loopwright.process._init import become

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["init"]


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def init(arguments: tuple[str, ...]) -> NoReturn:
    """Runs a command as the first process of a container: signals passed on, orphans reaped."""
    become(arguments)  # main() does so before it imports click; this is for who calls the group from Python

"""`loopwright run`'s place among the commands; the doing is in `_run`, which needs nothing that is to be installed."""

from __future__ import annotations

import click

from loopwright.cli._run import run

__all__ = ["run_command"]


@click.command(
    name="run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(arguments: tuple[str, ...]) -> None:
    """Runs a Python program, unchanged, by the event loop policy of your choice."""
    run(arguments)  # main() does so before it imports click; this is for who calls the group from Python

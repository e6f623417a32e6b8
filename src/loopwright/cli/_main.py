"""The `loopwright` command itself, and which module has which of its parts."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import Any

__all__ = ["LazyGroup", "loopwright"]


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is wanted.

    No command should wait for what another one imports, nor fail with it. click's own documentation describes
    the way ("Complex Applications", lazily loading subcommands).
    """

    def __init__(self, *args: Any, lazy: dict[str, str], **kwargs: Any) -> None:
        """`lazy` says where each command is, as `module:attribute`, in the order in which help lists them."""
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, imported or not."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What click does, but an unknown command is answered with the nearest one, or with all there are."""
        known = self.list_commands(ctx)
        if args[0] not in known:
            near = difflib.get_close_matches(args[0][:100].lower(), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            ctx.fail(f"no such command {args[0][:100]!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    lazy={
        "up": "loopwright.cli._up:up",
        "check": "loopwright.cli._check:check",
        "doctor": "loopwright.cli._doctor:doctor",
        "run": "loopwright.cli._run_command:run_command",
        "init": "loopwright.cli._init:init",
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="loopwright", message="%(prog)s %(version)s")
def loopwright() -> None:
    """Starts the services that a loopwright.toml describes, and keeps them running."""

"""The commands of `kataribe agent` together."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

from kataribe.cli.agent import listing, rm, run, show

NAMES = ("run", "list", "show", "rm")


class GoalGroup(TyperGroup):
    """What is no command is a goal: `kataribe agent "..."` is `kataribe agent run "..."`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """The arguments, with the command that they mean in front."""
        if args and args[0] not in (*NAMES, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=GoalGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help='Work towards a goal by itself: kataribe agent "GOAL" is kataribe agent run "GOAL".',
)
app.command("run")(run.run)
app.command("list")(listing.list_runs)
app.command("show")(show.show)
app.command("rm")(rm.rm)

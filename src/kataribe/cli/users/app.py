"""The commands of `kataribe users` together."""

from __future__ import annotations

import typer

from kataribe.cli.users import add, keys, listing, password, rm, switch

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Give people accounts, each with conversations and keys of their own.",
)
app.command("add")(add.add)
app.command("list")(listing.list_users)
app.command("password")(password.password)
app.command("disable")(switch.disable)
app.command("enable")(switch.enable)
app.command("rm")(rm.rm)
app.command("keys")(keys.keys)

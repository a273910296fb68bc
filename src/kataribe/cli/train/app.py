"""The commands of `kataribe train` together."""

from __future__ import annotations

import typer

from kataribe.cli.train import (
    classify,
    denoise,
    distill,
    distill_text,
    embed,
    instruct,
    masked,
    pretrain,
    tag,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train models: from nothing, or further.",
)
app.command("pretrain")(pretrain.pretrain)
app.command("instruct")(instruct.instruct)
app.command("masked")(masked.masked)
app.command("denoise")(denoise.denoise)
app.command("distill")(distill.distill)
app.command("distill-text")(distill_text.distill_text)
app.command("classify")(classify.classify)
app.command("tag")(tag.tag)
app.command("embed")(embed.embed)

"""`kataribe chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def chat(
    model: options.Model = None,
    system: options.System = None,
    technique: options.Technique = None,
    option: options.Options = None,
    examples: options.Examples = None,
    documents: options.Documents = None,
    tools: options.Tools = None,
    approve: options.Approve = "ask",
    guards: options.Guards = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    seconds: options.Seconds = None,
    money: options.Money = None,
    local: options.Local = False,
    quiet: options.Quiet = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="No greeting and no prompts, only the replies.")
    ] = False,
) -> None:
    """Talk with a model; it remembers what was said before.

    A text may be pasted over several lines; a line of three quotation marks begins and ends a text
    that is typed over several. Ctrl-C stops a reply, Ctrl-D leaves, /help lists the commands.
    Limits are for each reply.
    """
    from kataribe.base.lm import Sampling
    from kataribe.base.settings import load_settings
    from kataribe.cli.conversation import Conversation, converse
    from kataribe.cli.given import check_text
    from kataribe.cli.way import Flags, way_of

    around = (documents or (), tools or (), approve, guards or ())
    flags = Flags(technique, option or (), examples, *around)
    way = way_of(flags.within(steps, tokens, seconds, money))
    settings = load_settings(model=model)
    conversation = Conversation(
        settings,
        Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens),
        system=None if system is None else check_text(system, "The system text"),
        seed=seed,
        local=local,
        way=way,
        shows_steps=not quiet,
    )
    converse(conversation, plain=plain)

"""`kataribe assistants chat`: a conversation with an assistant in the terminal."""

from __future__ import annotations

from kataribe.cli import options
from kataribe.cli.assistants.named import Name, open_book


def chat(name: Name, local: options.Local = False) -> None:
    """Talk with an assistant; the same as kataribe chat --model NAME, with its starters shown."""
    from kataribe.base.lm import Sampling
    from kataribe.base.settings import load_settings
    from kataribe.cli.conversation import Conversation, converse
    from kataribe.cli.output import note

    recipe = open_book().find(name).recipe()
    for starter in recipe.starters:
        note(f"- {starter.in_language('en')}")
    settings = load_settings(model=name)
    converse(Conversation(settings, Sampling(), system=None, seed=None, local=local), plain=False)

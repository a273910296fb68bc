"""`kataribe assistants learn`: teaches a router from examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kataribe.cli.assistants.named import Name, open_book


def learn(
    name: Name,
    examples: Annotated[
        Path,
        typer.Argument(help='JSON lines: {"prompt": "...", "model": "the one that answers best"}.'),
    ],
) -> None:
    """Teach a router which model answers what best, and say how often it is right.

    Writes NAME.learned.json beside the recipe, which names it as `learned:` under `router:`.
    """
    from kataribe.base.errors import InputError
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import note, say
    from kataribe.use.assistants import learned

    recipe = open_book().find(name).recipe()
    if recipe.router is None:
        raise InputError(
            f"{name} has no router. Give its recipe one: router: {{default: MODEL}}", param="name"
        )
    found = learned.read_examples(examples)
    choice = learned.learn(found)
    path = Workspace.locate().assistants / f"{name}.learned.json"
    choice.save(path)
    share = learned.held_out_accuracy(found)
    say(str(path))
    note(f"{len(found)} examples, {', '.join(choice.models)}; right on {share:.0%} of those that "
         "were kept out in turn.")  # fmt: skip
    more = [model for model in choice.models if model not in recipe.router.models()]
    if more:
        note(f"The router names no {', '.join(more)}: put `among: [{', '.join(more)}]` under "
             "`router:`, or it will not answer.")  # fmt: skip
    if recipe.router.learned != path.name:
        note(f"The recipe does not use it yet: put `learned: {path.name}` under `router:`.")

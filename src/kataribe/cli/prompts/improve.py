"""`kataribe prompts improve`: searches a better instruction on the user's own examples."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.use.prompts.automatic import Bounds, Found


def improve(
    examples: Annotated[
        Path, typer.Argument(help='JSON lines: {"question": "...", "answer": "..."}.')
    ],
    model: options.Model = None,
    proposer: Annotated[
        str | None, typer.Option("--proposer", help="Who guesses [default: the model itself].")
    ] = None,
    candidates: Annotated[int, typer.Option("--candidates", help="Guesses.")] = 8,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the examples that only measure.")
    ] = 0.5,
    max_tokens: options.MaxTokens = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the split and the drawing.")] = 0,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    seconds: options.Seconds = None,
    money: options.Money = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="NAME", help="Keep what wins as this prompt.")
    ] = None,
    user: options.PromptOwner = None,
    local: options.Local = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Search an instruction on your examples (automatic prompt engineering, Zhou et al. 2023).

    Half of the examples choose among the guesses; the other half, which nothing has seen, says how
    good the winner is beside the bare question, with the interval of the difference. At a limit
    the search ends with what it has found.
    """
    from kataribe.cli.output import emit_json
    from kataribe.cli.way import Flags, way_of
    from kataribe.prove.ops.sharing import sharing
    from kataribe.use.prompts.automatic import AutomaticOptions
    from kataribe.use.prompts.examples import read_examples

    limits = way_of(Flags().within(steps, tokens, seconds, money)).limits
    known = read_examples(examples)
    settings = AutomaticOptions(
        candidates=candidates, held_out=held_out, max_tokens=max_tokens, seed=seed
    )
    with contextlib.ExitStack() as stack:
        lm = stack.enter_context(_limited(model, local=local))
        guesser = lm
        if proposer is not None:
            guesser = stack.enter_context(_limited(proposer, local=local))
        stack.enter_context(sharing(limits))
        found = _search((lm, guesser), known, settings, shows=not (quiet or as_json))
    name = _keep(found, save, user) if save is not None else None
    if as_json:
        emit_json(_told(found, name))
    else:
        _show(found, name)


@contextlib.contextmanager
def _limited(model: str | None, *, local: bool) -> Iterator[LM]:
    """A model that keeps to the limits of the whole search."""
    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import open_lm
    from kataribe.cli.metering import Meters, price_of

    settings = load_settings(model=model)
    price = price_of(settings)
    with open_lm(settings, local=local) as lm:
        yield Meters().lm(lm, price)


def _search(models: tuple[LM, LM], known: Any, settings: Any, *, shows: bool) -> Found:
    from kataribe.cli.output import dim
    from kataribe.prove.evals import intervals
    from kataribe.use.prompts.automatic import Judging, find_instruction

    def told(name: str, line: str) -> None:
        if shows:
            dim(f"{name}: {line}")

    judging = Judging(intervals.share, intervals.paired_share_difference)
    lm, proposer = models
    return asyncio.run(find_instruction(lm, known, judging, settings, proposer=proposer, told=told))


def _keep(found: Found, name: str, user: str | None) -> str | None:
    """The version under which the winner is kept; None where nothing won."""
    if not found.instruction:
        return None
    text = f"{found.instruction.replace('{{', chr(92) + '{{')}\n\n{{{{question}}}}\n"
    held_out = f"{_bounds(found.score)} right on {len(found.held_out)} held out"
    note = f"found on examples: {held_out if found.score else 'not measured on others'}"
    with open_shelf(user) as shelf:
        from kataribe.base.errors import NotFoundError

        try:
            known = shelf.find(name)
        except NotFoundError:
            return shelf.library.create(shelf.owner, name, text, note).name
        return shelf.library.write(shelf.owner, known.prompt.id, text, note).name


def _show(found: Found, name: str | None) -> None:
    from kataribe.cli.output import note, say

    if found.reason != "stop":
        note(f"(ended by {found.reason}: {found.detail})")
    if found.instruction:
        say(found.instruction)
    elif not found.candidates:
        note("No instruction was tried on all examples to choose by, so there is no winner.")
    else:
        note("No guess did better than the bare question, so there is no instruction.")
    for each in found.untried:
        note(f"Guessed and not tried: {each}")
    count = len(found.held_out)
    note(f"Right on {count} examples that were held out: {_bounds(found.score)}")
    note(f"The bare question on the same: {_bounds(found.base)}")
    note(f"Difference: {_bounds(found.gain)}. Where the interval holds 0, nothing is proved.")
    used = found.usage
    note(f"It took {used.prompt_tokens + used.completion_tokens:,} tokens.")
    if name is not None:
        note(f"Kept as {name}. Run it: kataribe prompts run {name} --var question=...")


def _bounds(bounds: Bounds | None) -> str:
    if bounds is None:
        return "not measured"
    return f"{bounds.mean:.1%} ({bounds.low:.1%} to {bounds.high:.1%})"


def _told(found: Found, name: str | None) -> dict[str, Any]:
    def bounds(of: Bounds | None) -> dict[str, float] | None:
        return None if of is None else {"mean": of.mean, "low": of.low, "high": of.high}

    return {
        "instruction": found.instruction,
        "candidates": [{"instruction": c.instruction, "score": c.score} for c in found.candidates],
        "untried": list(found.untried),
        "held_out": len(found.held_out),
        "score": bounds(found.score),
        "base": bounds(found.base),
        "difference": bounds(found.gain),
        "usage": {
            "prompt_tokens": found.usage.prompt_tokens,
            "completion_tokens": found.usage.completion_tokens,
        },
        "finish_reason": found.reason,
        "detail": found.detail,
        "kept_as": name,
    }

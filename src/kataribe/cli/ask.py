"""`kataribe ask`: one question, one reply, word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.events import Finished, Step
    from kataribe.base.lm import Request
    from kataribe.base.settings import Settings
    from kataribe.cli.answering import Listener
    from kataribe.cli.way import Way
    from kataribe.prove.ops.spent import Spent


def ask(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="QUESTION", help="What to ask.")
    ] = None,
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
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="Text that ends the reply; repeatable.")
    ] = None,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    seconds: options.Seconds = None,
    money: options.Money = None,
    local: options.Local = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Ask one question; text that is piped in goes below it.

    Uses the server of this workspace when one runs, else loads the model itself. With a technique
    or tools, each step is shown as it happens, on standard error.

    Example: cat notes.txt | kataribe ask "Summarise this in three lines"
    Example: kataribe ask --tools calculator,clock "How many seconds are left of this year?"
    """
    from kataribe.base.lm import Request, Sampling
    from kataribe.base.messages import text_message
    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import Listener
    from kataribe.cli.given import check_text, prompt_text
    from kataribe.cli.way import Flags, way_of

    around = (documents or (), tools or (), approve, guards or ())
    flags = Flags(technique, option or (), examples, *around)
    way = way_of(flags.within(steps, tokens, seconds, money))
    messages = [text_message("user", prompt_text(words or ()))]
    if system is not None:
        messages.insert(0, text_message("system", check_text(system, "The system text")))
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    stops = tuple(check_text(each, "The stop text") for each in stop or ())
    request = Request(tuple(messages), sampling, stop=stops, seed=seed)
    listener = Listener(quiet=as_json, steps=not (quiet or as_json))
    name, finished, spent = _asked(load_settings(model=model), way, request, listener, local=local)
    if as_json:
        _emit(name, finished, listener, way, spent)
    else:
        _conclude(finished)


def _asked(
    settings: Settings, way: Way, request: Request, listener: Listener, *, local: bool
) -> tuple[str, Finished, Spent]:
    """The name of who answered, the end, and what all of it used."""
    import asyncio

    from kataribe.cli.answering import open_lm
    from kataribe.cli.means_here import command_means
    from kataribe.cli.metering import price_of
    from kataribe.cli.output import say
    from kataribe.cli.way import asked

    price = price_of(settings)
    with (
        open_lm(settings, local=local) as lm,
        command_means(settings, local=local) as means,
        asked(way, lm, price, means=means) as whom,
    ):
        try:
            finished = asyncio.run(listener.listen(whom.lm, request))
        finally:
            if listener.heard and not listener.is_quiet and not listener.heard.endswith("\n"):
                say("")
        return lm.name, finished, whom.spent


def _emit(name: str, finished: Finished, listener: Listener, way: Way, spent: Spent) -> None:
    from kataribe.base.messages import text_of
    from kataribe.cli.output import emit_json

    usage = finished.usage
    told: dict[str, Any] = {
        "model": name,
        "text": text_of(finished.message),
        "finish_reason": finished.reason,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
        },
    }
    if not way.is_plain or listener.steps:
        told |= {
            "detail": finished.detail,
            "technique": way.technique,
            "steps": [_step(step) for step in listener.steps],
            "model_calls": spent.steps,
            "cost_usd": None if spent.unpriced else spent.dollars,
        }
    emit_json(told)


def _step(step: Step) -> dict[str, Any]:
    """A step for programs; its content, such as the votes of self-consistency, where it has one."""
    told = {"name": step.name, "detail": step.detail}
    return {**told, "content": step.content} if step.content else told


def _conclude(finished: Finished) -> None:
    from kataribe.cli.output import note

    if finished.reason == "length" and not finished.detail:
        note(f"(cut after {finished.usage.completion_tokens} tokens; see --max-tokens)")
    elif finished.reason != "stop":
        note(f"(ended by {finished.reason}{': ' * bool(finished.detail)}{finished.detail})")

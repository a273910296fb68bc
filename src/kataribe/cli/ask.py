"""`kataribe ask`: one question, one reply, word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.events import Finished


def ask(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="QUESTION", help="What to ask.")
    ] = None,
    model: options.Model = None,
    system: options.System = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="Text that ends the reply; repeatable.")
    ] = None,
    local: options.Local = False,
    as_json: options.Json = False,
) -> None:
    """Ask one question; text that is piped in goes below it.

    Uses the server of this workspace when one runs, else loads the model itself.

    Example: cat notes.txt | kataribe ask "Summarise this in three lines"
    """
    import asyncio

    from kataribe.base.lm import Request, Sampling
    from kataribe.base.messages import text_message
    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import Listener, open_lm
    from kataribe.cli.given import check_text, prompt_text

    settings = load_settings(model=model)
    messages = [text_message("user", prompt_text(words or ()))]
    if system is not None:
        messages.insert(0, text_message("system", check_text(system, "The system text")))
    request = Request(
        tuple(messages),
        Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens),
        stop=tuple(check_text(each, "The stop text") for each in stop or ()),
        seed=seed,
    )
    listener = Listener(quiet=as_json)
    with open_lm(settings, local=local) as lm:
        try:
            finished = asyncio.run(listener.listen(lm, request))
        finally:
            if listener.heard and not as_json:
                _end_line(listener.heard)
    _conclude(lm.name, finished, as_json=as_json)


def _end_line(text: str) -> None:
    from kataribe.cli.output import say

    if not text.endswith("\n"):
        say("")


def _conclude(name: str, finished: Finished, *, as_json: bool) -> None:
    from kataribe.base.messages import text_of
    from kataribe.cli.output import emit_json, note

    if as_json:
        usage = finished.usage
        emit_json(
            {
                "model": name,
                "text": text_of(finished.message),
                "finish_reason": finished.reason,
                "usage": {
                    "prompt_tokens": usage.prompt_tokens,
                    "cached_tokens": usage.cached_tokens,
                    "completion_tokens": usage.completion_tokens,
                },
            }
        )
    elif finished.reason == "length":
        note(f"(cut after {finished.usage.completion_tokens} tokens; see --max-tokens)")
    elif finished.reason != "stop":
        note(f"(ended by {finished.reason}{': ' * bool(finished.detail)}{finished.detail})")

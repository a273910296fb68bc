"""`kataribe prompts run`: asks a model with a prompt, and notes which version has answered."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf

if TYPE_CHECKING:
    from kataribe.base.lm import LM, Request
    from kataribe.base.settings import Settings
    from kataribe.cli.way import Way
    from kataribe.store.prompt_answers import Answer


def run(
    name: options.PromptName,
    var: options.Variables = None,
    var_file: options.VariableFiles = None,
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
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    seconds: options.Seconds = None,
    money: options.Money = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100, help="How often.")] = 1,
    user: options.PromptOwner = None,
    local: options.Local = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Ask a model with a prompt. Each answer is kept with the version that it answers.

    Limits are for all answers together; at one, what there is until then is kept.

    Example: kataribe prompts run translate --var language=Japanese --var text="Good morning."
    """
    from kataribe.base.lm import Request, Sampling
    from kataribe.base.messages import text_message
    from kataribe.base.settings import load_settings
    from kataribe.cli.given import check_text
    from kataribe.cli.output import emit_json
    from kataribe.cli.way import Flags, way_of

    around = (documents or (), tools or (), approve, guards or ())
    flags = Flags(technique, option or (), examples, *around)
    way = way_of(flags.within(steps, tokens, seconds, money))
    given = values_of(var or (), var_file or ())
    with open_shelf(user) as shelf:
        shown = shelf.find(name)
        messages = [text_message("user", shown.template.render(given))]
        if system is not None:
            messages.insert(0, text_message("system", check_text(system, "The system text")))
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
        request = Request(tuple(messages), sampling, seed=seed)
        kept = []
        shows = not as_json
        with _asking(load_settings(model=model), way, (shows, shows and not quiet), local) as runs:
            for answer in runs.answers(request, given, shown.name, repeat):
                version = shown.version.number
                kept.append(
                    shelf.library.keep_answer(shelf.owner, shown.prompt.id, version, answer)
                )
    if as_json:
        emit_json([told(each, shown.name) for each in kept])


def values_of(given: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Values by the names of variables, from flags. Raises `InputError` for what is none."""
    from kataribe.base.errors import InputError, StorageError
    from kataribe.cli.given import check_text, decode

    found: dict[str, str] = {}
    for flag, each in [*(("--var", g) for g in given), *(("--var-file", f) for f in files)]:
        key, equals, value = each.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"{flag} is {each!r:.80}, but must be NAME=VALUE.", param="variables")
        if key in found:
            raise InputError(f"The variable {key} is given twice; give it once.", param="variables")
        if flag == "--var":
            found[key] = check_text(value, f"The value of {key}")
            continue
        try:
            found[key] = decode(Path(value).read_bytes(), value)
        except OSError as error:
            raise StorageError(f"{value} cannot be read: {error.strerror}.") from error
    return found


def told(answer: Answer, name: str) -> dict[str, Any]:
    """An answer for programs."""
    return {
        "id": answer.id,
        "prompt": name,
        "model": answer.model,
        "technique": answer.technique,
        "variables": dict(answer.given),
        "text": answer.text,
        "finish_reason": answer.finish,
        "detail": answer.detail,
        "usage": {
            "prompt_tokens": answer.prompt_tokens,
            "cached_tokens": answer.cached_tokens,
            "completion_tokens": answer.completion_tokens,
        },
        "seconds": answer.took,
    }


class _Runs:
    """Asks one model several times, and shows what it says: its words, and its steps."""

    def __init__(self, whom: LM, name: str, way: Way, shows: tuple[bool, bool]) -> None:
        self._whom = whom
        self._name = name
        self._way = way
        self._shows, self._steps = shows

    def answers(
        self, request: Request, given: Mapping[str, str], name: str, repeat: int
    ) -> Iterator[Answer]:
        """Answers, until there are enough or a limit has ended them, which is said.

        One that a limit ended before its first word is none.
        """
        from kataribe.cli.output import dim, note
        from kataribe.prove.ops.sharing import is_over, sharing

        found = 0
        with sharing(self._way.limits) as left:
            for number in range(repeat):
                if self._steps:
                    dim(f"{name}, {number + 1} of {repeat}")
                drawn = None if request.seed is None else request.seed + number
                answer = self._answer(replace(request, seed=drawn), given)
                if left.has_cut and answer.finish in ("stop", "length"):
                    # A technique has made the best of what it had.
                    answer = replace(answer, finish=left.reason or "budget", detail=left.detail)
                cut = answer.finish in ("budget", "deadline")
                if answer.text or not cut:
                    found += 1
                    yield answer
                over = is_over(left)
                if cut or (over and number + 1 < repeat):
                    end = (left.reason, left.detail) if over else (answer.finish, answer.detail)
                    many = f" There are {found} of {repeat} answers." if over and repeat > 1 else ""
                    note(f"(ended by {end[0]}: {end[1]}{many})")
                if over:
                    return

    def _answer(self, request: Request, given: Mapping[str, str]) -> Answer:
        """One answer, shown while it comes."""
        import asyncio

        from kataribe.base.messages import text_of
        from kataribe.cli.answering import Listener
        from kataribe.cli.output import say
        from kataribe.store.prompt_answers import Answer

        listener = Listener(quiet=not self._shows, steps=self._steps)
        began = time.perf_counter()
        try:
            end = asyncio.run(listener.listen(self._whom, request))
        finally:
            if self._shows and listener.heard and not listener.heard.endswith("\n"):
                say("")
        return Answer(
            self._name,
            text_of(end.message),
            end.reason,
            end.detail,
            given,
            _noted(self._way),
            end.usage.prompt_tokens,
            end.usage.cached_tokens,
            end.usage.completion_tokens,
            time.perf_counter() - began,
        )


@contextlib.contextmanager
def _asking(settings: Settings, way: Way, shows: tuple[bool, bool], local: bool) -> Iterator[_Runs]:
    from kataribe.cli.answering import open_lm
    from kataribe.cli.means_here import command_means
    from kataribe.cli.metering import price_of
    from kataribe.cli.way import asked

    price = price_of(settings)
    with (
        open_lm(settings, local=local) as lm,
        command_means(settings, local=local) as means,
        asked(way, lm, price, means=means) as whom,
    ):
        yield _Runs(whom.lm, lm.name, way, shows)


def _noted(way: Way) -> dict[str, Any] | None:
    """The technique as it is kept with an answer; of examples, how many there were."""
    if way.technique is None:
        return None
    options = dict(way.options)
    if isinstance(options.get("examples"), list):
        options["examples"] = len(options["examples"])
    return {"name": way.technique, "options": options}

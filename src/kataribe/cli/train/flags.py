"""Commands whose flags are the fields of frozen dataclasses, so that the two cannot disagree."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from kataribe.cli import options
from kataribe.make.training.config import Optimisation, Watching, Work

SHARED = (Optimisation, Work, Watching)
"""What every kind of training can be told beside its own."""
DIALED = ("learning_rate", "warmup", "eval_every", "eval_rows", "sample_every", "checkpoint_every")
"""What follows from the size of the run (see `overrides.loop_config`)."""


@dataclass(frozen=True)
class Typed:
    """What somebody typed.

    Attributes:
        name: The model's name.
        asked: Fields of the kind's dataclass.
        given: Fields of `SHARED`, and `steps`.
        resume: A run to go on with.
        as_json: Print JSON.
    """

    name: str | None
    asked: Mapping[str, Any]
    given: Mapping[str, Any]
    resume: str | None
    as_json: bool


def command(kind: type, about: str, run: Callable[[Typed], None]) -> Callable[..., None]:
    """A function that Typer makes a command of: each field a flag, None where it is not given."""
    own = {field.name: field for field in dataclasses.fields(kind)}

    def called(**values: Any) -> None:
        named = {key: value for key, value in values.items() if value not in (None, [], ())}
        run(
            Typed(
                name=values["name"],
                asked={key: value for key, value in named.items() if key in own},
                given={
                    key: value
                    for key, value in named.items()
                    if key not in own and key not in ("name", "resume", "as_json")
                },
                resume=values["resume"],
                as_json=values["as_json"],
            )
        )

    parameters = [*_arguments(kind), *_ends(), *_options(kind)]
    for shared in SHARED:
        parameters += _options(shared)
    called.__doc__ = about
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def explained(kind: type) -> dict[str, str]:
    """What the docstring says of each field, and of inherited ones that of the parent."""
    found: dict[str, str] = {}
    for each in reversed([one for one in kind.__mro__ if dataclasses.is_dataclass(one)]):
        _, _, listed = (inspect.cleandoc(each.__doc__ or "")).partition("Attributes:\n")
        for entry in re.split(r"\n(?=\S)", textwrap.dedent(listed)):
            name, _, words = entry.partition(":")
            found[name.strip()] = " ".join(words.replace("`", "").split())
    return found


def _ends() -> Iterator[inspect.Parameter]:
    yield _parameter(
        "name", str, typer.Option("--name", help="The model's name [default: from the data].")
    )
    yield _parameter("resume", str, typer.Option("--resume", help="A run to go on with, by id."))
    yield _parameter("steps", int, typer.Option("--steps", help="Changes of the weights."))
    yield inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=options.Json
    )


def _arguments(kind: type) -> Iterator[inspect.Parameter]:
    """Fields without a default are arguments; none is needed to go on with a run."""
    words, hints = explained(kind), get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING:
            shown = typer.Argument(metavar=field.name.upper(), help=words[field.name])
            yield _parameter(field.name, _typed(hints[field.name]), shown)


def _options(kind: type) -> Iterator[inspect.Parameter]:
    words, hints = explained(kind), get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        yield _parameter(
            field.name,
            _typed(hints[field.name]),
            typer.Option(flag, help=_help(field, words[field.name])),
        )


def _help(field: dataclasses.Field[Any], words: str) -> str:
    if field.name in DIALED:
        return f"{words} [default: the dial's choice]"
    shown = field.default not in (None, (), False)
    return f"{words} [default: {field.default}]" if shown else words


def _parameter(name: str, kind: Any, shown: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, shown],
    )


def _typed(hint: Any) -> Any:
    """What Typer reads: words are words (the dataclass says which are known), several a list."""
    found = next((each for each in get_args(hint) if each is not type(None)), hint)
    if get_origin(hint) is tuple or get_origin(found) is tuple:
        return list[str]
    for plain in (bool, int, float):
        if found is plain:
            return plain
    return str

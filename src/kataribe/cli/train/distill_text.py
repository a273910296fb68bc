"""`kataribe train distill-text`: a teacher answers prompts, a student learns its answers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Instruction, TextDistilling

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.make.text.corpus import Corpus

STUDENTS = ("base", "epochs", "context", "batch_tokens", "too_long", "seed")
"""Fields of `Instruction` that this command passes on."""


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    if typed.resume is not None:
        known = {field.name for field in dataclasses.fields(Instruction)}
        asked = {name: value for name, value in typed.asked.items() if name in known}
        train("instruct", dataclasses.replace(typed, asked=asked))
        return
    chats = _answers(typed)
    if "base" not in typed.asked:
        _tell_made(chats, as_json=typed.as_json)
        return
    asked = {name: typed.asked[name] for name in STUDENTS if name in typed.asked}
    train("instruct", dataclasses.replace(typed, asked={"chats": chats.path.name, **asked}))


def _answers(typed: Typed) -> Corpus:
    """The teacher's answers, all of them; what the student will need is checked before."""
    import os

    from kataribe.base.errors import InputError
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import Waiting, note
    from kataribe.make.text.corpus import check_name
    from kataribe.make.training import beginning
    from kataribe.make.training.places import find_corpus, find_model
    from kataribe.make.training.taught_chats import data_name, make_taught_chats

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "A teacher is asked by one process. Write its answers first, without torchrun and "
            "--base, then tune on them: torchrun ... -m kataribe train instruct DATA --base ...",
        )
    if "questions" not in typed.asked:
        raise InputError("Say what the teacher is asked: a file of prompts.", param="questions")
    asked = TextDistilling(**typed.asked)
    workspace = Workspace.locate()
    source = find_corpus(workspace, asked.questions)
    name = check_name(data_name(asked))
    if asked.base is not None:
        find_model(workspace, asked.base)
        beginning.check_name(workspace.models, typed.name or name)
    with Waiting() as waiting:
        chats = make_taught_chats(
            asked,
            source,
            workspace.corpora / name,
            lambda: _teacher(asked),
            told=lambda done, of: waiting.show(f"{asked.teacher}: {done} of {of} answered"),
        )
    for line in _lines(chats):
        note(line)
    return chats


@contextlib.contextmanager
def _teacher(asked: TextDistilling) -> Iterator[LM]:
    """Who answers: a model of this machine, or of the server at the address that was given."""
    import os

    from kataribe.base.errors import AccessError
    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import open_lm
    from kataribe.cli.served import lm_at

    assert asked.teacher is not None  # the dataclass sees to it
    if asked.at is None:
        with open_lm(load_settings(model=asked.teacher)) as lm:
            yield lm
        return
    address = asked.at.rstrip("/").removesuffix("/v1")
    try:
        variable = "OPENAI_API_KEY"
        yield lm_at(asked.teacher, address, variable, os.environ.get(variable))
    except AccessError as error:
        raise AccessError(
            f"The server at {address} wants a key, or another one. Set OPENAI_API_KEY to it; the "
            "answers so far are kept."
        ) from error


def _lines(chats: Corpus) -> Iterator[str]:
    """What was answered, and what was left out and why."""
    card: dict[str, Any] = chats.card
    train, valid = (card["splits"][side]["documents"] for side in ("train", "valid"))
    yield (
        f"{card['choices']['teacher']} gave {card['answers']:,} answers; {chats.path.name} has "
        f"{train:,} of them to learn from and {valid:,} held out."
    )
    for each in card["dropped"].values():
        if each["count"]:
            yield f"Left out: {each['count']:,} ({each['reason']})."


def _tell_made(chats: Corpus, *, as_json: bool) -> None:
    from kataribe.cli.output import emit_json, say

    if as_json:
        emit_json(chats.card)
    else:
        say(f"Tune a student on them: kataribe train instruct {chats.path.name} --base NAME")


distill_text = command(
    TextDistilling,
    "Have a teacher answer prompts, and teach a student its answers (instruction tuning).",
    _run,
)

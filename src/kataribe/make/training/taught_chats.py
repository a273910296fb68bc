"""A teacher's answers as a folder of chat data that a student is tuned on."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.lm import LM, Sampling
from kataribe.files.checksum import sha256_file
from kataribe.make.text.corpus import CARD, TRAIN, VALID, Corpus, open_corpus
from kataribe.make.text.instructions.checking import read_turns
from kataribe.make.text.instructions.making import KIND
from kataribe.make.text.leaks import find_leaks
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card
from kataribe.make.training.asked import TextDistilling
from kataribe.make.training.short_plans import train_and_valid
from kataribe.make.training.teacher_answers import (
    Answer,
    Asking,
    Journal,
    ask_teacher,
    check_same,
)
from kataribe.make.training.teacher_prompts import TeacherPrompt, read_prompts

SAMPLES = 5
"""Of each reason for which answers were left out, the card shows so many."""
WHY = {
    "empty": "nothing was said",
    "length": "cut at the most tokens: a student would not learn to stop",
    "refused": "the teacher did not take the prompt",
    "same": "the same answer to the same prompt",
}


@dataclass(frozen=True)
class Taught:
    """An answer with what it answers."""

    prompt: TeacherPrompt
    answer: Answer

    @property
    def line(self) -> bytes:
        """One line of chat data."""
        said = {"role": "assistant", "content": self.answer.text}
        row = {"messages": [*self.prompt.rows, said]}
        return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def data_name(asked: TextDistilling) -> str:
    """The name of the answers among the corpora."""
    if asked.data is not None:
        return asked.data
    assert asked.teacher is not None  # the dataclass sees to it
    stem = Path(asked.questions).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{stem}-by-{asked.teacher}").strip("-.")[:100]


def make_taught_chats(
    asked: TextDistilling,
    source: Path,
    target: Path,
    teacher: Callable[[], AbstractContextManager[LM]],
    *,
    told: Callable[[int, int], None] = lambda done, of: None,  # noqa: ARG005
) -> Corpus:
    """The folder `target` with a teacher's answers; one that is there already is taken as it is.

    Whoever is interrupted goes on with the same call: answers lie in a hidden folder beside
    `target` until all are there.

    Args:
        asked: How the teacher is asked.
        source: The prompts.
        target: A folder among the workspace's corpora.
        teacher: Opens who answers; not called where nothing is to be asked.
        told: Hears how many answers are there, of how many.

    Raises `InputError` where prompts or settings are others than those of the answers that there
    are, or nothing that was said can be learned from; see also `ask_teacher`.
    """
    settings = _settings(asked, source)
    journal = Journal(target.with_name(f".{target.name}.answers"))
    if target.exists():
        made = _made_before(target)
        choices = made.card["choices"]
        journal.remove_of(choices)  # a process that was killed before it could
        check_same(choices, settings, target)
        return made
    began = time.monotonic()
    prompts, again = read_prompts(source, asked.held_out)
    count = len(prompts) * asked.answers
    with journal.held(settings):
        if len(journal.answers) < count:
            how = Asking(
                Sampling(
                    temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens
                ),
                asked.answers, asked.at_once, asked.seed,
            )  # fmt: skip
            with teacher() as lm:
                asyncio.run(
                    ask_teacher(lm, prompts, how, journal, told=lambda done: told(done, count))
                )
        made = _write(target, prompts, journal, settings, again, began)
        journal.remove()
    return made


def _made_before(target: Path) -> Corpus:
    """A folder of answers; raises `InputError` where `target` is anything else."""
    made = open_corpus(target) if (target / CARD).is_file() else None
    choices = {} if made is None else made.card.get("choices")
    if made is None or not isinstance(choices, dict) or "teacher" not in choices:
        raise InputError(
            f"{target} is there already, and holds no teacher's answers. Give the answers another "
            "name (--data), or remove it.",
            param="data",
        )
    return made


def _settings(asked: TextDistilling, source: Path) -> dict[str, Any]:
    """What decides the answers."""
    files = [path for path in train_and_valid(source) if path is not None]
    return {
        "sources": [str(source)],
        "sha256": [sha256_file(path) for path in files],
        "teacher": asked.teacher,
        "at": asked.at,
        "answers": asked.answers,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "max_tokens": asked.max_tokens,
        "held_out": asked.held_out,
        "seed": asked.seed,
    }


def _write(
    target: Path,
    prompts: Sequence[TeacherPrompt],
    journal: Journal,
    settings: dict[str, Any],
    again: int,
    began: float,
) -> Corpus:
    kept, gone = sorted_out(prompts, journal.answers.values())
    if not any(not each.prompt.held_out for each in kept):
        counts = ", ".join(f"{len(found)} {why}" for why, found in gone.items())
        first = next((each.detail for found in gone.values() for each in found if each.detail), "")
        raise InputError(
            f"No answer can be learned from ({counts}). "
            + (f"The teacher said: {first} " if first else "")
            + "Let it say more (--max-tokens) under another name (--data), or ask another teacher."
        )
    with workplace(target, replace_old=False) as folder:
        sides = {name: [each for each in kept if each.prompt.held_out is held] for name, held in
                 (("train", False), ("valid", True))}  # fmt: skip
        splits = {"train": _file(sides["train"], folder / TRAIN)}
        splits["valid"] = _file(sides["valid"], folder / VALID)
        report = find_leaks(folder / TRAIN, folder / VALID, read=read_turns)
        alike = {leak.valid_id for leak in report.leaks}
        if alike:
            apart = [e for at, e in enumerate(sides["valid"], 1) if f"{VALID}:{at}" not in alike]
            splits["valid"] = _file(apart, folder / VALID)
        card = {
            "kind": KIND,
            "name": target.name,
            "choices": settings,
            "splits": splits,
            "answers": len(journal.answers),
            "teacher_tokens": sum(each.tokens for each in journal.answers.values()),
            "dropped": {
                **{why: _shown(why, found) for why, found in gone.items()},
                "prompt_again": {"count": again, "reason": "the same prompt stood there before"},
                "like_training": {
                    "count": len(alike), "reason": "held out, but nearly the same in training",
                },
            },
            "seconds": round(time.monotonic() - began, 2),
        }  # fmt: skip
        write_card(folder, card)
        publish(folder, target, replace_old=False)
    return open_corpus(target)


def sorted_out(
    prompts: Sequence[TeacherPrompt], answers: Iterable[Answer]
) -> tuple[list[Taught], dict[str, list[Answer]]]:
    """What can be learned from, in the prompts' order, and the rest by why it cannot."""
    by_key = {each.key: each for each in prompts}
    place = {key: at for at, key in enumerate(by_key)}
    kept: list[Taught] = []
    gone: dict[str, list[Answer]] = {}
    said: set[tuple[str, str]] = set()
    for each in sorted(answers, key=lambda one: (place[one.key], one.number)):
        why = each.ended if each.ended != "stop" else "" if each.text else "empty"
        if not why and (each.key, each.text) in said:
            why = "same"
        if why:
            gone.setdefault(why, []).append(each)
            continue
        said.add((each.key, each.text))
        kept.append(Taught(by_key[each.key], each))
    return kept, gone


def _shown(why: str, found: Sequence[Answer]) -> dict[str, Any]:
    return {
        "count": len(found),
        "reason": WHY.get(why, f"ended by {why}"),
        "samples": [
            {"key": each.key, "text": (each.detail or each.text)[:200]} for each in found[:SAMPLES]
        ],
    }


def _file(taught: Sequence[Taught], path: Path) -> dict[str, Any]:
    with path.open("wb") as file:
        written = Written.into(file)
        for each in taught:
            written.add_line(each.line)
            whole = each.prompt.text + each.answer.text
            written.characters += len(whole)
            written.text_bytes += len(whole.encode("utf-8", "replace"))
        written.finish()
    told = written.as_card()
    del told["languages"]
    kinds = Counter("one turn" if len(e.prompt.messages) <= 2 else "several turns" for e in taught)
    return told | {"items": len({each.prompt.key for each in taught}), "kinds": dict(kinds)}

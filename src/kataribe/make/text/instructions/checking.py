"""Instruction data as they were written: is anything that is held out in training, too?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import TRAIN, VALID
from kataribe.make.text.document import UNKNOWN, Document
from kataribe.make.text.leaks import find_leaks, leak_error
from kataribe.make.text.normalise import comparable
from kataribe.make.text.spill import digest_of

_BETWEEN = "\0"
"""Between question and answer where both are one text to compare."""
_SHARED = {
    "question": "questions are asked in training too",
    "item": "conversations are about what training is about",
    "answer": "answers are given in training too",
}


def check_files(folder: Path) -> dict[str, Any]:
    """Compares the two files of a folder, for the card.

    Raises `InputError` when a question, an item, an answer, or nearly all of a conversation is in
    both. Only answers that stand in their questions may be: many functions take two arguments.
    """
    train, valid = folder / TRAIN, folder / VALID
    report = find_leaks(train, valid, read=read_turns)
    if report.leaks:
        raise leak_error(report, valid)
    trained, held_out = _held(train), _held(valid)
    for name, words in _SHARED.items():
        both = trained[name].keys() & held_out[name].keys()
        if both:
            some = sorted(both)[:3]
            named = "; ".join(f"{held_out[name][each]} and {trained[name][each]}" for each in some)
            raise InputError(
                f"{len(both)} held-out {words}: {named}. Make the instructions from other sources.",
                param="source",
                code="validation_overlaps",
            )
    return report.as_card() | {
        "questions_shared": 0,
        "items_shared": 0,
        "answers_shared": 0,
        "given_answers_shared": len(trained["given"].keys() & held_out["given"].keys()),
    }


def _held(path: Path) -> dict[str, dict[bytes, str]]:
    """Digests of a file's questions, items and answers, each with the last line that has it."""
    held: dict[str, dict[bytes, str]] = {
        name: {} for name in ("question", "item", "answer", "given")
    }
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            question, answer = (turn["content"] for turn in row["messages"])
            kept = "given" if row["given"] else "answer"
            for name, text in (("question", question), ("item", row["item"]), (kept, answer)):
                held[name][digest_of(comparable(text))] = f"{path.name}:{number}"
    return held


def read_turns(path: Path) -> Iterator[Document]:
    """The conversations of a file as documents: question and answer."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            said = [turn["content"] for turn in json.loads(line)["messages"]]
            yield Document(f"{path.name}:{number}", _BETWEEN.join(said), path.name, UNKNOWN)

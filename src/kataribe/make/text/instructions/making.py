"""Questions and answers to a folder of chat data, split so that no item is on both sides."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import TRAIN, VALID, Corpus, open_corpus
from kataribe.make.text.document import UNKNOWN, Document
from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.functions import stdlib_functions
from kataribe.make.text.instructions.pairs import translations
from kataribe.make.text.instructions.stdlib import questions_about
from kataribe.make.text.leaks import find_leaks, leak_error
from kataribe.make.text.normalise import comparable
from kataribe.make.text.spill import digest_of
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card

_BETWEEN = "\0"
"""Between question and answer where both are one text to compare."""
KIND = "instructions"
"""What the card calls such a folder."""


@dataclass(frozen=True, slots=True)
class InstructionChoices:
    """What instruction data is made of. Raises `InputError` for a wrong value."""

    sources: tuple[str, ...] = ("stdlib",)
    """`stdlib` (questions about its functions) and `pairs:FILE` (translations)."""
    valid_share: float = 0.05
    """Share of the items that is held out, by the hash of the item."""
    most: int | None = None
    """Most conversations of each source, chosen by hash; None takes all. All are in memory: about
    1 kB each."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("Instructions need a source: stdlib or pairs:FILE.", param="source")
        for source in self.sources:
            if source != "stdlib" and not source.startswith("pairs:"):
                raise InputError(
                    f"Instructions cannot be made from {source!r}; sources are stdlib and "
                    "pairs:FILE (JSON lines with en and ja).",
                    param="source",
                )
        if not 0 < self.valid_share < 1:
            raise InputError(
                f"The share to hold out is {self.valid_share}; it lies between 0 and 1.",
                param="valid_share",
            )
        if self.most is not None and self.most < 2:
            raise InputError(f"most is {self.most}; the least is 2.", param="most")


def make_instructions(
    choices: InstructionChoices, target: Path, *, replace_old: bool = False
) -> Corpus:
    """Makes the folder `target` with `train.jsonl`, `valid.jsonl` (chat data) and `card.json`.

    Raises `InputError` when there is nothing to ask or nothing can be held out, or when the
    folder is there and `replace_old` is false.
    """
    started = time.monotonic()
    with workplace(target, replace_old=replace_old) as folder:
        sides: dict[str, list[Example]] = {"train": [], "valid": []}
        for source in choices.sources:
            for example in _some(list(_examples(source)), choices.most):
                sides["valid" if _is_held_out(example, choices) else "train"].append(example)
        asked = {comparable(example.question) for example in sides["train"]}
        new = [e for e in sides["valid"] if comparable(e.question) not in asked]
        dropped = {"question_in_training": len(sides["valid"]) - len(new)}
        sides["valid"] = new
        for name, examples in sides.items():
            if not examples:
                raise InputError(
                    f"There would be no questions in {name}.jsonl from "
                    f"{', '.join(choices.sources)}. Give more items, or another share.",
                    param="source",
                )
            examples.sort(key=_key)
        splits = {
            name: _write(sides[name], folder / file)
            for name, file in (("train", TRAIN), ("valid", VALID))
        }
        dropped["like_training"] = _take_out_leaks(sides["valid"], splits, folder)
        card = {
            "kind": KIND,
            "name": target.name,
            "choices": {
                "sources": list(choices.sources),
                "valid_share": choices.valid_share,
                "most": choices.most,
            },
            "splits": splits,
            "dropped_from_valid": dropped,
            "leak_check": check_files(folder),
            "seconds": round(time.monotonic() - started, 2),
        }
        write_card(folder, card)
        publish(folder, target, replace_old=replace_old)
    return open_corpus(target)


def _examples(source: str) -> Iterator[Example]:
    """What a source asks, each question once: methods of a class share that of its import."""
    if source == "stdlib":
        found = questions_about(stdlib_functions())
    else:
        found = translations(Path(source.removeprefix("pairs:")).expanduser())
    seen: set[bytes] = set()
    for example in found:
        digest = digest_of(comparable(example.question))
        if digest not in seen:
            seen.add(digest)
            yield example


def _some(examples: list[Example], most: int | None) -> list[Example]:
    return examples if most is None else sorted(examples, key=_key)[:most]


def _key(example: Example) -> bytes:
    """An order that mixes items and kinds, and is always the same."""
    return digest_of(f"{example.question}\n{example.answer}")


def _is_held_out(example: Example, choices: InstructionChoices) -> bool:
    place = int.from_bytes(digest_of(comparable(example.item))[:8], "little")
    return place < choices.valid_share * 2.0**64


def _write(examples: list[Example], path: Path) -> dict[str, Any]:
    with path.open("wb") as file:
        written = Written.into(file)
        for example in examples:
            written.add_line(example.to_line())
            written.characters += len(example.question) + len(example.answer)
            written.text_bytes += len((example.question + example.answer).encode())
        written.finish()
    told = written.as_card()
    del told["languages"]
    return told | {
        "items": len({example.item for example in examples}),
        "kinds": dict(Counter(example.kind for example in examples).most_common()),
    }


def _take_out_leaks(valid: list[Example], splits: dict[str, Any], folder: Path) -> int:
    """Writes the validation file again without what training nearly holds; says how many went.

    Names that differ in a letter make questions and answers that do: of 2,055 about the standard
    library 52 are so.
    """
    report = find_leaks(folder / TRAIN, folder / VALID, read=read_turns)
    gone = {leak.valid_id for leak in report.leaks}
    if 0 < len(gone) < len(valid):
        kept = [each for at, each in enumerate(valid, 1) if f"{VALID}:{at}" not in gone]
        splits["valid"] = _write(kept, folder / VALID)
        return len(gone)
    return 0


def check_files(folder: Path) -> dict[str, Any]:
    """Compares the two files as they were written, for the card.

    Raises `InputError` when a question, or nearly all of a conversation, is in both. Answers may
    be: many functions take two arguments.
    """
    train, valid = folder / TRAIN, folder / VALID
    report = find_leaks(train, valid, read=read_turns)
    if report.leaks:
        raise leak_error(report, valid)
    questions: tuple[dict[bytes, str], dict[bytes, str]] = {}, {}
    answers: tuple[set[bytes], set[bytes]] = set(), set()
    for side, path in enumerate((train, valid)):
        for document in read_turns(path):
            question, _, answer = document.text.partition(_BETWEEN)
            questions[side][digest_of(comparable(question))] = document.id
            answers[side].add(digest_of(comparable(answer)))
    both = questions[0].keys() & questions[1].keys()
    if both:
        some = sorted(both)[:3]
        named = "; ".join(f"{questions[1][each]} and {questions[0][each]}" for each in some)
        raise InputError(
            f"{len(both)} held-out questions are asked in training too: {named}. Make the "
            "instructions from other sources.",
            param="source",
            code="validation_overlaps",
        )
    return report.as_card() | {
        "questions_shared": len(both),
        "answers_shared": len(answers[0] & answers[1]),
    }


def read_turns(path: Path) -> Iterator[Document]:
    """The conversations of a file as documents: question and answer."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            said = [turn["content"] for turn in json.loads(line)["messages"]]
            yield Document(f"{path.name}:{number}", _BETWEEN.join(said), path.name, UNKNOWN)

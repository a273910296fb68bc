"""Questions and answers to a folder of chat data, split so that no item is on both sides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import TRAIN, VALID, Corpus, open_corpus
from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.functions import stdlib_functions
from kataribe.make.text.instructions.pairs import translations
from kataribe.make.text.instructions.stdlib import questions_about
from kataribe.make.text.normalise import comparable
from kataribe.make.text.spill import digest_of
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card

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
        sides["valid"] = [e for e in sides["valid"] if comparable(e.question) not in asked]
        for name, examples in sides.items():
            if not examples:
                raise InputError(
                    f"There would be no questions in {name}.jsonl from "
                    f"{', '.join(choices.sources)}. Give more items, or another share.",
                    param="source",
                )
        card = {
            "kind": KIND,
            "name": target.name,
            "choices": {
                "sources": list(choices.sources),
                "valid_share": choices.valid_share,
                "most": choices.most,
            },
            "splits": {
                name: _write(sorted(sides[name], key=_key), folder / file)
                for name, file in (("train", TRAIN), ("valid", VALID))
            },
            "leak_check": _compare(sides),
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


def _compare(sides: dict[str, list[Example]]) -> dict[str, int]:
    """What both sides share; `InputError` when it is an item or a question."""
    items, questions = (
        {comparable(getattr(e, field)) for e in sides["train"]}
        & {comparable(getattr(e, field)) for e in sides["valid"]}
        for field in ("item", "question")
    )
    if items or questions:
        raise InputError(
            f"Held-out instructions overlap with training: {sorted(items | questions)[:3]}.",
            code="validation_overlaps",
        )
    return {"items_shared": len(items), "questions_shared": len(questions)}

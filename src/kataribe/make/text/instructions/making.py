"""Questions and answers to a folder of chat data, split so that no item is on both sides."""

from __future__ import annotations

import functools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import TRAIN, VALID, Corpus, open_corpus
from kataribe.make.text.instructions.checking import check_files, read_turns
from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.functions import stdlib_functions
from kataribe.make.text.instructions.manuals import questions_about_pages
from kataribe.make.text.instructions.pages import manual_pages
from kataribe.make.text.instructions.pairs import translations
from kataribe.make.text.instructions.stdlib import japanese_questions_about, questions_about
from kataribe.make.text.leaks import find_leaks
from kataribe.make.text.normalise import comparable
from kataribe.make.text.sources import STDLIB
from kataribe.make.text.spill import digest_of
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card

KIND = "instructions"
"""What the card calls such a folder."""
JAPANESE_STDLIB = "stdlib:ja"
PAIRS = "pairs:"
MANUALS = "manuals:"
_SOURCES = (
    "stdlib, stdlib:ja, manuals:SOURCE (manual pages of debian:PACKAGE, a folder, ...) and "
    "pairs:FILE (JSON lines with en and ja)"
)
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class InstructionChoices:
    """What instruction data is made of. Raises `InputError` for a wrong value."""

    sources: tuple[str, ...] = ("stdlib",)
    """`stdlib` and `stdlib:ja` (questions about its functions in English and Japanese),
    `manuals:SOURCE` (Japanese questions about manual pages of a source of `corpus make`; all
    such sources are read as one) and `pairs:FILE` (translations)."""
    valid_share: float = 0.05
    """Share of the items that is held out, by the hash of the item."""
    most: int | None = None
    """Most conversations of each source, chosen by hash; None takes all. All are in memory: about
    1 kB each."""
    cache: Path | None = None
    """Where fetched files are kept; None keeps none."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError(f"Instructions need a source: {_SOURCES}.", param="source")
        for source in self.sources:
            named = source.startswith((PAIRS, MANUALS)) and source.partition(":")[2]
            if source not in (STDLIB, JAPANESE_STDLIB) and not named:
                raise InputError(
                    f"Instructions cannot be made from {source!r}; sources are {_SOURCES}.",
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
    choices: InstructionChoices,
    target: Path,
    *,
    replace_old: bool = False,
    report: Report = lambda _: None,
) -> Corpus:
    """Makes the folder `target` with `train.jsonl`, `valid.jsonl` (chat data) and `card.json`.

    `report` is told what it does. Raises `InputError` when there is nothing to ask or nothing can
    be held out, or when the folder is there and `replace_old` is false.
    """
    started = time.monotonic()
    with workplace(target, replace_old=replace_old) as folder:
        sides: dict[str, list[Example]] = {"train": [], "valid": []}
        asked, repeated = _gathered(choices, report)
        for example in asked:
            sides["valid" if _is_held_out(example, choices) else "train"].append(example)
        new = _untold(sides["valid"], sides["train"])
        dropped = {"answer_in_training": len(sides["valid"]) - len(new)}
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
            "repeated_questions": repeated,
            "dropped_from_valid": dropped,
            "leak_check": check_files(folder),
            "seconds": round(time.monotonic() - started, 2),
        }
        write_card(folder, card)
        publish(folder, target, replace_old=replace_old)
    return open_corpus(target)


def _gathered(choices: InstructionChoices, report: Report) -> tuple[list[Example], int]:
    """What all sources ask, and how many questions were left out because one asked them before.

    Methods of a class share that of its import; pairs may stand in two files.
    """
    functions = functools.cache(lambda: tuple(stdlib_functions()))  # 3 s; for both languages
    sources = list(dict.fromkeys(choices.sources))
    pages = [each for each in sources if each.startswith(MANUALS)]
    asked: list[Example] = []
    seen: set[bytes] = set()
    repeated = 0
    for source in sources:
        if source in pages[1:]:
            continue  # read with the first: the same page may be there in two languages
        report(f"Asking about {source}")
        if source == STDLIB:
            found = questions_about(functions())
        elif source == JAPANESE_STDLIB:
            found = japanese_questions_about(functions())
        elif source in pages:
            found = _about_manuals(pages, choices.cache, report)
        else:
            found = translations(Path(source.removeprefix(PAIRS)).expanduser())
        new = []
        for example in found:
            digest = digest_of(comparable(example.question))
            if digest in seen:
                repeated += 1
            else:
                seen.add(digest)
                new.append(example)
        asked += _some(new, choices.most)
    return asked, repeated


def _about_manuals(sources: list[str], cache: Path | None, report: Report) -> Iterator[Example]:
    with tempfile.TemporaryDirectory() as folder:
        kept = cache or Path(folder)
        read = (manual_pages(each.removeprefix(MANUALS), kept, report) for each in sources)
        yield from questions_about_pages(chain.from_iterable(read))


def _some(examples: list[Example], most: int | None) -> list[Example]:
    return examples if most is None else sorted(examples, key=_key)[:most]


def _key(example: Example) -> bytes:
    """An order that mixes items and kinds, and is always the same."""
    return digest_of(f"{example.question}\n{example.answer}")


def _untold(valid: list[Example], train: list[Example]) -> list[Example]:
    """Those whose answer training does not tell: options of two programs may say the same.

    Answers that stand in their questions are no such telling.
    """
    told = {comparable(example.answer) for example in train if not example.given}
    return [each for each in valid if each.given or comparable(each.answer) not in told]


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

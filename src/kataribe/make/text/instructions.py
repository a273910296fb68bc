"""Instruction data of Kataribe's own: conversations about the functions of Python sources.

A corpus folder whose lines hold `messages` beside the usual fields, so that it can be looked at
as any corpus and taught as conversations.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import TRAIN, VALID
from kataribe.make.text.document import Document
from kataribe.make.text.questions import WORDINGS, Exchange, Function, functions_of
from kataribe.make.text.sources import STDLIB, SourceFile, open_source
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card

SIDES = {"train": TRAIN, "valid": VALID}


@dataclass(frozen=True)
class InstructionChoices:
    """What is asked about, and how.

    Attributes:
        source: `stdlib`, or a file or folder of Python sources.
        languages: Of the questions, keys of `WORDINGS`.
        valid_share: Share of function names that is held out. All functions of a name are on one
            side, so that none is seen in training under another module's roof.
        most: Most functions that are asked about; None for all. Which ones is told by the hash of
            their names, so that it is always the same.
    """

    source: str = STDLIB
    languages: tuple[str, ...] = ("en",)
    valid_share: float = 0.1
    most: int | None = None

    def __post_init__(self) -> None:
        unknown = [each for each in self.languages if each not in WORDINGS]
        if unknown or not self.languages:
            raise InputError(
                f"Questions cannot be asked in {', '.join(unknown) or 'no language'}; choose from "
                f"{', '.join(WORDINGS)}.",
                param="language",
            )
        if not 0 < self.valid_share < 1:
            raise InputError(
                f"valid_share is {self.valid_share}; it must be above 0 and below 1.",
                param="valid_share",
            )
        if self.most is not None and self.most < 2:
            raise InputError(
                f"most is {self.most}; at least 2 functions are needed, one for each side.",
                param="most",
            )


def make_instructions(
    choices: InstructionChoices, target: Path, *, replace_old: bool = False
) -> dict[str, Any]:
    """Writes the corpus and gives its card.

    Raises `NotFoundError` for an unknown source, `InputError` for one with fewer than two names of
    functions or a target that exists, `StorageError` for the disk.
    """
    started = time.monotonic()
    files = _files(choices.source)
    chosen = _chosen(choices, files)
    held_out = _held_out({function.name for function in chosen}, choices.valid_share)
    kinds: Counter[str] = Counter()
    with workplace(target, replace_old=replace_old) as folder:
        splits: dict[str, Any] = {}
        for side, name in SIDES.items():
            here = [each for each in chosen if (each.name in held_out) == (side == "valid")]
            with (folder / name).open("wb") as file:
                written = Written.into(file)
                for document, line in _lines(here, choices, kinds):
                    written.add(line, document)
                written.finish()
            splits[side] = written.as_card()
        card = {
            "kind": "instructions",
            "choices": {**asdict(choices), "sources": [choices.source]},
            "functions": len(chosen),
            "held_out_names": len(held_out),
            "questions": dict(kinds),
            "read": _read(files, len(chosen)),
            "dropped": {},
            "splits": splits,
            "seconds": round(time.monotonic() - started, 2),
        }
        write_card(folder, card)
        publish(folder, target, replace_old=replace_old)
    return card


def _files(source: str) -> list[SourceFile]:
    found = open_source(source, Path(), lambda _: None).files
    return [file for file in found if file.path.suffix == ".py"]


def _read(files: list[SourceFile], functions: int) -> dict[str, Any]:
    return {
        "files": len(files),
        "bytes": sum(file.path.stat().st_size for file in files),
        "documents": functions,
        "encodings": {"utf-8": len(files)},
        "replaced_characters": 0,
        "skipped": {},
    }


def _chosen(choices: InstructionChoices, files: list[SourceFile]) -> list[Function]:
    """Functions in the order of their hashes, each once."""
    found: dict[tuple[str, str, str], Function] = {}
    for function in _functions(files):
        found.setdefault((function.module, function.name, function.signature), function)
    order = sorted(found, key=lambda key: _hash("\0".join(key)))
    chosen = [found[key] for key in order[: choices.most]]
    if len({function.name for function in chosen}) < 2:
        raise InputError(
            f"{choices.source} has {len(chosen)} public functions with a docstring; at least two "
            "of different names are needed.",
            param="source",
        )
    return chosen


def _functions(files: list[SourceFile]) -> Iterator[Function]:
    """Those of every file that is Python in UTF-8; others are rare, and no loss."""
    for file in files:
        module = file.label.removeprefix(f"{STDLIB}/").removesuffix(".py").replace("/", ".")
        try:
            text = file.path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from functions_of(module.removesuffix(".__init__"), text)


def _held_out(names: set[str], share: float) -> frozenset[str]:
    """The names with the lowest hashes; at least one, and not all."""
    order = sorted(names, key=_hash)
    return frozenset(order[: min(max(1, round(share * len(order))), len(order) - 1)])


def _lines(
    functions: list[Function], choices: InstructionChoices, kinds: Counter[str]
) -> Iterator[tuple[Document, bytes]]:
    for function in functions:
        for language in choices.languages:
            for exchange in WORDINGS[language](function):
                kinds[f"{exchange.kind} ({language})"] += 1
                yield _line(function, exchange, language, choices.source)


def _line(
    function: Function, exchange: Exchange, language: str, source: str
) -> tuple[Document, bytes]:
    name = f"{function.module}.{function.name}/{exchange.kind}/{language}"
    document = Document(
        id=f"{name}/{_hash(function.signature):08x}",
        text=f"{exchange.question}\n\n{exchange.answer}",
        source=source,
        language=language,
    )
    messages = [
        {"role": "user", "content": exchange.question},
        {"role": "assistant", "content": exchange.answer},
    ]
    fields = {**asdict(document), "kind": exchange.kind, "messages": messages}
    return document, json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).digest())

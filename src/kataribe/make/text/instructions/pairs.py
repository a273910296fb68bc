"""Questions for translations, from JSON lines `{"en": ..., "ja": ...}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.groups import Groups
from kataribe.make.text.instructions.stdlib import chosen
from kataribe.make.text.unpacking import unpacked

TO_JAPANESE = (
    "Translate into Japanese: {text}",
    "日本語に訳してください。\n{text}",
    "次の英語を日本語にしてください。\n{text}",
    "How do you say this in Japanese? {text}",
)
TO_ENGLISH = (
    "Translate into English: {text}",
    "英語に訳してください。\n{text}",
    "次の日本語を英語にしてください。\n{text}",
    "What does this mean in English? {text}",
)
_TOKENISED = re.compile(r" [.?!]$| '(?:s|t|m|re|ll|ve|d) ")
_JOINS = (
    (re.compile(r" ([.,?!;:])"), r"\1"),
    (re.compile(r" '(s|t|m|re|ll|ve|d)\b"), r"'\1"),
    (re.compile(r"\bi\b(?=['\s.,?!]|$)"), "I"),
)


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """English and Japanese of each line.

    Raises `NotFoundError`, and `FormatError` that names the line that is no such pair.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path} of pairs.", param="source")
    with path.open("rb") as file:
        stream, _ = unpacked(file, path.name, path.stat().st_size)
        number = 0
        while line := stream.readline(1 << 20):
            number += 1
            if not line.strip():
                continue
            try:
                pair = json.loads(line)
                english, japanese = pair["en"], pair["ja"]
            except (ValueError, KeyError, TypeError, RecursionError):
                english = japanese = None
            if not isinstance(english, str) or not isinstance(japanese, str):
                raise FormatError(
                    f'{path.name}:{number} is no pair; a line is {{"en": "...", "ja": "..."}}.'
                )
            if english.strip() and japanese.strip():
                yield joined(english.strip()), japanese.strip()


def translations(path: Path) -> Iterator[Example]:
    """Both directions of every pair. Pairs that share a sentence are one item."""
    pairs = list(read_pairs(path))
    groups = Groups()
    for english, japanese in pairs:
        groups.join(f"en {english.lower()}", f"ja {japanese}")
    for english, japanese in pairs:
        item = groups.find(f"ja {japanese}")
        for kind, phrasings, text, answer in (
            ("to_japanese", TO_JAPANESE, english, japanese),
            ("to_english", TO_ENGLISH, japanese, english),
        ):
            [phrasing] = chosen(phrasings, f"{kind} {text}", 1)
            yield Example(phrasing.format(text=text), answer, item, kind)


def joined(english: str) -> str:
    """English that was cut into words (`can 't`, ` .`, lower case) as people write it."""
    if not _TOKENISED.search(english):
        return english
    for pattern, written in _JOINS:
        english = pattern.sub(written, english)
    return english[:1].upper() + english[1:]

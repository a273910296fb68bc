"""A small corpus of three languages out of what every machine has."""

from __future__ import annotations

import inspect
import json
import random
import textwrap
from functools import cache
from pathlib import Path

from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS

_JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。"
    "「そうですか」と彼は言った。東京タワーの高さは三百三十三メートルである。"
)


@cache
def documents() -> tuple[tuple[str, str], ...]:
    """Texts with their languages, about 300 kB."""
    dice = random.Random(5)
    words = (vocabularies.WORDS + " " + (random.__doc__ or "")).split()
    sentences = [each + "。" for each in _JAPANESE.split("。") if each]
    english = [" ".join(dice.choices(words, k=60)) + "." for _ in range(60)]
    japanese = ["".join(dice.choices(sentences, k=12)) for _ in range(60)]
    modules = (json, random, textwrap, inspect, json.decoder, json.encoder)
    code = [inspect.getsource(each)[:20_000] for each in modules]
    code += [part for text in code for part in text.split("\n\n\n")[:20]]
    rows = (
        [("en", t) for t in english] + [("ja", t) for t in japanese] + [("code", t) for t in code]
    )
    rows += [("", text) for text in TEXTS]
    dice.shuffle(rows)
    return tuple((text, language) for language, text in rows)


def texts() -> list[str]:
    """The texts alone."""
    return [text for text, _ in documents()]


def write_corpus(folder: Path) -> Path:
    """A corpus' folder: every tenth document is held apart."""
    folder.mkdir(parents=True)
    for split in ("train", "valid"):
        rows = [
            {"id": str(index), "text": text, "source": "made", "language": language}
            for index, (text, language) in enumerate(documents())
            if (index % 10 == 9) == (split == "valid")
        ]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "card.json").write_text("{}", "utf-8")
    return folder

"""Texts of made-up words for tests: as many as wanted, none like another."""

from __future__ import annotations

import random

SYLLABLES = ["ka", "ki", "ku", "ko", "sa", "shi", "su", "ta", "chi", "to", "na", "ni", "ra", "re"]
KANA = "かきくけこさしすせそたちつてとなにぬねのらりるれろはひふへほまみむめも"
KANJI = "山川田中日本人大小上下左右東西南北春夏秋冬花鳥風月雨雪空海森林木石火水金土"


def english(seed: int, words: int = 120) -> str:
    """Prose in the Latin script, in sentences of ten words."""
    rng = random.Random(seed)
    made = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 3))) for _ in range(words)]
    lines = [" ".join(made[i : i + 10]).capitalize() + "." for i in range(0, words, 10)]
    return "\n".join(lines) + "\n"


def japanese(seed: int, characters: int = 400) -> str:
    """Prose of kana and kanji, in sentences of twenty characters."""
    rng = random.Random(seed)
    made = "".join(rng.choice(KANA if rng.random() < 0.6 else KANJI) for _ in range(characters))
    return "".join(f"{made[i : i + 20]}。\n" for i in range(0, characters, 20))

"""The texts that both sides embed: docstrings of this Python's library, and Japanese sentences."""

from __future__ import annotations

import ast
import random
import sysconfig
from pathlib import Path

SENTENCES = (
    "吾輩は猫である。名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
    "吾輩はここで始めて人間というものを見た。",
    "しかもあとで聞くとそれは書生という人間中で一番獰悪な種族であったそうだ。",
)
"""From Natsume Soseki's novel of 1905, whose rights have ended."""
_DOCUMENTED = (ast.FunctionDef, ast.ClassDef)
_LONGEST = 1000
"""Characters: about 300 tokens, so that no side has to cut anything."""


def texts(count: int, seed: int = 7) -> list[str]:
    """`count` texts of unlike length: two thirds English, one third Japanese."""
    draw = random.Random(seed)
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-j]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
        found += [" ".join((ast.get_docstring(node) or "").split())[:_LONGEST] for node in nodes]
    english = [text for text in found if len(text) > 30]
    japanese = ["".join(draw.choices(SENTENCES, k=draw.randint(1, 5))) for _ in range(count // 3)]
    mixed = [*draw.sample(english, count - len(japanese)), *japanese]
    draw.shuffle(mixed)
    return mixed

"""Makes attacks and ordinary requests from descriptions: templates, pools of fillers, disguises.

A description is a text file: `about:` and `kind:` lines, then `[en]` and `[ja]` with one template a
line. Templates and fillers at even places make the training set, those at odd places the unseen
one, so no wording of a test was ever trained on: neither a template nor what fills its slots.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from benchmarks.guards.disguises import DISGUISES

HERE = Path(__file__).parent
FAMILIES, ORDINARY, SEALED = HERE / "families", HERE / "ordinary", HERE / "sealed"
LANGUAGES = ("en", "ja")
Split = Literal["train", "test"]
_OTHER = {"en": "ja", "ja": "en"}
_SLOT = re.compile(r"\{(\w+)\}")
_VARIANT = re.compile(r"\(([^()|]*(?:\|[^()|]*)+)\)")
"""Words in a filler of which one is taken."""
_AND = {"en": "{void} and {goal}.", "ja": "{void}。{goal}。"}


@dataclass(frozen=True)
class Sample:
    """One text.

    Attributes:
        text: What a model would be given.
        family: The description that it was made from.
        language: Of its wording.
        kind: Whether a user said it or it stands in a document.
        spans: The parts that are not ordinary filling (characters from, to).
        template: What it was made from, so that measurements know what belongs together.
    """

    text: str
    family: str
    language: str
    kind: Literal["user", "document"]
    spans: tuple[tuple[int, int], ...] = ()
    template: str = ""


@dataclass(frozen=True)
class Description:
    """A description as its file says it."""

    name: str
    about: str
    kind: Literal["user", "document"]
    templates: Mapping[str, tuple[str, ...]]


@cache
def descriptions(folder: Path) -> tuple[Description, ...]:
    """All descriptions of a folder, by name."""
    paths = sorted(path for path in folder.glob("*.txt") if path.stem != "pools")
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Description:
    heads, parts = _parts(path)
    kind: Literal["user", "document"] = "document" if heads.get("kind") == "document" else "user"
    return Description(path.stem, heads["about"], kind, parts)


@cache
def pools(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """The fillers of a folder's slots, by slot and language (`goal.en`)."""
    return _parts(folder / "pools.txt")[1]


def _parts(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    heads: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[([\w.]+)\]", line):
            lines = parts.setdefault(found[1], [])
        elif lines is not None and line:
            lines.append(line.replace("\\n", "\n"))
        elif found := re.match(r"(\w+): (.*)", line):
            heads[found[1]] = found[2]
    return heads, {name: tuple(each) for name, each in parts.items()}


def half(items: Sequence[str], split: Split) -> Sequence[str]:
    """The training half of templates or fillers, or the unseen one."""
    return items[0::2] if split == "train" else items[1::2]


def samples(folder: Path, split: Split | None, each: int, seed: int = 0) -> list[Sample]:
    """`each` texts of each template of a half (None: of all templates, with unseen fillers)."""
    made: dict[str, Sample] = {}
    for description in descriptions(folder):
        for language in LANGUAGES:
            templates = description.templates[language]
            for template in templates if split is None else half(templates, split):
                draw = random.Random(f"{seed} {description.name} {template}")
                for _ in range(each):
                    filler = _Filler(folder, language, split or "test", draw)
                    text, spans = filler.fill(template)
                    made.setdefault(
                        text,
                        Sample(text, description.name, language, description.kind, spans, template),
                    )
    return list(made.values())


@dataclass
class _Filler:
    folder: Path
    language: str
    split: Split
    draw: random.Random
    persona: str = ""

    def fill(self, template: str) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text of a template, and the parts of it that are no carrier."""
        text, at, spans, begin = "", 0, [], 0
        for slot in _SLOT.finditer(template):
            if template[slot.start() - 1 : slot.start()] == "{":
                continue  # {{literal}}
            text += template[at : slot.start()]
            at = slot.end()
            filler = self.value(slot[1])
            if slot[1] == "carrier":
                spans.append((begin, len(text)))
                begin = len(text) + len(filler)
            text += filler
        text += template[at:]
        spans.append((begin, len(text)))
        text = text.replace("{{", "{").replace("}}", "}")
        return text, tuple((start, end) for start, end in spans if end - start > 8)

    def value(self, slot: str) -> str:
        """What fills a slot."""
        if slot in DISGUISES:
            language = "en" if slot in ("tags", "rot13") else self.language
            return DISGUISES[slot](self.order(language), self.draw)
        if slot in ("b64_text", "hex_text"):
            return DISGUISES[slot.partition("_")[0]](self.pick("text", self.language), self.draw)
        if slot in ("split", "parts", "bars"):
            return self.cut(slot)
        if slot.endswith("_other"):
            return self.pick(slot.removesuffix("_other"), _OTHER[self.language])
        if slot in ("persona", "job"):  # the same one all over a text
            self.persona = self.persona or self.pick(slot, self.language)
            return self.persona
        return self.pick(slot.rstrip("2"), self.language)

    def pick(self, name: str, language: str) -> str:
        """A filler of this half."""
        found = self.draw.choice(half(pools(self.folder)[f"{name}.{language}"], self.split))
        found = _VARIANT.sub(lambda words: self.draw.choice(words[1].split("|")), found)
        inside = language == "en" and name in ("void", "goal") and self.draw.random() < 0.4
        return found[0].lower() + found[1:] if inside else found

    def order(self, language: str) -> str:
        """A whole order, as one sentence."""
        return _SLOT.sub(lambda slot: self.pick(slot[1], language), _AND[language])

    def cut(self, slot: str) -> str:
        """An order in pieces."""
        order = self.order(self.language)
        if slot == "bars":
            words = order.split() if self.language == "en" else re.findall(".{1,3}", order)
            return " | ".join(words)
        first, second = sorted(self.draw.sample(range(4, len(order) - 4), 2))
        pieces = (order[:first], order[first:second], order[second:])
        if slot == "parts":
            return " ".join(f'({place}) "{piece}"' for place, piece in enumerate(pieces, 1))
        return " ".join(
            f'{name} = "{piece}"' + ("," if name != "c" else ".")
            for name, piece in zip("abc", pieces, strict=True)
        )

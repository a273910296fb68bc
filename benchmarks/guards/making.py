"""Makes attacks and ordinary requests from descriptions: templates, pools of fillers, disguises.

A description is a text file: `about:` and `kind:` lines, then `[en]` and `[ja]` with one template a
line. Templates and fillers at even places make the training set, those at odd places the unseen
one, so no wording of a test was ever trained on: neither a template nor what fills its slots.

What lies in `taught/` is for training only: more families, and more fillers for all of them. `kin:`
names the measured families that a taught one resembles; it is kept out with any of them. Fillers
in a section such as `[goal@extraction.en]` are kept out with that family, wherever they stand.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from benchmarks.guards.disguises import DISGUISES

HERE = Path(__file__).parent
FAMILIES, ORDINARY, SEALED = HERE / "families", HERE / "ordinary", HERE / "sealed"
TAUGHT, TAUGHT_ORDINARY = HERE / "taught" / "families", HERE / "taught" / "ordinary"
_MORE = {FAMILIES: TAUGHT, TAUGHT: FAMILIES, ORDINARY: TAUGHT_ORDINARY, TAUGHT_ORDINARY: ORDINARY}
"""Where a folder's further fillers are."""
LANGUAGES = ("en", "ja")
Split = Literal["train", "tune", "test"]
"""`tune`: templates that are trained with, but fillers of their own; for thresholds."""
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
        kin: Families with which it is kept out, besides its own.
    """

    text: str
    family: str
    language: str
    kind: Literal["user", "document"]
    spans: tuple[tuple[int, int], ...] = ()
    template: str = ""
    kin: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Description:
    """A description as its file says it."""

    name: str
    about: str
    kind: Literal["user", "document"]
    templates: Mapping[str, tuple[str, ...]]
    kin: frozenset[str] = frozenset()


@cache
def descriptions(folder: Path) -> tuple[Description, ...]:
    """All descriptions of a folder, by name."""
    paths = sorted(path for path in folder.glob("*.txt") if path.stem != "pools")
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Description:
    heads, parts = _parts(path)
    kind: Literal["user", "document"] = "document" if heads.get("kind") == "document" else "user"
    kin = frozenset(heads.get("kin", "").split())
    return Description(path.stem, heads["about"], kind, parts, kin)


@cache
def pools(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """The fillers of a folder's slots, by slot and language (`goal.en`)."""
    path = folder / "pools.txt"
    return _parts(path)[1] if path.exists() else {}


@cache
def fillers(folder: Path, name: str, language: str, split: Split) -> Sequence[tuple[str, str]]:
    """What may fill a slot, and the family that it is kept out with (empty: none).

    Every fourth taught filler is for tuning only.
    """
    measured = folder if folder not in (TAUGHT, TAUGHT_ORDINARY) else _MORE[folder]
    own = half(
        pools(measured).get(f"{name}.{language}", ()), "test" if split == "test" else "train"
    )
    found = [(each, "") for each in own] if split != "tune" else []
    if split != "test" and measured in _MORE:
        for section, taught in pools(_MORE[measured]).items():
            slot, _, kin = section.partition(".")[0].partition("@")
            if (slot, section.rpartition(".")[2]) == (name, language):
                kept = [place % 4 == 3 for place in range(len(taught))]
                found += [
                    (each, kin)
                    for each, held in zip(taught, kept, strict=True)
                    if held == (split == "tune")
                ]
    return found or [(each, "") for each in own]


def _parts(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    heads: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[([\w.@]+)\]", line):
            lines = parts.setdefault(found[1], [])
        elif lines is not None and line:
            lines.append(line.replace("\\n", "\n"))
        elif found := re.match(r"(\w+): (.*)", line):
            heads[found[1]] = found[2]
    return heads, {name: tuple(each) for name, each in parts.items()}


def half(items: Sequence[str], split: Split) -> Sequence[str]:
    """The training half of templates or fillers, or the unseen one."""
    return items[1::2] if split == "test" else items[0::2]


def samples(folder: Path, split: Split | None, each: int, seed: int = 0) -> list[Sample]:
    """`each` texts of each template of a half (None: of all templates, with unseen fillers).

    Of what is taught all templates belong to the training half.
    """
    made: dict[str, Sample] = {}
    whole = split is None or folder in (TAUGHT, TAUGHT_ORDINARY)
    for description in descriptions(folder):
        for language in LANGUAGES:
            templates = description.templates[language]
            for template in templates if whole else half(templates, split or "test"):
                draw = random.Random(f"{seed} {description.name} {template}")
                for _ in range(each):
                    filler = _Filler(folder, language, split or "test", draw)
                    text, spans = filler.fill(template)
                    sample = Sample(
                        text,
                        description.name,
                        language,
                        description.kind,
                        spans,
                        template,
                        description.kin | filler.kin,
                    )
                    made.setdefault(text, sample)
    return list(made.values())


@dataclass
class _Filler:
    folder: Path
    language: str
    split: Split
    draw: random.Random
    persona: str = ""
    kin: set[str] = field(default_factory=set)

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
        found, kin = self.draw.choice(fillers(self.folder, name, language, self.split))
        self.kin |= {kin} - {""}
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

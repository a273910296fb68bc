"""What orders to a model have in common, as patterns on plain text, English and Japanese.

They stand in `rules.toml`. No pattern decides alone: each is one input of the model that weighs
them (`scoring`). Each names the family of attacks that it was written for, so that a measurement
which keeps a family out can keep its patterns out, too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

RULES = "rules.toml"


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern.

    Attributes:
        name: What it finds, in a few words.
        family: The family of attacks that it was written for; None: no family in particular.
        pattern: A regular expression on plain text (small letters, hiragana for katakana).
    """

    name: str
    family: str | None
    pattern: re.Pattern[str]


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of the package, in the order of their file."""
    text = files("kataribe.use.guards").joinpath(RULES).read_text(encoding="utf-8")
    said = tomllib.loads(text)
    parts: dict[str, str] = said["parts"]

    def whole(pattern: str) -> str:
        return re.sub(r"<([a-z]+-[a-z]+)>", lambda part: parts[part[1]], pattern)

    return tuple(
        Rule(each["name"], each.get("family"), re.compile(whole(each["pattern"]), re.DOTALL))
        for each in said["rules"]
    )


def hits(text: str, without: Collection[str] = ()) -> list[tuple[int, int, int]]:
    """Each place in plain text where a rule applies: the rule's number, from, to.

    `without`: families whose rules are left out.
    """
    return [
        (number, found.start(), found.end())
        for number, rule in enumerate(rules())
        if rule.family not in without
        for found in rule.pattern.finditer(text)
    ]

"""The steps of techniques and agents in a reply: what is kept of each, and told to pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kataribe.base.events import Step

LINE = 300
"""Characters of a step's line; the whole stands in its content."""

LONGEST = 20_000
"""Characters of one step's content: as much as an agent's model reads of a result."""

LONGEST_TREE = 200_000
"""Characters of a tree of thoughts: cut JSON is no tree."""

MOST_CONTENT = 1_000_000
"""Characters of all contents of a reply; of steps beyond it only the line is kept."""

MOST = 2_000
"""Steps of a reply; what comes after them is counted, and not kept."""


class Steps:
    """The steps of one reply, each a JSON-ready dictionary.

    `name` and `line` are the event's; `content` the whole where the line is shorter, `left` how
    many of its characters are not kept; `call` joins a call with what came of it; `at` is seconds
    since asking; `tokens` as in `Step`. In the place behind the last that is kept stands one named
    `more`, whose `left` counts those that came after it.
    """

    def __init__(self, kept: Sequence[Mapping[str, Any]], whole: Callable[[str], str]) -> None:
        """`whole` makes text sound; `kept` are those of a reply that goes on."""
        self.all: list[Mapping[str, Any]] = [dict(each) for each in kept]
        self._whole = whole
        self._room = MOST_CONTENT - sum(len(each.get("content", "")) for each in self.all)

    def add(self, step: Step, at: float) -> tuple[int, Mapping[str, Any]]:
        """Keeps a step; gives its place and what is kept of it."""
        place = min(len(self.all), MOST)
        if place == MOST:
            before = self.all[MOST]["left"] if len(self.all) > MOST else 0
            told = self._told(Step("more", ""), at) | {"left": before + 1}
        else:
            told = self._told(step, at)
        self.all[place:] = [told]
        return place, told

    def _told(self, step: Step, at: float) -> dict[str, Any]:
        line = self._whole(step.detail)
        content = self._whole(step.content)
        if not content and len(line) > LINE:
            content = line
        most = min(LONGEST_TREE if step.name == "tree" else LONGEST, max(0, self._room))
        left = max(0, len(content) - most)
        if left and step.name == "tree":
            left, content = len(content), ""
        content = content[:most]
        self._room -= len(content)
        shown = line if len(line) <= LINE else f"{line[: LINE - 1]}…"
        return {
            "name": self._whole(step.name)[:40],
            "line": "" if step.name == "tree" else shown,
            "content": content,
            "left": left,
            "call": self._whole(step.call)[:64],
            "at": round(at, 3),
            "tokens": step.tokens,
        }

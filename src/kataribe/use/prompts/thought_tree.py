"""A tree of thoughts as data: what a page draws, a test compares and a file keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from kataribe.base.errors import InputError


@dataclass(frozen=True, slots=True)
class Thought:
    """A node.

    Attributes:
        id: Its place: "2.1" is the first thought under the second one.
        parent: The id it goes on from; empty for the first level.
        text: What was thought.
        score: From the judge, 1 (wrong) to 10 (certain); 0 where it gave no number.
        is_kept: It was among the best of its level.
        is_answer: It ends in an answer, and nothing goes on from it.
    """

    id: str
    parent: str
    text: str
    score: float = 0.0
    is_kept: bool = False
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """All thoughts about a question, level by level, and the path that was chosen."""

    thoughts: tuple[Thought, ...]
    chosen: tuple[str, ...] = ()

    def path_to(self, id_: str) -> tuple[Thought, ...]:
        """The thoughts from the first level down to one."""
        by_id = {thought.id: thought for thought in self.thoughts}
        path = []
        while id_:
            path.append(by_id[id_])
            id_ = by_id[id_].parent
        return tuple(path[::-1])

    def to_json(self) -> str:
        """One line of JSON; `tree_from_json` reads it back to an equal tree."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


def tree_from_json(text: str) -> Tree:
    """The tree that `to_json` wrote; `InputError` for anything else."""
    try:
        value = json.loads(text)
        thoughts = tuple(Thought(**each) for each in value["thoughts"])
        return Tree(thoughts, tuple(value["chosen"]))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"This is no tree of thoughts: {error}. Give the detail of a step called tree."
        ) from None


def in_steps(path: Sequence[Thought]) -> str:
    """The thoughts of a path as numbered lines."""
    return "\n".join(f"{number}. {thought.text}" for number, thought in enumerate(path, 1))

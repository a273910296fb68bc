"""One question with its answer, and how it lies in a line of chat data."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation of one turn."""

    question: str
    """What the user says."""
    answer: str
    """What the assistant should say."""
    item: str
    """What it is about (a function, a pair of sentences); a whole item is trained on or held
    out."""
    kind: str
    """The sort of question, such as `does`, `signature`, `to_japanese`."""
    given: bool = False
    """The question holds all that the answer needs. Such answers (`It takes two arguments.`) are
    right for many questions, and having seen one gives no other away."""

    def to_line(self) -> bytes:
        """A line of chat data in UTF-8, with its newline.

        Item and kind stand beside the messages, for evaluations: questions about one item are no
        independent tries.
        """
        messages = [
            {"role": "user", "content": self.question},
            {"role": "assistant", "content": self.answer},
        ]
        row = {"messages": messages, "kind": self.kind, "item": self.item, "given": self.given}
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

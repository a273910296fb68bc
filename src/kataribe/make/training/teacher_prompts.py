"""What a teacher is asked: prompts out of conversations, questions, or plain lines of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, InputError
from kataribe.base.messages import Message, text_of
from kataribe.make.tokens.apart import check_apart, hold_out
from kataribe.make.tokens.chat_data import parse_conversation
from kataribe.make.tokens.corpus_files import read_rows
from kataribe.make.training.short_plans import train_and_valid

_ANSWER = {"role": "assistant", "content": "..."}


@dataclass(frozen=True)
class TeacherPrompt:
    """A conversation that waits for the assistant's next words.

    Attributes:
        messages: System text or none, then turns, the user's last.
        held_out: Whether its answers are for judging and not for learning.
    """

    messages: tuple[Message, ...]
    held_out: bool = False

    @property
    def rows(self) -> list[dict[str, str]]:
        """The messages as chat data has them."""
        return [{"role": each.role, "content": text_of(each)} for each in self.messages]

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for its words (BLAKE2b)."""
        return hashlib.blake2b(json.dumps(self.rows).encode(), digest_size=8).hexdigest()

    @property
    def text(self) -> str:
        """Everything that is said in it."""
        return "\n".join(text_of(each) for each in self.messages)


def read_prompts(path: Path, share: float) -> tuple[list[TeacherPrompt], int]:
    """The prompts of a file or folder, each once, and how many stood there again.

    A folder says itself what is held out (`valid.jsonl`); else `share` is, by hash.

    Raises:
        FormatError: A line has neither messages nor a prompt, or turns out of order.
        InputError: There is nothing to ask, or a prompt is on both sides.
    """
    train, valid = train_and_valid(path)
    first = list(_prompts(train))
    if valid is None:
        learned, judged = hold_out(first, share, lambda each: each.text)
    else:
        learned, judged = first, list(_prompts(valid))
        check_apart(
            (each.text for each in learned), (each.text for each in judged), str(train), str(valid)
        )
    if not learned:
        raise InputError(f"{path} has no prompts; there is nothing to ask.", param="questions")
    held = [TeacherPrompt(each.messages, held_out=True) for each in judged]
    once = {each.key: each for each in (*held, *learned)}
    return list(once.values()), len(held) + len(learned) - len(once)


def _prompts(path: Path) -> Iterator[TeacherPrompt]:
    for number, row in enumerate(read_rows(path), start=1):
        where = f"Line {number} of {path}"
        messages: Any = row.get("messages")
        if messages is None:
            prompt = row.get("prompt")
            if not isinstance(prompt, str):
                raise FormatError(
                    f'{where} asks nothing; it needs `messages` or `prompt`: {{"prompt": "..."}}.'
                )
            messages = [{"role": "user", "content": prompt}]
        if isinstance(messages, list):
            messages = list(messages)
            while messages and _is_answer(messages[-1]):
                messages.pop()
            messages.append(_ANSWER)
        checked = parse_conversation({"messages": messages}, where)
        yield TeacherPrompt(checked.messages[:-1])


def _is_answer(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"

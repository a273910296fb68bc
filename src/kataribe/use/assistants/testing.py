"""Whether an assistant's replies are what its recipe says they must be."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import LM, Request, reply
from kataribe.base.messages import text_message, text_of
from kataribe.use.assistants.recipe import Check
from kataribe.use.guards.schema import complaint


@dataclass(frozen=True, slots=True)
class Checked:
    """How one check went.

    Attributes:
        check: What was asked and must hold.
        reply: The words that came.
        failed: What did not hold, each in a line; empty where all did.
    """

    check: Check
    reply: str
    failed: tuple[str, ...]


async def run_checks(lm: LM, checks: Sequence[Check]) -> AsyncIterator[Checked]:
    """Asks every check's question by itself, one after the other."""
    for check in checks:
        try:
            finished = await reply(lm, Request((text_message("user", check.ask),)))
        except KataribeError as error:
            yield Checked(check, "", (error.message,))
            continue
        words = text_of(finished.message)
        failed = what_failed(check, words)
        if finished.reason not in ("stop", "length"):
            failed = (f"it ended with {finished.reason}: {finished.detail}", *failed)
        yield Checked(check, words, failed)


def what_failed(check: Check, words: str) -> tuple[str, ...]:
    """What does not hold of a reply, each in a line."""
    lower = words.casefold()
    failed = [f"lacks {word!r}" for word in check.contains if word.casefold() not in lower]
    failed += [f"has {word!r}" for word in check.lacks if word.casefold() in lower]
    if check.matches:
        try:
            found = re.search(check.matches, words)
        except re.error as error:
            raise InputError(
                f"matches is {check.matches!r:.80}, which is no regular expression: {error}.",
                param="tests",
            ) from error
        if found is None:
            failed.append(f"does not match {check.matches!r}")
    if check.json_of is not None:
        problem = complaint(words, check.json_of)
        failed += [problem] if problem else []
    return tuple(failed)

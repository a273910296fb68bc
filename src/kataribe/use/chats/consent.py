"""Consent to calls of tools: what a reply asks of its person, and how the answer is waited for.

A model that needs consent ends its turn with the reason `approval` and the calls that wait. The
reply stays open; each such end is a *round*, kept with its message:

    calls    [{id, name, arguments}]  what it wants to do
    answers  {id: {approved, why, by}}  by: "person", "always" (allowed in this conversation before)
             or "time" (nobody answered); calls without one still wait
    asked_at, until  seconds since 1970
    usage    [prompt, completion, cached]  tokens used up to there in this round's request

With the answers the same model is asked again: the same messages, its calls, and for each call a
tool message `{"approval": "yes"}` or `{"approval": "no", "why": "..."}`. So a round that is in the
database is all that is needed to go on after the server was started again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.events import Finished, Usage
from kataribe.base.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart, text_of
from kataribe.store.asking import Answered
from kataribe.store.ids import now

Round: TypeAlias = Mapping[str, Any]

SECONDS = 3600.0
"""How long a reply waits for consent; then the calls count as refused, and the model goes on."""

LONGEST_WHY = 2000
"""Characters of the words to the model beside an answer."""

TOO_LATE = "Nobody answered in time."


class Consents:
    """The rounds of one reply; in one event loop. `tell` is called with every change's place."""

    def __init__(
        self, kept: Sequence[Round], whole: Callable[[str], str], tell: Callable[[int], None]
    ) -> None:
        self.rounds: list[dict[str, Any]] = [dict(each) for each in kept]
        self._whole = whole
        self._tell = tell
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> tuple[ToolCallPart, ...]:
        """Calls of the newest round that nobody has answered."""
        return waiting_in(self.rounds)

    @property
    def usage(self) -> Usage:
        """What all rounds together used."""
        sums = [sum(each) for each in zip(*(r["usage"] for r in self.rounds), strict=True)]
        prompt, drawn, cached = sums or (0, 0, 0)
        return Usage(prompt, drawn, cached)

    def ask(self, end: Finished, allowed: frozenset[str], seconds: float) -> bool:
        """A new round for the calls at a turn's end; False where it has none.

        Tools that are `allowed` by now are answered at once.
        """
        calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
        if not calls:
            return False
        begun, usage = now(), end.usage
        yes = {"approved": True, "why": "", "by": "always"}
        round_ = {
            "calls": [
                {"id": c.id, "name": self._whole(c.name), "arguments": self._whole(c.arguments)}
                for c in calls
            ],
            "answers": {call.id: yes for call in calls if call.name in allowed},
            "asked_at": begun,
            "until": begun + seconds,
            "usage": [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens],
            "text": self._whole(text_of(end.message)),
        }
        self.rounds.append(round_)
        self._tell(len(self.rounds) - 1)
        return True

    async def wait(self) -> None:
        """Until every call has an answer; those that get none in time are refused."""
        if not self.waiting:
            return
        try:
            async with asyncio.timeout(max(0.0, self.rounds[-1]["until"] - now())):
                while self.waiting:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            late = [Answered(call.id, approved=False, why=TOO_LATE) for call in self.waiting]
            self.answer(late, by="time")

    def answer(self, answers: Sequence[Answered], by: str = "person") -> None:
        """Takes answers in; raises what `answered` does."""
        self.rounds[:] = answered(self.rounds, answers, by)
        self._tell(len(self.rounds) - 1)
        self._changed.set()


def waiting_in(rounds: Sequence[Round]) -> tuple[ToolCallPart, ...]:
    """Calls of the newest round that nobody has answered."""
    if not rounds:
        return ()
    given = rounds[-1]["answers"]
    return tuple(
        ToolCallPart(call["id"], call["name"], call["arguments"])
        for call in rounds[-1]["calls"]
        if call["id"] not in given
    )


def answered(
    rounds: Sequence[Round], answers: Sequence[Answered], by: str = "person"
) -> list[dict[str, Any]]:
    """The rounds with answers to calls of the newest.

    Raises:
        InputError: One of the calls does not wait any more (it was answered elsewhere), or words
            to the model are too long.
    """
    open_ = {call.id for call in waiting_in(rounds)}
    for each in answers:
        if each.call not in open_:
            raise InputError(
                "This call does not wait for consent any more; it was answered in another window, "
                "its time was over, or the reply was stopped.",
                param="call",
                code="not_waiting",
            )
        if len(each.why) > LONGEST_WHY or "\0" in each.why:
            raise InputError(
                f"why has {len(each.why):,} characters; at most {LONGEST_WHY:,} without NUL are "
                "passed on. Shorten it, and say the rest in a message.",
                param="why",
            )
    new = {a.call: {"approved": a.approved, "why": a.why, "by": by} for a in answers}
    *before, newest = (dict(each) for each in rounds)
    return [*before, newest | {"answers": {**newest["answers"], **new}}]


def as_messages(rounds: Sequence[Round]) -> tuple[Message, ...]:
    """What the model is given of rounds that have their answers."""
    told: list[Message] = []
    for each in rounds:
        said: tuple[Part, ...] = (TextPart(each["text"]),) if each.get("text") else ()
        calls = tuple(ToolCallPart(c["id"], c["name"], c["arguments"]) for c in each["calls"])
        told.append(Message("assistant", (*said, *calls)))
        told += [_answer(call.id, each["answers"].get(call.id)) for call in calls]
    return tuple(told)


def _answer(call: str, answer: Mapping[str, Any] | None) -> Message:
    if answer is not None and answer["approved"]:
        content = '{"approval": "yes"}'
    else:
        why = "" if answer is None else answer["why"]
        content = json.dumps({"approval": "no", "why": why}, ensure_ascii=False)
    return Message("tool", (ToolResultPart(call, content),))

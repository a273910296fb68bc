"""A turn: what an agent has done since it was asked, as its journal tells it.

The state is a fold over the records, so whoever has the journal can go on from there. Records:

    turn    id, user, messages        what was asked (the messages before the agent's first words)
    reply   message, usage, reason    a model's whole reply, each of its calls with an id of ours
    begun   call                      a tool is about to run
    result  call, content, is_error,  what came of a call; `told`: the loop refused to repeat it
            images, told
    answer  call, approved, why       the user's answer to a call that needs consent
    said    messages                  what the user said beside answers
    note    text                      what the loop told the model
    shown   reason, detail, ...       the caller was given an end, with the calls that wait for it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kataribe.base.events import Finished, FinishReason, Usage
from kataribe.base.messages import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    from_json,
    text_message,
    to_json,
)
from kataribe.base.tool_calls import Repeats
from kataribe.use.agents.approvals import Answer
from kataribe.use.agents.journal import Journal, Record, keep
from kataribe.use.agents.turns import call_id

HANDED_OVER = ("approval", "tool_calls")
"""Ends after which somebody else has to act."""


class Turn:
    """The state of one turn; `write` keeps a record and takes it in.

    Attributes:
        id: Its id; empty before it has begun.
        user: Who asked.
        steps: Replies of the model.
        usage: What those used together.
        unsaid: What those in `replies` used.
        waiting: Calls of the newest reply that have no result yet, in order.
        begun: Ids of calls that were about to run.
        answers: The user's, by call.
        repeated: Calls that had the same result again.
        told: How often the model was told that it repeats itself.
        reason: How the newest reply ended.
        detail: The line beside it.
        has_ended: The newest reply calls no tool, and nobody has said anything since.
        has_said: The user has said something since the newest end.
        is_at_end: The newest record is an end.
        replies: Of the model since the newest end, so not yet given to the caller as a whole.
        shown: The ends that the caller was given, oldest first.
        results: Every call with what came of it, in order of coming.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.id = ""
        self.user: str | None = None
        self.steps = 0
        self.usage = Usage(0, 0)
        self.unsaid = Usage(0, 0)
        self.waiting: dict[str, ToolCallPart] = {}
        self.begun: set[str] = set()
        self.answers: dict[str, Answer] = {}
        self.repeated = Repeats()
        self.told = 0
        self.reason: FinishReason = "stop"
        self.detail = ""
        self.has_ended = False
        self.has_said = False
        self.is_at_end = False
        self.replies: list[Message] = []
        self.shown: list[Record] = []
        self.results: list[tuple[ToolCallPart, ToolResultPart]] = []
        self._asked: tuple[Message, ...] = ()
        self._tail: list[Message] = []
        self._later: list[Message] = []
        self._calls: dict[str, ToolCallPart] = {}
        self._found: dict[str, ToolResultPart] = {}
        self._numbered = 0
        for record in journal.records():
            self._take(record)

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """Those of the newest reply, whether they have a result or not."""
        return tuple(self._calls.values())

    @property
    def is_over(self) -> bool:
        """The newest record is an end after which nobody has to act."""
        return self.is_at_end and self.shown[-1]["reason"] not in HANDED_OVER

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that the model is to read now; only when no call waits."""
        return (*self._asked, *self._tail)

    async def write(self, kind: str, **values: Any) -> None:
        """Keeps a record, then takes it in."""
        await keep(self.journal, {"kind": kind, **values}, self._take)

    @property
    def was_handed_over(self) -> bool:
        """The caller was given calls to act on, so a request may go on with this turn."""
        return any(record["reason"] in HANDED_OVER for record in self.shown)

    async def begin(self, id_: str, user: str | None, messages: Sequence[Message]) -> None:
        """The first record."""
        await self.write("turn", id=id_, user=user, messages=[to_json(each) for each in messages])

    async def reply(self, ended: Finished, ids: Sequence[str]) -> None:
        """A reply, whose calls get these ids."""
        names = iter(ids)
        parts = tuple(
            ToolCallPart(next(names), part.name, part.arguments)
            if isinstance(part, ToolCallPart)
            else part
            for part in ended.message.parts
        )
        usage = ended.usage.numbers
        message = to_json(Message("assistant", parts))
        await self.write(
            "reply", message=message, usage=usage, reason=ended.reason, detail=ended.detail
        )

    async def result(self, result: ToolResultPart, *, told: bool = False) -> None:
        """What came of a call."""
        await self.write(
            "result",
            call=result.call_id,
            content=result.content,
            is_error=result.is_error,
            images=to_json(Message("tool", (result,)))["parts"][0]["images"],
            told=told,
        )

    def next_id(self) -> str:
        """An id for a further call: unlike models' own, it is there once and names the turn."""
        self._numbered += 1
        return call_id(self.id, self._numbered - 1)

    def repeats(self, call: ToolCallPart) -> int:
        """How often this call has had the same result, all times in a row."""
        return self.repeated.times(call)

    def _take(self, record: Record) -> None:
        self.is_at_end = False
        match record["kind"]:
            case "turn":
                self.id, self.user = record["id"], record["user"]
                self._asked = tuple(from_json(each) for each in record["messages"])
            case "reply":
                self._take_reply(record)
            case "begun":
                self.begun.add(record["call"])
            case "result":
                self._take_result(record)
            case "answer":
                self.answers[record["call"]] = Answer(record["approved"], record["why"])
            case "said":
                # Behind the results of calls that still wait: templates want those next.
                said = self._later if self.waiting else self._tail
                said += [from_json(each) for each in record["messages"]]
                self.has_ended, self.has_said = False, True
            case "note":
                self._tail.append(text_message("user", record["text"]))
                self.has_ended = False
            case "shown":
                self.shown.append(record)
                self.has_said = False
                self.is_at_end = True
                self.replies, self.unsaid = [], Usage(0, 0)

    def _take_reply(self, record: Record) -> None:
        message = from_json(record["message"])
        used = Usage(*record["usage"])
        self.steps += 1
        self.usage += used
        self.reason, self.detail = record["reason"], record["detail"]
        self.unsaid += used
        self._tail.append(message)
        self.replies.append(message)
        self._calls = {p.id: p for p in message.parts if isinstance(p, ToolCallPart)}
        self.waiting = dict(self._calls)
        self._found = {}
        self.has_ended = not self._calls
        self._numbered = max(
            self._numbered, *(int(id_.rpartition("_")[2]) + 1 for id_ in self._calls), 0
        )

    def _take_result(self, record: Record) -> None:
        call = self.waiting.pop(record["call"], None)
        if call is None:
            return
        result = _result_in(record)
        self._found[call.id] = result
        self.results.append((call, result))
        if record.get("told"):
            self.told += 1
        else:
            self.repeated.note(call, result)
        if not self.waiting:
            ordered = tuple(self._found[id_] for id_ in self._calls)
            self._tail += [Message("tool", ordered), *self._later]
            self._later = []


def _result_in(record: Record) -> ToolResultPart:
    told = {**record, "type": "tool_result", "call_id": record["call"]}
    (part,) = from_json({"role": "tool", "parts": [told]}).parts
    assert isinstance(part, ToolResultPart)
    return part  # in journals that were written before there were pictures are none


def without_calls(message: Message) -> Message:
    """The message without its calls."""
    return Message(
        message.role, tuple(part for part in message.parts if not isinstance(part, ToolCallPart))
    )


def reply_parts(thought: str, text: str, calls: Sequence[ToolCallPart]) -> tuple[Part, ...]:
    """The parts of a reply, empty ones left out."""
    parts: list[Part] = [ReasoningPart(thought)] if thought else []
    if text:
        parts.append(TextPart(text))
    return (*parts, *calls)

"""Which turn a request goes on with, and what it answers to the calls that waited."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kataribe.base.messages import Message, ToolCallPart, ToolResultPart, to_json
from kataribe.use.agents.approvals import answer_of
from kataribe.use.agents.turn import Turn
from kataribe.use.agents.turns import turn_of

NO_ANSWER = "The user did not answer this, and went on with what follows."
UNKNOWN = (
    "It is not known here any more what this call belonged to, so it was not run. Call the tool "
    "again if it is still wanted."
)
INTERRUPTED = (
    "This call was begun and broken off; whether it has changed anything is not known. It was not "
    "run again. See how things are before you repeat it."
)
CUT = (
    "Your reply reached its limit of tokens in this call. What it says may be cut, so it was not "
    "run. Make it again, shorter, or say it in several calls."
)


@dataclass(frozen=True, slots=True)
class Going:
    """A request that goes on with a turn.

    Attributes:
        turn: Its id.
        asked: The messages before the agent's first words of the turn.
        ends: How many of the turn's ends the request knows.
        results: What it says to calls that waited, in order.
        rest: What else was said behind them.
    """

    turn: str
    asked: tuple[Message, ...]
    ends: int
    results: tuple[ToolResultPart, ...]
    rest: tuple[Message, ...]


def going_on(messages: Sequence[Message]) -> Going | None:
    """The turn whose calls the newest of the assistant's messages holds; None for a new turn."""
    turns = [_turn_in(message) for message in messages]
    newest = max((at for at, m in enumerate(messages) if m.role == "assistant"), default=-1)
    turn = turns[newest] if newest >= 0 else None
    if turn is None or newest == len(messages) - 1:
        return None
    behind = messages[newest + 1 :]
    return Going(
        turn,
        tuple(messages[: turns.index(turn)]),
        turns.count(turn),
        tuple(
            part
            for message in behind
            if message.role == "tool"
            for part in message.parts
            if isinstance(part, ToolResultPart)
        ),
        tuple(message for message in behind if message.role != "tool"),
    )


async def take_answers(turn: Turn, going: Going, own: Collection[str]) -> None:
    """Writes what a request says to the calls that wait; what is answered already stays so.

    A call of the agent's `own` tools is approved or refused; any other result is the caller's.
    """
    for result in going.results:
        call = turn.waiting.get(result.call_id)
        if call is None or call.id in turn.answers:
            continue
        if call.name in own:
            answer = answer_of(result)
            await turn.write("answer", call=call.id, approved=answer.approved, why=answer.why)
        else:
            await turn.result(result)
    if not going.rest or turn.has_said:
        return
    for call in list(turn.waiting.values()):
        if call.name not in own:
            await turn.result(ToolResultPart(call.id, NO_ANSWER, is_error=True))
        elif call.id not in turn.answers:
            await turn.write("answer", call=call.id, approved=False, why=NO_ANSWER)
    await turn.write("said", messages=[to_json(each) for each in going.rest])


def as_unknown(messages: Sequence[Message], own: Collection[str]) -> tuple[Message, ...]:
    """The messages of a turn that nobody knows here: consent in them counts for nothing."""
    names = {
        part.id: part.name
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart) and turn_of(part.id)
    }

    def one(part: ToolResultPart) -> ToolResultPart:
        if names.get(part.call_id) in own:
            return ToolResultPart(part.call_id, UNKNOWN, is_error=True)
        return part

    answered = {
        part.call_id
        for message in messages
        for part in message.parts
        if isinstance(part, ToolResultPart)
    }
    told: list[Message] = []
    for message in messages:
        parts = tuple(one(p) if isinstance(p, ToolResultPart) else p for p in message.parts)
        told.append(Message(message.role, parts))
        calls = (part.id for part in parts if isinstance(part, ToolCallPart))
        open_ = [id_ for id_ in calls if id_ in names and id_ not in answered]
        if open_:  # models take calls without results for an error
            results = (ToolResultPart(id_, UNKNOWN, is_error=True) for id_ in open_)
            told.append(Message("tool", tuple(results)))
    return tuple(told)


def _turn_in(message: Message) -> str | None:
    if message.role != "assistant":
        return None
    ids = (turn_of(part.id) for part in message.parts if isinstance(part, ToolCallPart))
    return next((id_ for id_ in ids if id_), None)

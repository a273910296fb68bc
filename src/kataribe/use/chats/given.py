"""What a model was given for a reply that stands in a conversation, and what it said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from kataribe.base.errors import InputError
from kataribe.base.inside import Said
from kataribe.base.lm import Request, Sampling
from kataribe.base.messages import Message as Turn
from kataribe.base.messages import Part, ReasoningPart, TextPart, text_message
from kataribe.store import conversations, messages
from kataribe.store.messages import Message
from kataribe.store.tables import LIVE
from kataribe.use.chats.prompt import prompt_messages


@dataclass(frozen=True, slots=True)
class Given:
    """A reply from inside: the message, its model, the request and what came of it."""

    message: Message
    model: str
    request: Request
    said: Said


def given_for(tx: Connection, owner: str, id_: str, reply: str) -> Given:
    """What was asked for a reply, built as it was built for answering.

    Raises:
        NotFoundError: There is no such conversation or message of this owner.
        InputError: It is no reply, is still being written, or no model wrote it.
    """
    conversation = conversations.get(tx, owner, id_)
    message = messages.get(tx, id_, reply)
    if message.role != "assistant" or message.parent is None:
        raise InputError("One looks inside replies; this is what a person said.", param="message")
    if message.state in LIVE:
        raise InputError(
            "This reply is still being written. Look inside when it has ended, or stop it.",
            param="message",
            code="reply_pending",
        )
    if message.model is None:
        raise InputError("It is not known which model wrote this reply.", param="message")
    system = message.asked.get("system", conversation.system)  # older rows do not tell
    prompt = prompt_messages(tx, replace(conversation, system=system), message.parent)
    begun = message.asked.get("beginning", "")
    sampling = dict(message.asked.get("sampling") or {})
    sampling.pop("seed", None)
    request = Request(
        (*prompt, text_message("assistant", begun)) if begun else prompt,
        sampling=Sampling(**sampling),
        continue_last=bool(begun),
    )
    return Given(message, message.model, request, _said(message, begun))


def _said(message: Message, begun: str) -> Said:
    parts: list[Part] = [ReasoningPart(message.reasoning)] if message.reasoning else []
    if message.text:
        parts.append(TextPart(message.text))
    ended = message.finish == "stop"
    return Said(Turn("assistant", tuple(parts)), begun, ended, message.completion_tokens)

"""Asking a model for a value of a form: held to its schema where the model can be, else checked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kataribe.base.events import FinishReason, Usage
from kataribe.base.lm import LM, JsonFormat, Request, reply
from kataribe.base.messages import Message, TextPart, text_message, text_of

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


class Form(BaseModel):
    """What a model fills in; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Filled = TypeVar("Filled", bound=Form)


class Asked(Generic[Filled]):
    """What came of asking.

    Attributes:
        value: What the model has filled in; None where it never gave the form.
        usage: Of all tries together.
        said: The last reply's words.
        cut: The limit that ended it before there was a value; None where none did.
    """

    __slots__ = ("cut", "said", "usage", "value")

    def __init__(
        self,
        value: Filled | None,
        usage: Usage,
        said: str,
        cut: tuple[FinishReason, str] | None = None,
    ) -> None:
        self.value = value
        self.usage = usage
        self.said = said
        self.cut = cut


async def ask_for(lm: LM, form: type[Filled], request: Request, *, tries: int = 3) -> Asked[Filled]:
    """A value of the form; what is wrong with a reply is told to the model, and it tries again.

    The request's messages end with the user's. A model with structured output is held to the
    schema; any other reads it in the question, and its reply may have words around the JSON.
    """
    schema = form.model_json_schema()
    messages = _messages(request)
    if lm.capabilities.structured_output:
        request = replace(request, response_format=JsonFormat(schema, form.__name__.lower()))
    else:
        written = json.dumps(schema, ensure_ascii=False)
        order = f"\n\nAnswer with one JSON object of this schema and nothing else:\n{written}"
        messages = with_words(messages, order)
    usage, said = Usage(0, 0), ""
    for _ in range(tries):
        ended = await reply(lm, replace(request, prompt=messages))
        usage, said = usage + ended.usage, text_of(ended.message)
        try:
            return Asked(form.model_validate_json(_json_in(said)), usage, said)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the reply"
            wrong = f"That is not what was asked for: {where}: {first['msg']}. Send the JSON again."
        if ended.reason in ("budget", "deadline", "cancelled"):
            return Asked(None, usage, said, (ended.reason, ended.detail))
        said_message = text_message("assistant", said or "(nothing)")
        messages = (*messages, said_message, text_message("user", wrong))
    return Asked(None, usage, said)


def with_words(messages: Sequence[Message], words: str) -> tuple[Message, ...]:
    """The messages with words at the end of the last one, which is the user's."""
    last = messages[-1]
    return (*messages[:-1], Message(last.role, (*last.parts, TextPart(words))))


def _messages(request: Request) -> tuple[Message, ...]:
    assert not isinstance(request.prompt, str)
    return tuple(part for part in request.prompt if isinstance(part, Message))


def _json_in(text: str) -> str:
    """The JSON in a reply: what stands in a fence, or from the first brace to the last."""
    fenced = _FENCED.search(text)
    if fenced:
        return fenced[1]
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text

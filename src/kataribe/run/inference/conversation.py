"""Conversations as a model's chat template can take them: one prompt builder for every caller.

What a template refuses, though it means something that the model can be told, is said in another
way: tools in words, calls one at a time, ids in the length that it wants.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import Request, Thinking, ToolSpec
from kataribe.base.messages import (
    Message,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.dialects import HERMES, ID_LETTERS, ToolDialect, dialect_of

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


def template_dialect(template: ChatTemplate) -> ToolDialect:
    """How the models of a chat template write calls: their own way, or the one that we teach."""
    return _own_dialect(template) or HERMES


def _own_dialect(template: ChatTemplate) -> ToolDialect | None:
    """The dialect in which a template shows tools; None where we have to teach them ourselves.

    A template may show calls of the past and yet no tools, or show them for a syntax that we do
    not know: its model would write calls that nobody reads.
    """
    dialect = dialect_of(template.tool_source or template.source)
    return dialect if dialect is not None and template.supports_tools else None


def thinking_variables(tokenizer: Tokenizer, thinking: Thinking | None) -> dict[str, Any]:
    """What a wish to think is for a chat template: `enable_thinking`, where it reads that."""
    template = tokenizer.chat_template
    if thinking is None or thinking.wanted is None or template is None:
        return {}
    return {"enable_thinking": thinking.wanted} if "enable_thinking" in template.reads else {}


def template_variables(tokenizer: Tokenizer, request: Request) -> dict[str, Any]:
    """The variables that a request has for the chat template; said ones go before wishes."""
    return {**thinking_variables(tokenizer, request.thinking), **request.template}


def chat_ids(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    tools: Sequence[ToolSpec] = (),
    add_generation_prompt: bool = True,
    continue_last: bool = False,
    variables: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> list[int]:
    """The ids of a chat, exactly as the model is given them; see `Tokenizer.encode_chat`.

    Raises:
        UnsupportedError: The model has no chat template; a message brings images or sound.
        TemplateError: The template refused the messages or broke a limit.
    """
    template = tokenizer.chat_template
    if template is None:
        raise UnsupportedError(
            "This is a base model without a chat template: it continues text (/v1/completions), "
            "it does not hold a conversation.",
            param="messages",
        )
    dialect = _own_dialect(template)
    if dialect is not None:
        messages = fitting_calls(messages, dialect)
    else:
        messages = teach_tools(messages, tools, in_system=template.supports_system)
        tools = ()
    return tokenizer.encode_chat(
        messages,
        tools=tools,
        add_generation_prompt=add_generation_prompt,
        continue_last=continue_last,
        variables=variables,
        limit=limit,
    )


def fitting_calls(messages: Sequence[Message], dialect: ToolDialect) -> tuple[Message, ...]:
    """The messages with calls as the templates of a dialect take them: how many, and their ids."""
    if dialect.most_calls == 1:
        messages = _one_by_one(messages)
    if dialect.short_ids:
        messages = _with_short_ids(messages)
    return tuple(messages)


def _one_by_one(messages: Sequence[Message]) -> list[Message]:
    """A turn of several calls becomes several turns, each with its own call and result."""
    told: list[Message] = []
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
        if len(calls) < 2:
            told.append(message)
            continue
        results: list[ToolResultPart] = []
        while place < len(messages) and messages[place].role == "tool":
            parts = messages[place].parts
            results += [part for part in parts if isinstance(part, ToolResultPart)]
            place += 1
        told += _turns(message, calls, results)
    return told


def _turns(
    message: Message, calls: Sequence[ToolCallPart], results: Sequence[ToolResultPart]
) -> Iterator[Message]:
    said: tuple[Part, ...] = tuple(
        part for part in message.parts if not isinstance(part, ToolCallPart)
    )
    for call in calls:
        yield dataclasses.replace(message, parts=(*said, call))
        said = ()
        answer = tuple(result for result in results if result.call_id == call.id)
        if answer:
            yield Message("tool", answer)
    known = {call.id for call in calls}
    for result in results:
        if result.call_id not in known:
            yield Message("tool", (result,))


def _with_short_ids(messages: Sequence[Message]) -> list[Message]:
    """Ids of nine letters or digits in place of others, the same ones in every turn."""
    ids = {
        part.id if isinstance(part, ToolCallPart) else part.call_id: None
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart | ToolResultPart)
    }
    short = {known: known for known in ids if _SHORT_ID.fullmatch(known)}
    for foreign in ids:
        salt = 0
        while foreign not in short:
            made = _short_id(f"{foreign}{salt or ''}")
            salt += 1
            if made not in short.values():
                short[foreign] = made

    def renamed(part: Part) -> Part:
        if isinstance(part, ToolCallPart):
            return dataclasses.replace(part, id=short[part.id])
        if isinstance(part, ToolResultPart):
            return dataclasses.replace(part, call_id=short[part.call_id])
        return part

    return [
        dataclasses.replace(message, parts=tuple(renamed(part) for part in message.parts))
        for message in messages
    ]


def _short_id(text: str) -> str:
    # Made from the id itself: a conversation that goes on keeps its tokens, and so its cache.
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    letters = []
    for _ in range(9):
        number, letter = divmod(number, len(ID_LETTERS))
        letters.append(ID_LETTERS[letter])
    return "".join(letters)


def teach_tools(
    messages: Sequence[Message], tools: Sequence[ToolSpec], *, in_system: bool = True
) -> tuple[Message, ...]:
    """The same conversation for a model whose template shows no tools, in Hermes' words.

    Calls and results become text, and what thereby becomes two turns of one speaker becomes one,
    since many templates demand that speakers alternate. The tools are described in the system
    message, or, for a template that takes none, at the beginning of the first user message; a
    system message that somebody sent is left to such a template to refuse.
    """
    plain = _merged(messages)
    if not tools:
        return tuple(plain)
    described = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in tools)
    lesson = (
        "You can call functions. Their signatures are in <tools></tools>:\n"
        f"<tools>\n{described}\n</tools>\n"
        "To call one, answer with its name and arguments as JSON:\n"
        '<tool_call>\n{"name": "NAME", "arguments": {...}}\n</tool_call>'
    )
    if not in_system:
        return _in_first_question(lesson, plain)
    if plain and plain[0].role == "system":
        return (text_message("system", f"{text_of(plain[0])}\n\n{lesson}"), *plain[1:])
    return (text_message("system", lesson), *plain)


def _in_first_question(lesson: str, messages: Sequence[Message]) -> tuple[Message, ...]:
    for place, message in enumerate(messages):
        if message.role == "user":
            asked = dataclasses.replace(message, parts=(TextPart(f"{lesson}\n\n"), *message.parts))
            return (*messages[:place], asked, *messages[place + 1 :])
    start = next((at for at, message in enumerate(messages) if message.role != "system"), 0)
    return (*messages[:start], text_message("user", lesson), *messages[start:])


def _merged(messages: Sequence[Message]) -> list[Message]:
    told: list[Message] = []
    was_changed = False
    for message in messages:
        plain = _plain(message)
        is_changed = plain is not message
        if told and told[-1].role == plain.role and (is_changed or was_changed):
            parts = (*told[-1].parts, TextPart("\n"), *plain.parts)
            told[-1] = dataclasses.replace(told[-1], parts=parts)
        else:
            told.append(plain)
        was_changed = is_changed
    return told


def _described(tool: ToolSpec) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def _plain(message: Message) -> Message:
    if not any(isinstance(part, ToolCallPart | ToolResultPart) for part in message.parts):
        return message
    texts = []
    for part in message.parts:
        match part:
            case TextPart(text):
                texts.append(text)
            case ToolCallPart(_, name, arguments):
                body = (
                    f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {arguments}}}'
                )
                texts.append(f"<tool_call>\n{body}\n</tool_call>")
            case ToolResultPart(_, content, _):
                texts.append(f"<tool_response>\n{content}\n</tool_response>")
            case _:
                pass
    return text_message("user" if message.role == "tool" else message.role, "\n".join(texts))

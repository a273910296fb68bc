"""Requests of `/v1/messages` to requests in Kataribe's own terms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from kataribe.base.errors import InputError
from kataribe.base.lm import (
    Context,
    JsonFormat,
    Request,
    ResponseFormat,
    Sampling,
    TextFormat,
    Thinking,
    ToolChoice,
    ToolSpec,
)
from kataribe.base.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.serve.asking import called_by, check_toolless, decoded, image_at, known, tool_specs
from kataribe.serve.documents import CLOSING, opening
from kataribe.serve.shapes.anthropic import (
    AnthropicAssistantBlock,
    AnthropicAssistantMessage,
    AnthropicConversation,
    AnthropicDocument,
    AnthropicImage,
    AnthropicImageUrl,
    AnthropicNamed,
    AnthropicNone,
    AnthropicParts,
    AnthropicPlainText,
    AnthropicRedacted,
    AnthropicRequest,
    AnthropicSystemMessage,
    AnthropicText,
    AnthropicTexts,
    AnthropicThinking,
    AnthropicThinks,
    AnthropicThinksNot,
    AnthropicThinksWithin,
    AnthropicToolResult,
    AnthropicToolUse,
    AnthropicUserMessage,
)

FIELDS = {
    "response_format": "output_config.format",
    "stop": "stop_sequences",
}
"""What errors name in Kataribe's terms, and this call's fields for it."""


@dataclass(slots=True)
class Talk:
    """A conversation in Kataribe's terms.

    Attributes:
        messages: Its messages.
        places: Where in the request the content of each stands.
        tools: The tools.
        choice: Whether they must be called.
        thinking: Whether the model shall think first, where it can.
        begun: The last message is the beginning of the reply.
    """

    messages: list[Message] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    tools: tuple[ToolSpec, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    thinking: Thinking | None = None
    begun: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """What errors name in Kataribe's terms, and the request's fields for it."""
        places = {f"messages[{n}].content": place for n, place in enumerate(self.places)}
        return {**FIELDS, **places}

    def say(self, role: Role, parts: Sequence[Part], place: str) -> None:
        """One more message."""
        self.messages.append(Message(role, tuple(parts)))
        self.places.append(place)


def talk_of(body: AnthropicConversation) -> Talk:
    """The conversation; raises `InputError` naming the field that cannot be."""
    talk = Talk()
    if body.system is not None:
        talk.say("system", _texts(body.system), "system")
    called: dict[str, str] = {}
    for number, message in enumerate(body.messages):
        place = f"messages[{number}].content"
        match message:
            case AnthropicSystemMessage(content=content):
                talk.say("system", _texts(content), place)
            case AnthropicUserMessage():
                _hear(talk, message, called, place)
            case AnthropicAssistantMessage(content=content):
                parts = _said(content)
                called |= {part.id: part.name for part in parts if isinstance(part, ToolCallPart)}
                talk.say("assistant", parts, place)
    last = talk.messages[-1]
    talk.begun = last.role == "assistant"
    if talk.begun and not isinstance(last.parts[-1], TextPart):
        raise InputError(
            "The last message is the assistant's and ends with no words that could go on. Send "
            "the tool's result, or the user's next message.",
            param=f"messages[{len(body.messages) - 1}].content",
        )
    specs = [
        ToolSpec(tool.name, tool.description or "", tool.input_schema, bool(tool.strict))
        for tool in body.tools or ()
    ]
    talk.tools = tool_specs(specs, "tools[{}]", "input_schema")
    talk.choice = _tool_choice(body)
    talk.thinking = _thinking(body)
    return talk


def anthropic_request(body: AnthropicRequest, talk: Talk) -> Request:
    """What a model is asked."""
    one = getattr(body.tool_choice, "disable_parallel_tool_use", None)
    return Request(
        prompt=tuple(talk.messages),
        sampling=Sampling(
            temperature=body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            max_tokens=body.max_tokens,
        ),
        tools=talk.tools,
        tool_choice=talk.choice,
        parallel_tool_calls=not one,
        response_format=_form(body),
        stop=tuple(body.stop_sequences or ()),
        thinking=talk.thinking,
        continue_last=talk.begun,
        context=Context(user=None if body.metadata is None else body.metadata.user_id),
    )


def _thinking(body: AnthropicConversation) -> Thinking | None:
    effort = (body.output_config and body.output_config.effort) or ""
    match body.thinking:
        case None:
            return Thinking(effort=effort) if effort else None
        case AnthropicThinksNot():
            return Thinking(wanted=False, effort=effort)
        case AnthropicThinks():
            return Thinking(wanted=True, effort=effort)
        case AnthropicThinksWithin(budget_tokens=tokens):
            return Thinking(wanted=True, effort=effort, tokens=tokens)


def _texts(content: AnthropicTexts) -> list[TextPart]:
    if isinstance(content, str):
        return [TextPart(content)]
    return [TextPart(block.text) for block in content]


def _hear(talk: Talk, message: AnthropicUserMessage, called: dict[str, str], place: str) -> None:
    """What tools answered becomes messages of its own; the rest is the user's."""
    if isinstance(message.content, str):
        talk.say("user", (TextPart(message.content),), place)
        return
    parts: list[Part] = []
    for number, block in enumerate(message.content):
        at = f"{place}[{number}]"
        match block:
            case AnthropicText(text=text):
                parts.append(TextPart(text))
            case AnthropicImage():
                parts.append(_image(block, at))
            case AnthropicDocument():
                parts += _document(block, at)
            case AnthropicToolResult():
                if parts:
                    raise InputError(
                        f"{at} is a tool_result behind other blocks. Put the results of tools "
                        "first; they answer the message before.",
                        param=at,
                    )
                called_by(block.tool_use_id, called, at, "tool_use_id")
                talk.say("tool", (_result(block, f"{at}.content"),), f"{at}.content")
    if parts:
        talk.say("user", parts, place)


def _result(block: AnthropicToolResult, place: str) -> ToolResultPart:
    parts: list[TextPart | ImagePart] = []
    content = block.content or ""
    if isinstance(content, str):
        return ToolResultPart(block.tool_use_id, content, bool(block.is_error))
    for number, one in enumerate(content):
        at = f"{place}[{number}]"
        match one:
            case AnthropicText(text=text):
                parts.append(TextPart(text))
            case AnthropicImage():
                parts.append(_image(one, at))
            case AnthropicDocument():
                parts += _document(one, at)
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    shown = tuple(part for part in parts if isinstance(part, ImagePart))
    return ToolResultPart(block.tool_use_id, text, bool(block.is_error), shown)


def _document(block: AnthropicDocument, place: str) -> list[TextPart | ImagePart]:
    """A document between marks, so that the model sees where it begins and ends."""
    begin = opening(title=block.title, context=block.context)
    parts: list[TextPart | ImagePart] = [TextPart(begin)]
    match block.source:
        case AnthropicPlainText(data=text) | AnthropicParts(content=str(text)):
            parts.append(TextPart(text))
        case AnthropicParts(content=content):
            for number, one in enumerate(content):
                if isinstance(one, AnthropicImage):
                    parts.append(_image(one, f"{place}.source.content[{number}]"))
                elif isinstance(one, AnthropicText):
                    parts.append(TextPart(one.text))
    return [*parts, TextPart(CLOSING)]


def _image(block: AnthropicImage, place: str) -> ImagePart:
    source = block.source
    if isinstance(source, AnthropicImageUrl):
        return image_at(source.url, f"{place}.source.url")
    return ImagePart(source.media_type, data=decoded(source.data, f"{place}.source.data"))


def _said(content: str | list[AnthropicAssistantBlock]) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    parts: list[Part] = []
    for block in content:
        match block:
            case AnthropicText(text=text):
                parts.append(TextPart(text))
            case AnthropicThinking(thinking=thought, signature=seal):
                parts.append(ReasoningPart(thought, seal))
            case AnthropicRedacted(data=seal):
                parts.append(ReasoningPart("", seal))
            case AnthropicToolUse():
                written = json.dumps(block.input, ensure_ascii=False)
                parts.append(ToolCallPart(block.id, block.name, written))
    return parts


def _tool_choice(body: AnthropicConversation) -> ToolChoice:
    choice, names = body.tool_choice, [tool.name for tool in body.tools or ()]
    if not names:
        check_toolless(tool_choice=choice)
        return ToolChoice()
    match choice:
        case None:
            return ToolChoice()
        case AnthropicNone():
            return ToolChoice("none")
        case AnthropicNamed(name=name):
            return ToolChoice("function", known([name], names, "tool_choice.name"))
        case _:
            return ToolChoice("auto" if choice.type == "auto" else "required")


def _form(body: AnthropicConversation) -> ResponseFormat:
    form = None if body.output_config is None else body.output_config.format
    if form is None:
        return TextFormat()
    return JsonFormat(form.schema_, param="output_config.format")

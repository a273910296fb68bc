"""Requests of `/v1/responses` to requests in Kataribe's own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import (
    Context,
    JsonFormat,
    Request,
    ResponseFormat,
    Sampling,
    TextFormat,
    ToolChoice,
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
from kataribe.serve.asking import (
    called_by,
    check_toolless,
    detailed,
    image_at,
    known,
    spec_of,
    tool_specs,
)
from kataribe.serve.documents import file_words
from kataribe.serve.shapes.chat import TextResponseFormat
from kataribe.serve.shapes.responses import (
    LOGPROBS,
    AllowedFunctions,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionChoice,
    InputFile,
    InputImage,
    InputItem,
    InputMessage,
    InputText,
    ItemReference,
    JsonSchemaTextFormat,
    ReasoningItem,
    ResponsesRequest,
    SaidMessage,
    SaidRefusal,
    SaidText,
)
from kataribe.serve.thinking import thinking_of, verbosity_of

FIELDS = {
    "messages": "input",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
}
"""What errors name in Kataribe's terms, and this call's fields for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in Kataribe's terms, and what its fields are called in the caller's."""

    request: Request
    fields: Mapping[str, str]


def responses_request(body: ResponsesRequest, before: Sequence[InputItem] = ()) -> Asked:
    """What a model is asked, after the items of the responses `before`.

    Raises `InputError` naming the field that cannot be.
    """
    if body.stream_options is not None and not body.stream:
        raise InputError(
            "stream_options needs stream: true. Add it, or leave stream_options out.",
            param="stream_options",
        )
    talk = _conversation(body, before)
    tools = tool_specs([spec_of(tool) for tool in body.tools or ()], "tools[{}]")
    request = Request(
        prompt=tuple(talk.messages),
        sampling=Sampling(
            temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens
        ),
        tools=tools,
        tool_choice=_tool_choice(body, {tool.name for tool in tools}),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        response_format=_form(body),
        logprobs=_logprobs(body),
        thinking=thinking_of(body.reasoning.effort if body.reasoning else None),
        verbosity=verbosity_of(body.text.verbosity if body.text else None),
        context=Context(user=body.user or body.safety_identifier),
    )
    places = {f"messages[{n}].content": place for n, place in enumerate(talk.places)}
    return Asked(request, {**FIELDS, **places})


def _conversation(body: ResponsesRequest, before: Sequence[InputItem]) -> _Conversation:
    talk = _Conversation()
    if body.instructions:
        talk.say("system", (TextPart(body.instructions),), "instructions")
    for item in before:
        _add(talk, item, "previous_response_id")
    if isinstance(body.input, str):
        talk.say("user", (TextPart(body.input),), "input")
    else:
        for number, item in enumerate(body.input):
            _add(talk, item, f"input[{number}]")
    talk.end_turn()
    if not talk.messages:
        raise InputError(
            "The input has items, but none with words to answer. Add a message.", param="input"
        )
    return talk


@dataclass(slots=True)
class _Conversation:
    """Items on their way to messages: those of one turn of the model become one message."""

    messages: list[Message] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    called: dict[str, str] = field(default_factory=dict)
    turn: list[Part] = field(default_factory=list)
    turn_place: str = ""

    def say(self, role: Role, parts: tuple[Part, ...], place: str) -> None:
        """A message of somebody else; what the model said before it is whole."""
        self.end_turn()
        self.messages.append(Message(role, parts))
        self.places.append(place)

    def go_on(self, parts: Sequence[Part], place: str) -> None:
        """More of what the model thought, said or called."""
        if not self.turn:
            self.turn_place = place
        self.turn += parts

    def end_turn(self) -> None:
        """The model's turn is over."""
        parts, self.turn = tuple(self.turn), []
        if parts:
            self.say("assistant", parts, self.turn_place)


def _add(talk: _Conversation, item: InputItem, place: str) -> None:
    match item:
        case InputMessage(role=role):
            whose: Role = "user" if role == "user" else "system"
            talk.say(whose, _shown(item, place), f"{place}.content")
        case SaidMessage(content=content):
            if talk.turn and isinstance(talk.turn[-1], TextPart):
                talk.end_turn()  # two messages in a row are two turns
            said = [content] if isinstance(content, str) else [_words(part) for part in content]
            talk.go_on([TextPart(text) for text in said], f"{place}.content")
        case FunctionCallItem():
            talk.called[item.call_id] = item.name
            talk.go_on([ToolCallPart(item.call_id, item.name, item.arguments)], place)
        case ReasoningItem():
            thoughts = item.content or item.summary
            text = "".join(thought.text for thought in thoughts)
            seal = item.encrypted_content or ""
            talk.go_on([ReasoningPart(text, seal)] if text or seal else [], place)
        case FunctionCallOutputItem():
            called_by(item.call_id, talk.called, place, "call_id")
            talk.say("tool", (_result(item, place),), f"{place}.output")
        case ItemReference(id=id_):
            raise KataribeError(f"The reference to {id_!r} was not looked up.")


def _result(item: FunctionCallOutputItem, place: str) -> ToolResultPart:
    if isinstance(item.output, str):
        return ToolResultPart(item.call_id, item.output)
    text = "".join(
        _told(part, f"{place}.output[{number}]")
        for number, part in enumerate(item.output)
        if not isinstance(part, InputImage)
    )
    shown = tuple(
        _image(part, f"{place}.output[{number}].image_url")
        for number, part in enumerate(item.output)
        if isinstance(part, InputImage)
    )
    return ToolResultPart(item.call_id, text, images=shown)


def _told(part: InputText | InputFile, place: str) -> str:
    return part.text if isinstance(part, InputText) else file_words(part, place)


def _words(part: SaidText | SaidRefusal) -> str:
    return part.text if isinstance(part, SaidText) else part.refusal


def _image(part: InputImage, place: str) -> ImagePart:
    return detailed(image_at(part.image_url, place), part.detail)


def _shown(message: InputMessage, place: str) -> tuple[Part, ...]:
    if isinstance(message.content, str):
        return (TextPart(message.content),)
    parts: list[Part] = []
    for number, part in enumerate(message.content):
        if not isinstance(part, InputImage):
            parts.append(TextPart(_told(part, f"{place}.content[{number}]")))
        elif message.role != "user":
            raise InputError(
                f"{place} is told to the model as {message.role}, which is words only. Show "
                "pictures in a message of the user.",
                param=f"{place}.content[{number}]",
            )
        else:
            parts.append(_image(part, f"{place}.content[{number}].image_url"))
    return tuple(parts)


def _tool_choice(body: ResponsesRequest, names: set[str]) -> ToolChoice:
    choice = body.tool_choice
    if not names:
        # Agents say it with every request; without tools both mean what happens anyway.
        if choice not in ("auto", "none"):
            check_toolless(tool_choice=choice)
        return ToolChoice()
    match choice:
        case None:
            return ToolChoice()
        case FunctionChoice(name=name):
            return ToolChoice("function", known([name], names, "tool_choice"))
        case AllowedFunctions(mode=mode, tools=tools):
            wanted = [tool.name for tool in tools]
            return ToolChoice(mode, known(wanted, names, "tool_choice.tools"))
        case _:
            return ToolChoice(choice)


def _form(body: ResponsesRequest) -> ResponseFormat:
    form = None if body.text is None else body.text.format
    if form is None or isinstance(form, TextResponseFormat):
        return TextFormat()
    if isinstance(form, JsonSchemaTextFormat):
        return JsonFormat(form.schema_, form.name, param="text.format")
    return JsonFormat(param="text.format")


def _logprobs(body: ResponsesRequest) -> int | None:
    if LOGPROBS in (body.include or ()):
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InputError(
            'top_logprobs needs include: ["message.output_text.logprobs"].', param="top_logprobs"
        )
    return None

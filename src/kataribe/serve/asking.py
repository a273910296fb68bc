"""Chat requests in OpenAI's shape to requests in Kataribe's own terms."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.lm import (
    Context,
    JsonFormat,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.serve.reasoning_details import seals_before, thoughts_of
from kataribe.serve.sampling import check_stream, sampling_of, stops_of, structured
from kataribe.serve.shapes.chat import (
    AllowedTools,
    ChatCompletionRequest,
    FunctionDefinition,
    JsonSchemaResponseFormat,
    NamedTool,
    TextResponseFormat,
    ToolDefinition,
)
from kataribe.serve.shapes.messages import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    ImageContent,
    SystemMessage,
    TextContent,
    ToolMessage,
    UserContent,
)
from kataribe.serve.shapes.strict import Detail
from kataribe.serve.thinking import thinking_of, verbosity_of

_NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}
"""A function without `parameters` takes none, so that no model invents some."""


def chat_request(body: ChatCompletionRequest) -> Request:
    """What a model is asked; raises `InputError` naming the field that cannot be."""
    check_stream(body)
    tools = tools_of(body.tools)
    return Request(
        prompt=messages_in(body.messages, continue_last=bool(body.continue_final_message)),
        sampling=sampling_of(body, _max_tokens(body)),
        tools=tools,
        tool_choice=_tool_choice(body, {tool.name for tool in tools}),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        response_format=_response_format(body),
        stop=stops_of(body),
        seed=body.seed,
        n=body.n or 1,
        logprobs=_logprobs(body),
        template=body.chat_template_kwargs or {},
        thinking=thinking_of(body.reasoning_effort),
        verbosity=verbosity_of(body.verbosity),
        continue_last=bool(body.continue_final_message),
        context=Context(user=body.user or body.safety_identifier),
    )


def tools_of(tools: Sequence[ToolDefinition] | None) -> tuple[ToolSpec, ...]:
    """The tools; raises `InputError` for two of one name, and for arguments that are no object."""
    functions = [tool.function for tool in tools or ()]
    return tool_specs([spec_of(function) for function in functions], "tools[{}].function")


def spec_of(function: FunctionDefinition) -> ToolSpec:
    """A function as a model sees it."""
    return ToolSpec(
        function.name,
        function.description or "",
        function.parameters or {},
        bool(function.strict),
    )


def tool_specs(
    specs: Sequence[ToolSpec], place: str, schema: str = "parameters"
) -> tuple[ToolSpec, ...]:
    """The tools, those without parameters with an empty schema of them.

    `place` and `schema` say where in the request number {} of them, and its schema, stand. Raises
    `InputError` for two of one name, and for arguments that are no object.
    """
    checked: dict[str, ToolSpec] = {}
    for number, spec in enumerate(specs):
        if spec.name in checked:
            raise InputError(
                f"Two tools are called {spec.name!r}; give each its own name.",
                param=f"{place.format(number)}.name",
            )
        if not _may_be_object(spec.parameters):
            raise InputError(
                f"The parameters of tool {spec.name!r} are the schema of something else than "
                'an object, and arguments have names. Use {"type": "object", "properties": ...}.',
                param=f"{place.format(number)}.{schema}",
            )
        checked[spec.name] = replace(spec, parameters=spec.parameters or dict(_NO_PARAMETERS))
    return tuple(checked.values())


def _may_be_object(schema: Mapping[str, Any]) -> bool:
    """Whether nothing at the schema's top rules objects out."""
    kinds = schema.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        return False
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        return any(isinstance(value, dict) for value in values)
    for key in ("anyOf", "oneOf"):
        parts = schema.get(key)
        if isinstance(parts, list) and not any(
            _may_be_object(part) for part in parts if isinstance(part, dict)
        ):
            return False
    return True


def messages_in(messages: Sequence[ChatMessage], *, continue_last: bool) -> tuple[Message, ...]:
    """The conversation; raises `InputError` for a turn that nothing led to."""
    called: dict[str, str] = {}
    for place, message in enumerate(messages):
        if isinstance(message, AssistantMessage):
            called |= {call.id: call.function.name for call in message.tool_calls or ()}
        elif isinstance(message, ToolMessage):
            _check_answer(message, called, f"messages[{place}]")
    if continue_last and not isinstance(messages[-1], AssistantMessage):
        raise InputError(
            "continue_final_message needs the assistant's message as the last one.",
            param="continue_final_message",
        )
    return tuple(_message(message, f"messages[{n}]") for n, message in enumerate(messages))


def called_by(call_id: str, called: Mapping[str, str], place: str, field: str) -> str:
    """The name of the tool whose call is answered; `InputError` where nothing made such a call."""
    name = called.get(call_id)
    if name is None:
        raise InputError(
            f"{place} answers the tool call {call_id!r}, which no earlier assistant "
            "message made. Send that message too.",
            param=f"{place}.{field}",
        )
    return name


def _check_answer(message: ToolMessage, called: dict[str, str], place: str) -> None:
    name = called_by(message.tool_call_id, called, place, "tool_call_id")
    if message.name not in (None, name):
        raise InputError(
            f"{place} is named {message.name!r}, but answers a call of {name!r}.",
            param=f"{place}.name",
        )


def _message(message: ChatMessage, place: str) -> Message:
    if isinstance(message, SystemMessage):
        return Message("system", tuple(_texts(message.content)))
    if isinstance(message, ToolMessage):
        text = "".join(part.text for part in _texts(message.content))
        return Message("tool", (ToolResultPart(message.tool_call_id, text),))
    if isinstance(message, AssistantMessage):
        return Message("assistant", tuple(_said(message, place)))
    if isinstance(message.content, str):
        return Message("user", (TextPart(message.content),))
    return Message(
        "user",
        tuple(_part(part, f"{place}.content[{n}]") for n, part in enumerate(message.content)),
    )


def _said(message: AssistantMessage, place: str) -> Iterator[Part]:
    yield from thoughts_of(message)
    if message.content is not None:
        yield from _texts(message.content)
    elif not message.tool_calls:
        raise InputError(
            f"{place} has neither content nor tool_calls; give one.", param=f"{place}.content"
        )
    for call in message.tool_calls or ():
        yield from seals_before(message, call.id)
        yield ToolCallPart(call.id, call.function.name, call.function.arguments)


def _texts(content: str | list[TextContent]) -> list[TextPart]:
    if isinstance(content, str):
        return [TextPart(content)]
    return [TextPart(part.text) for part in content]


def _part(part: UserContent, place: str) -> Part:
    if isinstance(part, TextContent):
        return TextPart(part.text)
    if isinstance(part, AudioContent):
        sound = part.input_audio
        return AudioPart(f"audio/{sound.format}", decoded(sound.data, f"{place}.input_audio.data"))
    assert isinstance(part, ImageContent)
    return detailed(image_at(part.image_url.url, f"{place}.image_url.url"), part.image_url.detail)


def image_at(url: str, param: str) -> ImagePart:
    """The picture at an address, or inside a data: URL; `InputError` naming `param` for others."""
    if url.startswith(("https://", "http://")):
        return ImagePart("image/*", url=url)
    head, comma, data = url.partition(",")
    kind = head.removeprefix("data:").removesuffix(";base64")
    if not comma or f"data:{kind};base64" != head or not kind.startswith("image/"):
        raise InputError(
            "An image needs an http(s) address or a data:image/...;base64 URL.",
            param=param,
        )
    return ImagePart(kind, data=decoded(data, param))


def detailed(image: ImagePart, detail: Detail | None) -> ImagePart:
    """The picture with how closely it is to be looked at, where that is said."""
    return image if detail in (None, "auto") else replace(image, detail=str(detail))


def decoded(data: str, param: str) -> bytes:
    """The bytes of base64 text; `InputError` naming `param` for any other."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{param} is not base64: {error}.", param=param) from None


def _max_tokens(body: ChatCompletionRequest) -> int | None:
    old, new = body.max_tokens, body.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise InputError(
            f"max_tokens is {old} and max_completion_tokens {new}, and both mean the same. "
            "Send one.",
            param="max_tokens",
        )
    return old if new is None else new


def _logprobs(body: ChatCompletionRequest) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise InputError("top_logprobs needs logprobs: true.", param="top_logprobs")
    return (body.top_logprobs or 0) if body.logprobs else None


def _tool_choice(body: ChatCompletionRequest, names: set[str]) -> ToolChoice:
    choice = body.tool_choice
    if not names:
        check_toolless(tool_choice=choice, parallel_tool_calls=body.parallel_tool_calls)
        return ToolChoice()
    match choice:
        case None:
            return ToolChoice()
        case NamedTool():
            return ToolChoice("function", known([choice.function.name], names, "tool_choice"))
        case AllowedTools(allowed_tools=allowed):
            wanted = [tool.function.name for tool in allowed.tools]
            return ToolChoice(allowed.mode, known(wanted, names, "tool_choice.allowed_tools.tools"))
        case _:
            return ToolChoice(choice)


def check_toolless(**fields: object) -> None:
    """Raises `InputError` for a field that says how to call the tools of a request without any."""
    for field, value in fields.items():
        if value is not None:
            raise InputError(f"{field} needs tools; the request has none.", param=field)


def known(wanted: Sequence[str], names: Collection[str], param: str) -> tuple[str, ...]:
    """The wanted tools, each once; `InputError` naming `param` for one that the request lacks."""
    for name in wanted:
        if name not in names:
            raise InputError(
                f"{param} names {name!r}, which is none of the request's tools "
                f"({', '.join(sorted(names))}).",
                param=param,
            )
    return tuple(dict.fromkeys(wanted))


def _response_format(body: ChatCompletionRequest) -> ResponseFormat:
    asked = body.response_format
    if asked is None or isinstance(asked, TextResponseFormat):
        return structured(body.structured_outputs)
    if body.structured_outputs is not None:
        raise InputError(
            "response_format and structured_outputs both give the reply a form. Send one.",
            param="structured_outputs",
        )
    if not isinstance(asked, JsonSchemaResponseFormat):
        return JsonFormat()
    definition = asked.json_schema
    if definition.schema_ is None:
        raise UnsupportedError(
            "response_format.json_schema has no schema. Add one, or use json_object.",
            param="response_format.json_schema.schema",
        )
    return JsonFormat(definition.schema_, definition.name)

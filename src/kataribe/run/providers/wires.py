"""What the wires have in common: what is asked, what is sent, and who reads the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kataribe.base.errors import InputError, KataribeError, ProviderError, UnsupportedError
from kataribe.base.events import Event, FinishReason
from kataribe.base.lm import (
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    Request,
    TextFormat,
    ToolChoice,
    ToolSpec,
)
from kataribe.base.messages import Message
from kataribe.run.providers.failures import told_failure
from kataribe.run.providers.sse import ServerEvent


@dataclass(frozen=True, slots=True)
class Manner:
    """In what a server of the chat wire differs from OpenAI's own.

    Attributes:
        adds: Fields beyond OpenAI's that it honours, by their name in `asked_fields`.
        lacks: Fields of OpenAI's that it would take and ignore.
        names: What it calls a field, where the name is another one than ours.
        headers: Sent with every request.
    """

    adds: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way: the model by its whole name (for errors) and by its host's."""

    name: str
    model: str
    request: Request
    manner: Manner = field(default_factory=Manner)


class Reader(Protocol):
    """Reads one answer. Malformed events may raise what JSON of another shape raises."""

    done: bool
    """The host said that nothing follows."""

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What an event of the host's says."""
        ...

    def end(self) -> Sequence[Event]:
        """The closing events; `ProviderError` when the stream ended before the reply did."""
        ...

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing events of a reply that ends here and now, whatever came so far."""
        ...


@dataclass(frozen=True, slots=True)
class Letter:
    """What is posted: where, below the host's address, what, and with which headers."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wire:
    """A way of talking to hosts.

    Attributes:
        carries: The fields of a request that it has a place for, by their names in `asked_fields`.
        write: A request to what is posted; raises `UnsupportedError` for what has no place.
        reader: A reader for the answer.
        headers: The headers that carry a key.
    """

    carries: frozenset[str]
    write: Callable[[Asked], Letter]
    reader: Callable[[Asked], Reader]
    headers: Callable[[str | None], Mapping[str, str]]


def fields(words: str) -> frozenset[str]:
    """Names of fields, written as words."""
    return frozenset(words.split())


_SAMPLED = fields(
    "temperature top_k top_p min_p repetition_penalty presence_penalty frequency_penalty "
    "logit_bias max_tokens min_tokens ignore_eos"
)
_PLAIN = fields("tools stop seed n logprobs echo score_only verbosity continue_last")


def asked_fields(request: Request) -> frozenset[str]:
    """The fields that ask for something, that is, those not left at their default."""
    sampling, plain = request.sampling, Request(())
    asked = {name for name in _SAMPLED if getattr(sampling, name) != getattr(plain.sampling, name)}
    asked |= {name for name in _PLAIN if getattr(request, name) != getattr(plain, name)}
    if request.tools and request.tool_choice != ToolChoice():
        asked.add("tool_choice")
    if request.tools and not request.parallel_tool_calls:
        asked.add("parallel_tool_calls")
    asked |= {f"template.{variable}" for variable in request.template}
    return frozenset(asked | {form for form in (_form(request),) if form})


def _form(request: Request) -> str | None:
    match request.response_format:
        case TextFormat():
            return None
        case JsonFormat(schema):
            return "json_object" if schema is None else "json_schema"
        case RegexFormat():
            return "regex"
        case ChoiceFormat():
            return "choice"
        case GrammarFormat():
            return "grammar"


_FORMS = ("json_object", "json_schema", "regex", "choice", "grammar")
_FORM_WORDS = {
    "json_object": "JSON without a schema. Give a schema",
    "json_schema": "a JSON schema. Ask a model that can",
    "regex": "a regular expression. Give a JSON schema",
    "choice": "a list of choices. Give a JSON schema with an enum",
    "grammar": "a grammar. Give a JSON schema",
}


def check_carried(asked: Asked, carries: frozenset[str]) -> None:
    """Returns when there is a place for every field that asks for something.

    Raises `UnsupportedError` naming the field, and `InputError` for a choice among no tools.
    """
    request = asked.request
    _check_choice(request)
    for name in sorted(asked_fields(request) - carries):
        if name.startswith("template.") and "template" in carries:
            continue
        if name in _FORMS:
            param = getattr(request.response_format, "param", "response_format")
            raise UnsupportedError(
                f"{asked.name} cannot hold a reply to {_FORM_WORDS[name]}, or leave {param} out.",
                param=param,
            )
        raise UnsupportedError(
            f"{asked.name} is asked for {name}, but its API has no place for that. Leave {name} "
            "out, or ask a model that has it.",
            param=name,
        )


def _check_choice(request: Request) -> None:
    choice, known = request.tool_choice, {tool.name for tool in request.tools}
    problem = None
    if choice.mode in ("required", "function") and not known:
        problem = f"is {choice.mode!r}, but the request has no tools. Give some, or leave it out"
    elif choice.mode == "function" and len(choice.names) != 1:
        problem = f"names {len(choice.names)} tools, but calls for exactly one"
    elif known and not known.issuperset(choice.names):
        strange = ", ".join(sorted(set(choice.names) - known))
        problem = f"names {strange}, which is none of the tools ({', '.join(sorted(known))})"
    if problem is not None:
        raise InputError(f"tool_choice {problem}.", param="tool_choice")


def refuse_part(asked: Asked, place: int, what: str, way_out: str) -> UnsupportedError:
    """The error for a part that has no place in the wire."""
    return UnsupportedError(
        f"messages[{place}] has {what}, which {asked.name} cannot be sent. {way_out}",
        param=f"messages[{place}].content",
    )


def offered_tools(request: Request) -> tuple[ToolSpec, ...]:
    """The tools that may be called.

    For wires that cannot restrict a choice to some of the tools: the others are not offered.
    """
    names = request.tool_choice.names
    if not names:
        return request.tools
    return tuple(tool for tool in request.tools if tool.name in names)


def schema_of(tool: ToolSpec) -> dict[str, Any]:
    """The schema of a tool's arguments; a tool without one takes none."""
    return dict(tool.parameters) or {"type": "object", "properties": {}}


def is_enforceable(schema: Any) -> bool:
    """Whether hosts can hold arguments to this schema exactly.

    OpenAI and Anthropic enforce schemas whose objects are closed (`additionalProperties: false`),
    OpenAI only those that require all of their properties, too.
    """
    if isinstance(schema, list):
        return all(is_enforceable(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(properties):
            return False
    inner = [schema.get(key) for key in ("items", "anyOf", "prefixItems")]
    inner += [
        list(part.values())
        for key in ("properties", "$defs", "definitions")
        if isinstance(part := schema.get(key), Mapping)
    ]
    return all(is_enforceable(part) for part in inner)


def arguments_object(arguments: str) -> dict[str, Any]:
    """The arguments of a call as the object that some wires want.

    What a model wrote amiss is no object; it goes as the one value of one, as Anthropic advises
    for such calls, so that the model sees what it wrote.
    """
    try:
        found = json.loads(arguments or "{}")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": arguments}


def said_error(content: str, *, is_error: bool) -> str:
    """A tool's answer for wires that have no mark for a failure."""
    if is_error and not content.lower().startswith("error"):
        return f"Error: {content}"
    return content


def split_system(messages: Sequence[Message]) -> tuple[list[Message], list[tuple[int, Message]]]:
    """The system messages that stand first, and all that follows, each with its place."""
    first = 0
    while first < len(messages) and messages[first].role == "system":
        first += 1
    return list(messages[:first]), list(enumerate(messages))[first:]


def parsed(event: ServerEvent, name: str) -> dict[str, Any]:
    """The JSON object of an event; raises the error that it tells, if it tells one."""
    found = json.loads(event.data)
    if not isinstance(found, dict):
        raise TypeError("an event is no JSON object")
    error = found.get("error")
    if error and isinstance(error, Mapping | str):
        raise told_failure(name, found)
    return found


_NOT_THE_SHAPE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,  # a count that is infinite
    RecursionError,  # brackets without an end
)


def read_safely(reader: Reader, event: ServerEvent, name: str) -> Sequence[Event]:
    """What the reader makes of an event; `ProviderError` for one of another shape."""
    try:
        return reader.read(event)
    except KataribeError:
        raise
    except _NOT_THE_SHAPE as error:
        raise ProviderError(
            f"{name} sent an event that cannot be read ({type(error).__name__}: {error}): "
            f"{event.data!r:.120}. What came before it is whole; ask again for the rest."
        ) from error


def broke_off(name: str) -> ProviderError:
    """The error for a stream that ended before the reply did."""
    return ProviderError(
        f"The reply of {name} broke off before its end. What was said until then is kept; ask "
        "again."
    )

"""Tool dialects: how a family of models writes a call, as a grammar that cannot be broken.

Each dialect is four pieces of fixed text around calls of one shape. From it and the tools comes a
grammar (llguidance's Lark notation), so that whatever a model writes, a call it makes is well
formed, names a tool that was offered, and has arguments that follow the tool's schema.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import (
    GrammarFormat,
    JsonFormat,
    ResponseFormat,
    TextFormat,
    ToolChoice,
    ToolSpec,
)

MOST_CALLS = 32
"""Calls in one reply; a small model that calls forever is stopped by the grammar."""

ID_LETTERS = string.ascii_letters + string.digits
"""What short ids of calls are made of."""

_ANNOTATIONS = frozenset({"title", "description", "$schema", "$id", "$comment"})
_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, slots=True)
class ToolDialect:
    """How calls stand in a reply: `opening call (between call)* closing`.

    Attributes:
        opening: Text before the first call.
        between: Text between two calls.
        closing: Text after the last call.
        arguments_key: The key of a call's arguments beside its name.
        anywhere: Calls may follow other text; otherwise a reply is calls or text.
        most_calls: Calls that its chat templates can show in one turn.
        short_ids: Its chat templates refuse ids of calls that are not nine letters or digits.
    """

    opening: str
    between: str
    closing: str
    arguments_key: str = "arguments"
    anywhere: bool = True
    most_calls: int = MOST_CALLS
    short_ids: bool = False

    def new_id(self) -> str:
        """An id for a new call."""
        if self.short_ids:
            return "".join(secrets.choice(ID_LETTERS) for _ in range(9))
        return f"call_{secrets.token_hex(12)}"

    @property
    def trigger(self) -> str:
        """The text that announces a call."""
        return self.opening.rstrip(" \n[") or '{"name": "'


HERMES = ToolDialect("<tool_call>\n", "\n</tool_call>\n<tool_call>\n", "\n</tool_call>")
"""NousResearch's Hermes, Qwen 2.5 and Qwen 3; also what we teach models without a way of their own.
"""

LLAMA = ToolDialect("", "; ", "", arguments_key="parameters", anywhere=False, most_calls=1)
"""Llama 3.1 and 3.2: bare JSON; their templates refuse turns with several calls."""

MISTRAL = ToolDialect("[TOOL_CALLS] [", ", ", "]", short_ids=True)
"""Mistral from v0.3 on."""


@dataclass(frozen=True, slots=True)
class ToolGrammar(GrammarFormat):
    """A grammar of ours around the schemas of tools, and of a reply that calls none.

    Attributes:
        tools: Whose parameters stand in the grammar.
        otherwise: The form of a reply that calls none, where that stands in the grammar too.
    """

    param: str = field(default="tools", compare=False)
    tools: tuple[ToolSpec, ...] = ()
    otherwise: JsonFormat | None = None


def dialect_of(template: str) -> ToolDialect:
    """The dialect that a chat template's own text shows; Hermes where it shows none."""
    if "[TOOL_CALLS]" in template:
        return MISTRAL
    if "<tool_call>" not in template and '"parameters": ' in template:
        return LLAMA
    return HERMES


def tool_format(
    dialect: ToolDialect,
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    otherwise: ResponseFormat,
    *,
    at_most: int = MOST_CALLS,
    control_token: Callable[[str], int | None] = lambda _: None,
) -> ResponseFormat:
    """The constraint under which a reply that may or must call `tools` is written.

    `otherwise` is the format of a reply that calls none. `control_token` gives the id of a control
    token with that text: such a token is named in the grammar by its id, not by its letters.
    """
    allowed = [tool for tool in tools if not choice.names or tool.name in choice.names]
    if choice.mode == "none" or not allowed:
        return otherwise
    rules = [f"call_{i}: {_call(dialect, tool)}" for i, tool in enumerate(allowed)]
    rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(allowed))))
    at_most = min(at_most, dialect.most_calls)
    between = _literal(dialect.between, control_token)
    rules.append(
        f"calls: call ({between} call){{0,{at_most - 1}}}" if at_most > 1 else "calls: call"
    )
    opening, closing = (_literal(t, control_token) for t in (dialect.opening, dialect.closing))
    beside = None
    if choice.mode in ("required", "function"):
        rules.insert(0, f"start: {opening} calls {closing}")
    else:
        rules.insert(0, _optional(dialect, otherwise, control_token))
        beside = otherwise if isinstance(otherwise, JsonFormat) else None
    grammar = "%llguidance {}\n" + "\n".join(rules) + "\n"
    return ToolGrammar(grammar, tools=tuple(allowed), otherwise=beside)


def _optional(
    dialect: ToolDialect, otherwise: ResponseFormat, control_token: Callable[[str], int | None]
) -> str:
    """The start rule of a reply that calls tools or does not, as the model likes."""
    opening, closing = (_literal(t, control_token) for t in (dialect.opening, dialect.closing))
    if isinstance(otherwise, JsonFormat):
        return f"start: {opening} calls {closing} | {_json(otherwise.schema or {})}"
    if not isinstance(otherwise, TextFormat):
        raise UnsupportedError(
            "Tools cannot be combined with a regular expression or grammar for the reply; "
            "use a JSON schema, or leave one of the two out.",
            param=otherwise.param,
        )
    if not dialect.anywhere:
        start = json.dumps(dialect.trigger)[1:-1].replace('\\"', '"').replace("{", "\\{")
        return (
            f"start: {opening} calls {closing} | TEXT\n"
            rf"TEXT: /(.|\n)*/ & ~/\s*{start}(.|\n)*/"
        )
    control = control_token(dialect.trigger)
    rest = _literal(dialect.opening[len(dialect.trigger) :], control_token)
    if control is not None:
        head = f"head: TEXT <[{control}]>"
    else:
        head = f"head[lazy]: TEXT {json.dumps(dialect.trigger)}"
    return (
        f"start: head {rest} calls {closing} | tail\n"
        f"{head}\n"
        "tail: TEXT\n"
        r"TEXT: /(.|\n)*/"
    )


def _call(dialect: ToolDialect, tool: ToolSpec) -> str:
    name = json.dumps(tool.name, ensure_ascii=False)
    head = f'{{"name": {name}, "{dialect.arguments_key}": '
    arguments = _json(arguments_of(tool))
    return f"{json.dumps(head, ensure_ascii=False)} {arguments} {json.dumps('}')}"


def arguments_of(tool: ToolSpec) -> Mapping[str, Any]:
    """The schema of a tool's arguments.

    A schema that says nothing but that it is an object without properties allows anything in JSON
    Schema's terms, but for a function it means that there are no parameters (as in OpenAI's API).
    """
    schema = tool.parameters
    says = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    empty = {"type": "object", "properties": {}, "required": []}
    if all(empty.get(key, says) == value for key, value in says.items()):
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return schema


def _json(schema: Mapping[str, Any]) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": _JSON_STYLE}, ensure_ascii=False)


def _literal(text: str, control_token: Callable[[str], int | None]) -> str:
    """`text` as grammar: a leading control token by its id, the rest as a quoted string."""
    if not text:
        return ""
    for cut in range(len(text), 0, -1):
        token = control_token(text[:cut])
        if token is not None:
            return f"<[{token}]> {_literal(text[cut:], control_token)}".rstrip()
    return json.dumps(text, ensure_ascii=False)

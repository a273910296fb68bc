"""Calls as models of each dialect write them, made here without the code that reads them."""

from __future__ import annotations

import json
from typing import Any

from kataribe.base.lm import ToolSpec
from kataribe.run.inference import dialects
from kataribe.run.inference.dialects import ToolDialect

NAMED = {name: value for name, value in vars(dialects).items() if isinstance(value, ToolDialect)}
"""Every dialect by its name."""

Call = tuple[str, dict[str, Any]]

TRIP = ToolSpec(
    "plan_trip",
    "Plans a trip",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "maxLength": 12},
            "days": {"type": "integer", "minimum": 0, "maximum": 99},
            "unit": {"enum": ["metric", "imperial"]},
            "note": {"anyOf": [{"type": "string", "maxLength": 16}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}, "maxItems": 3},
            "is_open": {"type": "boolean"},
            "place": {
                "type": "object",
                "properties": {
                    "x": {"type": "integer", "minimum": -5, "maximum": 5},
                    "label": {"type": "string", "pattern": "^[a-z日]{0,4}$"},
                    "is_far": {"type": ["boolean", "null"]},
                },
                "required": ["x"],
                "additionalProperties": False,
            },
            "level": {"enum": [1, 2.5, "high", None, True]},
        },
        "required": ["city", "is_open"],
        "additionalProperties": False,
        "$defs": {"Tag": {"type": "string", "maxLength": 4}},
    },
)
CLOCK = ToolSpec("plan", "A name that begins another one's")

CALLS: list[Call] = [
    (
        "plan_trip",
        {
            "city": '東"京\\ </b>',
            "days": 3,
            "unit": "metric",
            "note": "a, b: {c}\n[d]",
            "tags": ["x", "}]"],
            "is_open": True,
            "place": {"x": -2, "label": "日", "is_far": None},
            "level": 2.5,
        },
    ),
    ("plan", {}),
    ("plan_trip", {"city": "5", "note": None, "tags": [], "is_open": False, "level": "high"}),
]


def written(dialect: ToolDialect, calls: list[Call]) -> str:
    """A reply of these calls."""
    bodies = [_call(dialect, name, arguments) for name, arguments in calls]
    return dialect.opening + dialect.between.join(bodies) + dialect.closing


def _call(dialect: ToolDialect, name: str, arguments: dict[str, Any]) -> str:
    as_json = json.dumps(arguments, ensure_ascii=False)
    match next(known for known, value in NAMED.items() if value is dialect):
        case "LLAMA":
            return f'{{"name": "{name}", "parameters": {as_json}}}'
        case "MISTRAL_ARGS":
            return f"{name}[ARGS]{as_json}"
        case "MISTRAL_IDS":
            return f"{name}[CALL_ID]{sum(map(ord, as_json)):09d}[ARGS]{as_json}"
        case "QWEN_CODER":
            fields = [
                f"\n<parameter={key}>\n{_bare(value)}\n</parameter>"
                for key, value in arguments.items()
            ]
            return f"<function={name}>{''.join(fields)}\n</function>"
        case "GLM":
            fields = [
                f"\n<arg_key>{key}</arg_key>\n<arg_value>{_bare(value)}</arg_value>"
                for key, value in arguments.items()
            ]
            return f"{name}{''.join(fields)}\n</tool_call>"
        case "PYTHONIC" | "LFM":
            fields = [f"{key}={_python(value)}" for key, value in arguments.items()]
            return f"{name}({', '.join(fields)})"
        case "FUNCTION_GEMMA":
            return f"call:{name}{_marked(arguments, '<escape>')}"
        case "GEMMA4":
            quote = '<|"|>'
            return f"call:{name}{_marked(arguments, quote)}"
    return f'{{"name": "{name}", "arguments": {as_json}}}'


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _python(value: Any) -> str:
    match value:
        case list():
            return f"[{', '.join(map(_python, value))}]"
        case dict():
            items = (f"{_python(key)}: {_python(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        case str():
            return json.dumps(value, ensure_ascii=False)
    return repr(value)


def _marked(value: Any, quote: str) -> str:
    match value:
        case list():
            return f"[{','.join(_marked(item, quote) for item in value)}]"
        case dict():
            items = (f"{key}:{_marked(item, quote)}" for key, item in value.items())
            return f"{{{','.join(items)}}}"
        case str():
            return f"{quote}{value}{quote}"
    return json.dumps(value)

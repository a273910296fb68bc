"""Notations: how arguments stand in a call where they are not one JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Notation:
    """Arguments as a row of `key_open NAME key_close VALUE value_close`, then `end`.

    Attributes:
        key_close: Text between a name and its value; names with it in them cannot be written.
        key_open: Text before a name.
        value_close: Text after a value.
        separator: Text between two arguments, and between two items inside a value.
        end: Text after the last argument; what stands before it belongs to the call's head.
        bare: Strings stand as they are up to `value_close`; all other values are JSON.
        quote: Text on either side of a string. A `"` means a JSON string with its escapes;
            anything else stands around the string as it is.
        inner_key: Text before and after a name inside a value.
        words: How `true`, `false` and `null` are written.
    """

    key_close: str
    end: str
    key_open: str = ""
    value_close: str = ""
    separator: str = ""
    bare: bool = False
    quote: str = '"'
    inner_key: tuple[str, str] = ("", ":")
    words: dict[str, str] = field(
        default_factory=lambda: {"true": "true", "false": "false", "null": "null"}, hash=False
    )


TAGS = Notation(
    key_open="\n<parameter=",
    key_close=">\n",
    value_close="\n</parameter>",
    end="\n</function>",
    bare=True,
)
"""Qwen3-Coder."""

KEY_TAGS = Notation(
    key_open="<arg_key>",
    key_close="</arg_key>\n<arg_value>",
    value_close="</arg_value>\n",
    end="</tool_call>",
    bare=True,
)
"""GLM 4.5."""

PYTHON = Notation(
    key_close="=",
    separator=", ",
    end=")",
    inner_key=('"', '": '),
    words={"true": "True", "false": "False", "null": "None"},
)
"""Keyword arguments of Python; strings have JSON's quotes and escapes, which Python shares."""

ESCAPED = Notation(key_close=":", separator=",", end="}", quote="<escape>")
"""FunctionGemma."""

QUOTED = Notation(key_close=":", separator=",", end="}", quote='<|"|>')
"""Gemma 4."""

"""Tools whose names and schemas make calls hard to write."""

from __future__ import annotations

from kataribe.base.lm import ToolSpec

NESTED = ToolSpec(
    "orders.v2.create-order",
    "注文を作成します。数量は「個」で、住所は〒から書いてください。",
    {
        "type": "object",
        "properties": {
            "customer": {
                "type": "object",
                "description": '顧客 (氏名と "住所")',
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "address": {
                        "type": "object",
                        "properties": {
                            "zip": {"type": "string", "pattern": "^[0-9]{3}-[0-9]{4}$"},
                            "lines": {
                                "type": "array",
                                "items": {"type": "string"},
                                "minItems": 1,
                                "maxItems": 4,
                            },
                        },
                        "required": ["zip", "lines"],
                        "additionalProperties": False,
                    },
                },
                "required": ["name", "address"],
                "additionalProperties": False,
            },
            "items": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"enum": ["茶-1", "茶-10", 'a"b', "a\\b", "</tool_call>"]},
                        "count": {"type": "integer", "minimum": 1, "maximum": 120},
                        "gift": {"type": ["boolean", "null"]},
                    },
                    "required": ["sku", "count"],
                    "additionalProperties": False,
                },
            },
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["customer", "items"],
        "additionalProperties": False,
    },
)
NOTHING = ToolSpec("now", "今の時刻")
TREE = ToolSpec(
    "save.tree",
    "Saves a tree of names.",
    {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}, "depth": {"type": "number"}},
        "required": ["root", "depth"],
        "additionalProperties": False,
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "parts": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["name", "parts"],
                "additionalProperties": False,
            }
        },
    },
)
LONG = ToolSpec(
    "note",
    "Writes a note.",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 40},
            "mail": {"type": "string", "pattern": "^[a-z]+@[a-z]+\\.example$"},
            "level": {"enum": [1, 2.5, "high", None, True]},
        },
        "required": ["text", "mail", "level"],
        "additionalProperties": False,
    },
)
MANY = tuple(
    ToolSpec(
        f"device_{place}.set",
        f"機器{place}を設定する。",
        {
            "type": "object",
            "properties": {
                f"value_{place}": {"type": "integer"},
                "unit": {"type": "string", "enum": ["度", "％", "lux"]},
            },
            "required": [f"value_{place}"],
            "additionalProperties": False,
        },
    )
    for place in range(64)
)
SETS = {
    "nested": (NESTED, NOTHING),
    "nothing": (NOTHING,),
    "tree": (TREE,),
    "long": (LONG, TREE),
    "many": MANY,
}

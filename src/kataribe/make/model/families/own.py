"""Kataribe's own family: any mix of attention, Mamba, Mamba-2 and Hyena layers, and of experts.

No other program opens it. Its config.json holds the fields of `ModelConfig` by their names, and
of their tables by theirs; what is left out has the default.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.families.layout import FamilyLayout

_SAID_BY_ALL = {"family": "model_type", "vocab_size": "vocab_size", "tied": "tie_word_embeddings"}
"""Fields that every config.json says in words of its own."""


def _read(fields: Fields) -> ModelConfig:
    values = {
        "family": "kataribe",
        "vocab_size": fields.integer("vocab_size"),
        "tied": fields.flag("tie_word_embeddings"),
        **_values(ModelConfig, fields, _SAID_BY_ALL),
    }
    return ModelConfig(**values)


def _values(
    kind: type[Any], fields: Fields, leave_out: typing.Container[str] = ()
) -> dict[str, Any]:
    """The arguments of a configuration's class that a table gives."""
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        fields.pass_over((field.name,))
        needed = field.default is dataclasses.MISSING
        if fields.has(field.name):
            values[field.name] = _value(hints[field.name], fields, field.name)
        elif needed and type(None) in typing.get_args(hints[field.name]):
            values[field.name] = None
        elif needed:
            fields.sequence(field.name)  # says that it is missing
    return values


def _value(hint: Any, fields: Fields, name: str) -> Any:
    """A setting in the type that its field has."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) is typing.Union or type(None) in typing.get_args(hint):
        hint = kinds[0]
    if dataclasses.is_dataclass(hint):
        table = fields.table(name)
        values = _values(typing.cast(type[Any], hint), table)
        table.finish()
        return typing.cast(Any, hint)(**values)
    if hint is bool:
        return fields.flag(name)
    if hint is int:
        return fields.integer(name)
    if hint is float:
        return fields.number(name)
    if typing.get_origin(hint) is tuple:
        return tuple(_item(fields, name, item) for item in fields.sequence(name))
    return fields.text(name)


def _item(fields: Fields, name: str, item: Any) -> Any:
    if item == _INFINITE:
        return math.inf
    if item is not None and not isinstance(item, bool | int | float | str):
        raise FormatError(f"{fields.source}: {name} holds {item!r:.60}; plain values are needed.")
    return item


_INFINITE = "Infinity"
"""JSON has no such number."""


def _write(config: ModelConfig) -> dict[str, Any]:
    plain = dataclasses.asdict(config)
    return {name: _said(value) for name, value in plain.items() if name not in _SAID_BY_ALL}


def _said(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_said(inner) for inner in value]
    return _INFINITE if value == math.inf else value


LAYOUTS = (
    FamilyLayout(
        "kataribe",
        "KataribeForCausalLM",
        {"tie_word_embeddings": False},
        _read,
        _write,
        ("kataribe",),
    ),
)

"""Grammars of arguments that are not JSON, from the schema of a tool.

What a notation cannot follow is refused with its reason. One thing is taken more loosely than in
JSON: `format` counts as a remark in bare strings, as JSON Schema has it by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kataribe.base.errors import ConstraintError
from kataribe.run.inference.argument_schemas import (
    ArgumentSchema,
    Fields,
    bare_pattern,
    check_keys,
    kind_of,
    looks_like,
    scalar_pattern,
)
from kataribe.run.inference.notations import Notation

_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_NAME = r"/[A-Za-z_][A-Za-z0-9_.\-]*/"
_JSON_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*"|[{}\[\]])')
_ANYTHING = r"/(.|\n)*/"


class Rules:
    """The rules of one grammar; equal ones are written once.

    Args:
        control_token: Gives the id of a control token with that text.
        beside_json: JSON of another form may stand instead. Fixed texts are then written in the
            pieces that JSON is made of: the lexer takes the longest piece and does not go back.
    """

    def __init__(
        self, control_token: Callable[[str], int | None], *, beside_json: bool = False
    ) -> None:
        self._control_token = control_token
        self._beside_json = beside_json
        self._known: dict[str, str] = {}
        self._literals: dict[str, str] = {}
        self.lines: list[str] = []

    def add(self, body: str, *, terminal: bool = False, options: str = "") -> str:
        """The name of a rule with this body."""
        key = f"{terminal}{options}{body}"
        if key not in self._known:
            name = self._known[key] = f"{'T' if terminal else 'r'}{len(self._known)}"
            self.lines.append(f"{name}{options}: {body}")
        return self._known[key]

    def reserve(self, key: str) -> tuple[str, bool]:
        """The name of the rule for `key`, and whether its body is still to be given (`give`)."""
        is_new = key not in self._known
        if is_new:
            self._known[key] = f"r{len(self._known)}"
        return self._known[key], is_new

    def give(self, name: str, body: str) -> None:
        """The body of a rule that was reserved."""
        self.lines.append(f"{name}: {body}")

    def json(self, schema: Mapping[str, Any]) -> str:
        """A rule for JSON of this schema."""
        return self.add(
            "%json " + json.dumps({**schema, "x-guidance": _JSON_STYLE}, ensure_ascii=False)
        )

    def literal(self, text: str) -> str:
        """A fixed text: control tokens in it by their ids, the rest as quoted strings."""
        if text not in self._literals:
            self._literals[text] = self._literal(text)
        return self._literals[text]

    def _literal(self, text: str) -> str:
        parts: list[str] = []
        plain = start = 0
        while start < len(text):
            end = next(
                (e for e in range(len(text), start, -1) if self.token(text[start:e]) is not None),
                None,
            )
            if end is None:
                start += 1
                continue
            parts += [*self._plain(text[plain:start]), f"<[{self.token(text[start:end])}]>"]
            plain = start = end
        return " ".join([*parts, *self._plain(text[plain:])])

    def _plain(self, text: str) -> list[str]:
        pieces = _JSON_TOKEN.split(text) if self._beside_json else [text]
        return [quoted(piece) for piece in pieces if piece]

    def until(self, terminal: str, closer: str) -> str:
        """A rule for text that a terminal allows, up to the first `closer`, which is part of it."""
        told = self.add(
            f"({terminal}) & ~({_ANYTHING} {quoted(closer)} {_ANYTHING})", terminal=True
        )
        if self.literal(closer).startswith("<["):  # no text can spell a control token
            return self.add(f"{told} {self.literal(closer)}")
        return self.add(f"{told} {quoted(closer)}", options="[lazy]")

    def token(self, text: str) -> int | None:
        """The id of the control token with exactly this text."""
        return self._control_token(text)


def quoted(text: str) -> str:
    """A text as a string of the grammar."""
    return json.dumps(text, ensure_ascii=False)


class ArgumentGrammar:
    """Writes rules for the arguments of one tool.

    Args:
        notation: How they are written.
        schema: What they may be.
        rules: Where the rules go.
    """

    def __init__(self, notation: Notation, schema: Mapping[str, Any], rules: Rules) -> None:
        self._notation = notation
        self._schema = ArgumentSchema(schema)
        self._rules = rules
        # Schemas of different tools may look alike and yet refer to different things.
        self._scope = json.dumps(schema, ensure_ascii=False, default=str)

    def write(self) -> str:
        """The name of the rule for all arguments, `end` included."""
        told = self._notation
        fields = self._schema.fields
        end = self._rules.literal(told.end)
        row = self._row(fields, (told.key_open, told.key_close), told.value_close)
        return self._rules.add(f"{row} {end}")

    def _row(self, fields: Fields, key: tuple[str, str], close: str) -> str:
        """The fields in their order, those that need not be there as they like."""
        for name in fields.known:
            if key[1] in name or not name:
                raise ConstraintError(
                    f"A parameter is called {name[:100]!r}, which this model's syntax of calls "
                    "cannot say. Rename it."
                )
        items = [
            (self._field(quoted_name(name, key), value, key, close), name in fields.required)
            for name, value in fields.known.items()
        ]
        between = quoted(self._notation.separator) if self._notation.separator else ""
        more = self._others(fields, key, close)
        rest = self._rules.add(f"({between} {more})*") if more else '""'
        first = self._rules.add(f"({more} {rest})?") if more else '""'
        for item, is_required in reversed(items):
            # `rest` is what may follow a field, `first` what may stand where none was yet.
            now_rest = f"{between} {item} {rest}"
            now_first = f"{item} {rest}"
            if not is_required:
                now_rest, now_first = f"{now_rest} | {rest}", f"{now_first} | {first}"
            rest, first = self._rules.add(now_rest), self._rules.add(now_first)
        return first

    def _others(self, fields: Fields, key: tuple[str, str], close: str) -> str | None:
        if fields.others is None:
            return None
        known = " | ".join(quoted(name) for name in fields.known)
        name = self._rules.add(_NAME + (f" & ~({known})" if known else ""), terminal=True)
        return self._field(name, fields.others, key, close)

    def _field(self, name: str, schema: Any, key: tuple[str, str], close: str) -> str:
        opening, closing = (self._rules.literal(text) for text in key)
        value = self._bare(schema, close) if self._notation.bare else self._value(schema)
        return self._rules.add(f"{opening} {name} {closing} {value}")

    def _bare(self, schema: Any, close: str) -> str:
        """A value and the text after it; strings stand as they are."""
        options = self._schema.alternatives(schema)
        strings = [option for option in options if kind_of(option) == "string"]
        others = [option for option in options if kind_of(option) != "string"]
        ways = []
        if strings:
            terminal = " | ".join(map(_bare_string, strings))
            if others:
                terminal = f"({terminal}) & ~/{looks_like(frozenset(map(kind_of, others)))}/"
            # Words and numbers stand in the strings' own terminal: the lexer does not go back.
            patterns = {id(option): scalar_pattern(option) for option in others}
            others = [option for option in others if patterns[id(option)] is None]
            scalars = [f"/{pattern}/" for pattern in patterns.values() if pattern is not None]
            ways.append(self._rules.until(" | ".join([f"({terminal})", *scalars]), close))
        if others:
            inner = self._rules.json(self._schema.standalone(others))
            ways.append(f"{inner} {self._rules.literal(close)}")
        return self._one_of(ways)

    def _value(self, schema: Any) -> str:
        name, is_new = self._rules.reserve(
            self._scope + json.dumps(schema, ensure_ascii=False, default=str)
        )
        if is_new:
            options = self._schema.alternatives(schema)
            self._rules.give(name, self._one_of([self._option(option) for option in options]))
        return name

    def _option(self, option: Mapping[str, Any]) -> str:
        if "const" in option:
            return self._constant(option["const"])
        match option["type"]:
            case "string":
                return self._string(option)
            case "boolean":
                return f"({' | '.join(map(self._constant, (True, False)))})"
            case "null":
                return self._constant(None)
            case "array":
                return self._array(option)
            case "object":
                inner = self._row(self._schema.fields_of(option), self._notation.inner_key, "")
                return f'"{{" {inner} "}}"'
        return self._rules.json(option)

    def _string(self, option: Mapping[str, Any]) -> str:
        quote = self._notation.quote
        if quote == '"':
            return self._rules.json(option)
        return f"{self._rules.literal(quote)} {self._rules.until(_bare_string(option), quote)}"

    def _array(self, option: Mapping[str, Any]) -> str:
        check_keys(option, {"items", "minItems", "maxItems"})
        least, most = option.get("minItems", 0), option.get("maxItems")
        if most == 0:
            return '"[]"'
        item = self._value(option.get("items", {}))
        more = f"{max(0, least - 1)},{'' if most is None else most - 1}"
        row = f"{item} ({quoted(self._notation.separator)} {item}){{{more}}}"
        return f'"[" {row} "]"' if least else f'"[" ({row})? "]"'

    def _constant(self, value: Any) -> str:
        told = self._notation
        match value:
            case bool() | None:
                return quoted(told.words[json.dumps(value)])
            case str() if told.quote != '"':
                _check_free(value, told.quote)
                return (
                    self._rules.literal(told.quote)
                    + (f" {quoted(value)} " if value else " ")
                    + self._rules.literal(told.quote)
                )
            case list() | tuple():
                between = f" {quoted(told.separator)} "
                return f'"[" {between.join(map(self._constant, value))} "]"'
            case Mapping():
                raise ConstraintError(
                    "A schema with objects among its enum or const cannot be followed in this "
                    "model's syntax of calls. Describe them by type and properties."
                )
        return quoted(json.dumps(value, ensure_ascii=False))

    def _one_of(self, ways: Sequence[str]) -> str:
        if not ways:
            raise ConstraintError("A part of the JSON schema allows no value at all. Correct it.")
        return ways[0] if len(ways) == 1 else self._rules.add(" | ".join(ways))


def quoted_name(name: str, key: tuple[str, str]) -> str:
    """A property's name as grammar, escaped where it stands in a JSON string."""
    return quoted(json.dumps(name, ensure_ascii=False)[1:-1] if key[0].endswith('"') else name)


def _bare_string(option: Mapping[str, Any]) -> str:
    """A terminal for a string without quotes."""
    if "const" in option:
        return quoted(option["const"])
    check_keys(option, {"minLength", "maxLength", "pattern", "format"})
    least, most = option.get("minLength", 0), option.get("maxLength", "")
    terms = [rf"/(.|\n){{{least},{most}}}/" if least or most != "" else _ANYTHING]
    if "pattern" in option:
        terms.append(f"/{_slashed(bare_pattern(option['pattern']))}/")
    return " & ".join(terms)


def _slashed(pattern: str) -> str:
    """An expression as it may stand between the grammar's slashes."""
    told = pattern.replace("\\/", "/").replace("/", "\\/")
    return told.replace("\n", "\\n").replace("\r", "\\r")


def _check_free(value: str, quote: str) -> None:
    if quote in value:
        raise ConstraintError(
            f"The schema's value {value[:100]!r} holds {quote!r}, which ends a string in this "
            "model's syntax of calls. Leave it out."
        )

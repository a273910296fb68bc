"""A recipe's text with some fields changed: what is left alone stays as it was typed.

A form changes fields; the file also has comments, an order and a way of writing that are somebody's
own. So only the blocks of fields that differ are written anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from kataribe.base.errors import KataribeError
from kataribe.use.assistants.recipe import Recipe, dumped, read_node, read_plain

TEXT = "tag:yaml.org,2002:str"


def rewritten(text: str, wanted: Mapping[str, Any]) -> str:
    """The text of a recipe that says `wanted`, with as much of `text` in it as can stay.

    `wanted` may also be what no recipe may say: it is written as it is, so that nothing typed is
    lost. A text that cannot be taken apart (no YAML, or a mapping in braces) is written anew.
    """
    usual = {name: _usual(name, value) for name, value in wanted.items()}
    values = {name: value for name, (value, says) in usual.items() if says}
    blocks = _blocks(text)
    if blocks is None:
        return dumped(values) if values else ""
    now = read_plain(text, "")
    written, place = [], 0
    for name, start, end in blocks:
        written.append(text[place:start])
        place = end
        if _usual(name, now[name])[0] == values.get(name):
            written.append(text[start:end])
        elif name in values:
            written.append(dumped({name: values[name]}))
    written.append(text[place:])
    known = {name for name, _, _ in blocks}
    new = {name: value for name, value in values.items() if name not in known}
    whole = "".join(written)
    if new and whole and not whole.endswith("\n"):
        whole += "\n"
    whole += dumped(new) if new else ""
    # Whatever the blocks were, the text must say what is wanted.
    return whole if _says(whole, values) else dumped(values)


def _usual(name: str, value: Any) -> tuple[Any, bool]:
    """A field's value in its usual form, and whether it says anything at all.

    What no recipe may say has no other form.
    """
    try:
        plain = Recipe.model_validate({name: value}).model_dump(mode="json", exclude_defaults=True)
    except (ValidationError, ValueError):
        return value, True
    return plain.get(name), name in plain


def _says(text: str, values: Mapping[str, Any]) -> bool:
    try:
        now = read_plain(text, "")
    except KataribeError:
        return False
    if not isinstance(now, Mapping):
        return False
    said = {name: _usual(name, value) for name, value in now.items()}
    return {name: value for name, (value, there) in said.items() if there} == dict(values)


def _blocks(text: str) -> list[tuple[str, int, int]] | None:
    """Each top field with where its block begins and ends; None where there are no such blocks.

    Blank lines and comments before a field belong to no block, so they stay.
    """
    try:
        node = read_node(text, "")
    except KataribeError:
        return None
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return None
    starts: list[tuple[str, int]] = []
    for key, _ in node.value:
        mark = key.start_mark
        # `1:` and `null:` are keys, but no texts, and no fields.
        is_name = isinstance(key, yaml.ScalarNode) and key.tag == TEXT
        if not is_name or mark.column != 0 or key.value in dict(starts):
            return None
        starts.append((key.value, mark.index))
    ends = [*(start for _, start in starts[1:]), len(text)]
    return [
        (name, start, _end(text, start, end))
        for (name, start), end in zip(starts, ends, strict=True)
    ]


def _end(text: str, start: int, end: int) -> int:
    """Where a block ends, without the comments and blank lines that stand behind it."""
    for line in reversed(list(_lines(text[start:end]))):
        if line.strip() and not line.startswith("#"):
            break
        end -= len(line)
    return max(end, start)


def _lines(text: str) -> Iterator[str]:
    yield from text.splitlines(keepends=True)
